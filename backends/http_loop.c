/*
 * Threads: everything in struct http_loop but the group under @lock belongs to the loop's thread.
 * No lock is held while a sink or curl runs.
 *
 * Invariants:
 * 1. A request is in exactly one place: new (commanded only), pending, or with a transfer.
 * 2. Its room is not touched once req->backend was cleared, which happens under @lock together
 *    with taking it off the command queue: a late cancel or resume finds NULL and does nothing.
 * 3. The thread sleeps only after it found the command queue empty under @lock and said so in
 *    @asleep; who queues something then wakes it, once.
 */
#include "backends/http_loop.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http_auth.h"
#include "backends/http_pump.h"
#include "backends/http_transfer.h"
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

#define NR_CLASSES (SOURCE_BACKGROUND + 1)

TAILQ_HEAD(http_job_list, http_job);
TAILQ_HEAD(http_transfer_list, http_transfer);

struct http_loop {
	struct http_pump pump;
	pthread_t thread;
	struct http_session session;
	unsigned int max_connections;
	struct http_job_list pending[NR_CLASSES];
	struct http_transfer_list active;
	struct http_transfer_list idle;
	unsigned int nr_slots;   /* that active transfers have; max_connections at most */
	unsigned int nr_waiting; /* active transfers without one: they wait for files */
	bool no_conditions;      /* the pinned validator could not be made a header: no memory */

	struct cf_mutex lock; /* protects what follows, and the jobs' own group */
	struct http_job_list commands;
	uint64_t nr_jobs; /* submitted and not done */
	bool asleep;
	bool closing;
	bool identity_is_new;
	struct source_identity new_identity;
	bool limits_are_new;
	struct source_limits new_limits;
};

static_assert(sizeof(struct http_job) <= SOURCE_BACKEND_ROOM, "an http_job must fit the room");

/* --- calls from other threads ------------------------------------------------------------ */

static void wake_locked(struct http_loop *loop) CF_REQUIRES(&loop->lock)
{
	if (loop->asleep)
		http_pump_wake(&loop->pump);
	loop->asleep = false;
}

static void command_locked(struct http_loop *loop, struct http_job *job) CF_REQUIRES(&loop->lock)
{
	if (!job->commanded)
		TAILQ_INSERT_TAIL(&loop->commands, job, command);
	job->commanded = true;
	wake_locked(loop);
}

void http_loop_submit_probe(struct http_loop *loop, struct source_request *req,
                            struct http_probe *probe)
{
	struct http_job *job;

	cf_lock(&loop->lock);
	job = source_job_place(req, sizeof(*job));
	job->probe = probe;
	job->is_new = true;
	loop->nr_jobs++;
	command_locked(loop, job);
	cf_unlock(&loop->lock);
}

void http_loop_submit(struct http_loop *loop, struct source_request *req)
{
	http_loop_submit_probe(loop, req, NULL);
}

void http_loop_cancel(struct http_loop *loop, struct source_request *req)
{
	struct http_job *job;

	cf_lock(&loop->lock);
	job = req->backend;
	if (job) {
		job->cancel_wanted = true;
		command_locked(loop, job);
	}
	cf_unlock(&loop->lock);
}

void http_loop_resume(struct http_loop *loop, struct source_request *req)
{
	struct http_job *job;

	cf_lock(&loop->lock);
	job = req->backend;
	if (job) {
		job->resume_wanted = true;
		command_locked(loop, job);
	}
	cf_unlock(&loop->lock);
}

void http_loop_pin(struct http_loop *loop, const struct source_identity *identity)
{
	cf_lock(&loop->lock);
	loop->new_identity = *identity;
	loop->identity_is_new = true;
	wake_locked(loop);
	cf_unlock(&loop->lock);
}

void http_loop_configure(struct http_loop *loop, const struct source_limits *limits)
{
	cf_lock(&loop->lock);
	loop->new_limits = *limits;
	loop->limits_are_new = true;
	wake_locked(loop);
	cf_unlock(&loop->lock);
}

/* --- the end of requests ------------------------------------------------------------------ */

static void end_job(struct http_loop *loop, struct http_job *job,
                    const struct source_outcome *outcome)
{
	assert(!job->transfer);
	cf_lock(&loop->lock);
	job->base.req->backend = NULL;
	if (job->commanded)
		TAILQ_REMOVE(&loop->commands, job, command);
	loop->nr_jobs--;
	cf_unlock(&loop->lock);
	source_job_done(&job->base, outcome);
}

static void end_cancelled(struct http_loop *loop, struct http_job *job)
{
	end_job(loop, job, &(struct source_outcome){.result = SOURCE_CANCELLED});
}

static void end_without_memory(struct http_loop *loop, struct http_job *job)
{
	struct source_outcome outcome;

	(void)http_reply_outcome(&outcome, SOURCE_FAILED, -ENOMEM, "there is no memory");
	end_job(loop, job, &outcome);
}

/* An active transfer that waits for no server leaves its slot to others, and may take one more than
 * there are when it goes on: curl itself holds the connections down then. */
static void set_slot(struct http_loop *loop, struct http_transfer *t, bool has_slot)
{
	*(t->has_slot ? &loop->nr_slots : &loop->nr_waiting) -= 1;
	*(has_slot ? &loop->nr_slots : &loop->nr_waiting) += 1;
	t->has_slot = has_slot;
}

static void release_transfer(struct http_loop *loop, struct http_transfer *t)
{
	set_slot(loop, t, true);
	loop->nr_slots--;
	TAILQ_REMOVE(&loop->active, t, link);
	TAILQ_INSERT_HEAD(&loop->idle, t, link);
}

/* Takes a running transfer out and gives it up, whatever it was doing. */
static void abandon_transfer(struct http_loop *loop, struct http_transfer *t)
{
	http_pump_remove(&loop->pump, t->easy);
	http_transfer_abandon(t);
	release_transfer(loop, t);
}

/* What http_transfer_finish() said of @t, which had @job. */
static void take_step(struct http_loop *loop, struct http_transfer *t, struct http_job *job,
                      enum http_transfer_step step, const struct source_outcome *outcome)
{
	if (step == HTTP_TRANSFER_OVER) {
		release_transfer(loop, t);
		end_job(loop, job, outcome);
		return;
	}
	set_slot(loop, t, step == HTTP_TRANSFER_AGAIN);
	if (step == HTTP_TRANSFER_AGAIN && http_pump_add(&loop->pump, t->easy) < 0) {
		http_transfer_abandon(t);
		release_transfer(loop, t);
		end_without_memory(loop, job);
	}
}

/* The easy handle of @t is out of the multi: its request ends, goes on for another hop, or waits.
 */
static void finish_transfer(struct http_loop *loop, struct http_transfer *t, CURLcode code,
                            bool stalled)
{
	bool may_wait = loop->nr_waiting < loop->max_connections;
	struct http_job *job = t->job;
	struct source_outcome outcome;
	enum http_transfer_step step;

	step = http_transfer_finish(t, code, stalled, may_wait, clock_monotonic_ns(), &outcome);
	take_step(loop, t, job, step, &outcome);
}

/* Those who wait for the files with the login to be read go on, if they have been. */
static void resume_renewed(struct http_loop *loop)
{
	uint64_t reading = http_auth_renewed(loop->session.auth);
	struct http_transfer *t = reading ? TAILQ_FIRST(&loop->active) : NULL;

	while (t) {
		struct http_transfer *next = TAILQ_NEXT(t, link);
		struct http_job *job = t->job;
		struct source_outcome outcome;
		enum http_transfer_step step;

		if (t->reading) {
			step = http_transfer_renewed(t, reading, clock_monotonic_ns(), &outcome);
			take_step(loop, t, job, step, &outcome);
		}
		t = next;
	}
}

/* On the thread that reads files. */
static void on_renewed(void *user)
{
	struct http_loop *loop = user;

	http_pump_wake(&loop->pump);
}

static void on_ended(void *user, CURL *easy, CURLcode code)
{
	struct http_transfer *t;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
	finish_transfer(user, t, code, false);
}

/* Takes out what brought no byte for too long; returns the earliest deadline of the others. */
static uint64_t expire(struct http_loop *loop)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t earliest = UINT64_MAX;
	struct http_transfer *t = TAILQ_FIRST(&loop->active);

	while (t) {
		struct http_transfer *next = TAILQ_NEXT(t, link);
		uint64_t deadline = http_transfer_deadline(t);

		if (deadline <= now) {
			http_pump_remove(&loop->pump, t->easy);
			finish_transfer(loop, t, CURLE_OPERATION_TIMEDOUT, true);
		} else if (deadline < earliest) {
			earliest = deadline;
		}
		t = next;
	}
	return earliest;
}

/* --- the beginning of requests ------------------------------------------------------------ */

static struct http_transfer *take_transfer(struct http_loop *loop)
{
	struct http_transfer *t = TAILQ_FIRST(&loop->idle);

	if (t) {
		TAILQ_REMOVE(&loop->idle, t, link);
	} else {
		t = http_transfer_new(&loop->session);
		if (!t)
			return NULL;
	}
	TAILQ_INSERT_TAIL(&loop->active, t, link);
	t->has_slot = true;
	loop->nr_slots++;
	return t;
}

static void start_job(struct http_loop *loop, struct http_job *job)
{
	struct http_transfer *t = take_transfer(loop);

	if (!t) {
		end_without_memory(loop, job);
		return;
	}
	if ((loop->no_conditions && !job->probe) ||
	    http_transfer_prepare(t, job, clock_monotonic_ns()) < 0) {
		release_transfer(loop, t);
		end_without_memory(loop, job);
	} else if (http_pump_add(&loop->pump, t->easy) < 0) {
		http_transfer_abandon(t);
		release_transfer(loop, t);
		end_without_memory(loop, job);
	}
}

static struct http_job *next_pending(struct http_loop *loop)
{
	for (int class = 0; class < NR_CLASSES; class ++) {
		struct http_job *job = TAILQ_FIRST(&loop->pending[class]);

		if (job) {
			TAILQ_REMOVE(&loop->pending[class], job, pending);
			return job;
		}
	}
	return NULL;
}

static void start_pending(struct http_loop *loop)
{
	struct http_job *job;

	while (loop->nr_slots < loop->max_connections && (job = next_pending(loop)))
		start_job(loop, job);
}

/* --- commands ----------------------------------------------------------------------------- */

struct command {
	struct http_job *job;
	bool is_new, cancel, resume;
};

static bool take_command(struct http_loop *loop, struct command *ret)
{
	struct http_job *job;

	cf_lock(&loop->lock);
	/* What was submitted after a pin must not run before it. */
	job = loop->identity_is_new ? NULL : TAILQ_FIRST(&loop->commands);
	if (job) {
		TAILQ_REMOVE(&loop->commands, job, command);
		*ret = (struct command){
		        .job = job,
		        .is_new = job->is_new,
		        .cancel = job->cancel_wanted || loop->closing,
		        .resume = job->resume_wanted,
		};
		job->commanded = false;
		job->is_new = false;
		job->resume_wanted = false;
	}
	cf_unlock(&loop->lock);
	return job != NULL;
}

static void unpause(struct http_loop *loop, struct http_transfer *t)
{
	CURLcode code = http_transfer_unpause(t, clock_monotonic_ns());

	/* What curl had kept is lost then, and the multi would go on behind it. */
	if (code != CURLE_OK) {
		http_pump_remove(&loop->pump, t->easy);
		finish_transfer(loop, t, code, false);
	}
}

static void run_command(struct http_loop *loop, const struct command *command)
{
	struct http_job *job = command->job;

	if (command->cancel) {
		if (job->transfer)
			abandon_transfer(loop, job->transfer);
		else if (!command->is_new)
			TAILQ_REMOVE(&loop->pending[job->base.class], job, pending);
		end_cancelled(loop, job);
	} else if (command->is_new) {
		TAILQ_INSERT_TAIL(&loop->pending[job->base.class], job, pending);
	} else if (command->resume && job->transfer) {
		unpause(loop, job->transfer);
	}
}

static void run_commands(struct http_loop *loop)
{
	struct command command;

	while (take_command(loop, &command))
		run_command(loop, &command);
}

static void end_overtaken(struct http_loop *loop, struct http_transfer *t)
{
	struct http_job *job = t->job;
	struct source_outcome outcome;

	abandon_transfer(loop, t);
	(void)http_reply_outcome(&outcome, SOURCE_FAILED, -EIO,
	                         "another version of the source was pinned meanwhile");
	end_job(loop, job, &outcome);
}

static void apply_identity(struct http_loop *loop, const struct source_identity *identity)
{
	struct http_transfer *t = TAILQ_FIRST(&loop->active);
	bool ok;

	loop->session.identity = *identity;
	/* Running transfers still use the old header list. There are none as a rule, since the
	 * source is pinned before the first request. */
	while (t) {
		struct http_transfer *next = TAILQ_NEXT(t, link);

		if (!t->job->probe)
			end_overtaken(loop, t);
		t = next;
	}
	curl_slist_free_all(loop->session.conditions);
	loop->session.conditions = http_transfer_conditions(identity, &ok);
	loop->no_conditions = !ok;
}

static void apply_limits(struct http_loop *loop, const struct source_limits *limits)
{
	loop->session.stall_ms = limits->stall_ms;
	loop->max_connections = limits->max_connections;
	http_pump_limit(&loop->pump, limits->max_connections);
}

static void apply_news(struct http_loop *loop)
{
	struct source_identity identity;
	struct source_limits limits;
	bool new_identity, new_limits;

	cf_lock(&loop->lock);
	new_identity = loop->identity_is_new;
	new_limits = loop->limits_are_new;
	if (new_identity)
		identity = loop->new_identity;
	if (new_limits)
		limits = loop->new_limits;
	loop->identity_is_new = false;
	loop->limits_are_new = false;
	cf_unlock(&loop->lock);
	if (new_limits)
		apply_limits(loop, &limits);
	if (new_identity)
		apply_identity(loop, &identity);
}

/* --- the thread --------------------------------------------------------------------------- */

/* True: there is nothing to do before an event or a timer. False: commands have come. */
static bool fall_asleep(struct http_loop *loop)
{
	bool asleep;

	cf_lock(&loop->lock);
	asleep = TAILQ_EMPTY(&loop->commands) && !loop->identity_is_new && !loop->limits_are_new &&
	         !loop->closing;
	loop->asleep = asleep;
	cf_unlock(&loop->lock);
	return asleep;
}

static void wake_up(struct http_loop *loop)
{
	cf_lock(&loop->lock);
	loop->asleep = false;
	cf_unlock(&loop->lock);
}

/* Cancels everything; true: nothing is left. */
static bool close_down(struct http_loop *loop)
{
	struct http_transfer *t;
	struct http_job *job;
	bool closing, empty;

	cf_lock(&loop->lock);
	closing = loop->closing;
	cf_unlock(&loop->lock);
	if (!closing)
		return false;
	while ((t = TAILQ_FIRST(&loop->active))) {
		job = t->job;
		abandon_transfer(loop, t);
		end_cancelled(loop, job);
	}
	while ((job = next_pending(loop)))
		end_cancelled(loop, job);
	cf_lock(&loop->lock);
	empty = loop->nr_jobs == 0;
	cf_unlock(&loop->lock);
	return empty;
}

static void *loop_main(void *user)
{
	struct http_loop *loop = user;

	for (;;) {
		uint64_t due;

		apply_news(loop);
		run_commands(loop);
		if (close_down(loop))
			break;
		resume_renewed(loop);
		start_pending(loop);
		http_pump_run_timer(&loop->pump);
		/* One in a turn: whom its data let go on, or what became free by its end, is at the
		 * server again while the others are being read. */
		if (http_pump_run_socket(&loop->pump))
			continue;
		due = expire(loop);
		/* That may have ended some. */
		start_pending(loop);
		http_pump_wait(&loop->pump, fall_asleep(loop) ? due : 0);
		wake_up(loop);
	}
	return NULL;
}

/* --- opening and closing ------------------------------------------------------------------ */

static void free_transfers(struct http_transfer_list *list)
{
	struct http_transfer *t;

	while ((t = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, t, link);
		http_transfer_free(t);
	}
}

/* All but the thread. */
static void destroy(struct http_loop *loop)
{
	/* First of all, as it wakes the pump. */
	http_auth_free(loop->session.auth);
	free_transfers(&loop->idle);
	http_pump_fini(&loop->pump);
	curl_slist_free_all(loop->session.conditions);
	http_url_unref(loop->session.remembered);
	http_url_unref(loop->session.original);
	free(loop->session.cacert);
	cf_mutex_fini(&loop->lock);
	free(loop);
}

/* Signals are for the daemon's own thread. */
static int start_thread(struct http_loop *loop)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loop->thread, NULL, loop_main, loop);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		(void)pthread_setname_np(loop->thread, "clonefs-net");
	return -r;
}

static struct http_loop *new_loop(const char *cacert)
{
	struct http_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	if (cacert) {
		loop->session.cacert = strdup(cacert);
		if (!loop->session.cacert) {
			free(loop);
			return NULL;
		}
	}
	TAILQ_INIT(&loop->active);
	TAILQ_INIT(&loop->idle);
	TAILQ_INIT(&loop->commands);
	for (int class = 0; class < NR_CLASSES; class ++)
		TAILQ_INIT(&loop->pending[class]);
	cf_mutex_init(&loop->lock);
	return loop;
}

int http_loop_open(struct http_url *url, struct http_auth *auth, const struct source_options *opts,
                   struct http_loop **ret, struct cf_error *err)
{
	const struct source_limits limits = {
	        .max_connections = opts->max_connections,
	        .stall_ms = opts->stall_ms,
	};
	struct http_loop *loop = new_loop(opts->cacert);
	int r = loop ? http_pump_init(&loop->pump, on_ended, loop) : -ENOMEM;

	if (r < 0)
		goto free_loop;
	loop->session.original = url;
	loop->session.auth = auth;
	loop->session.insecure_redirect = opts->insecure_redirect;
	loop->session.has_bundle = http_transfer_system_has_bundle();
	apply_limits(loop, &limits);
	r = start_thread(loop);
	if (r < 0)
		goto fini_pump;
	http_auth_watch(auth, on_renewed, loop);
	*ret = loop;
	return 0;

fini_pump:
	http_pump_fini(&loop->pump);
free_loop:
	if (loop) {
		cf_mutex_fini(&loop->lock);
		free(loop->session.cacert);
	}
	free(loop);
	return cf_error_errno(err, r, "the source cannot be opened");
}

void http_loop_close(struct http_loop *loop)
{
	cf_lock(&loop->lock);
	loop->closing = true;
	wake_locked(loop);
	cf_unlock(&loop->lock);
	(void)pthread_join(loop->thread, NULL);
	destroy(loop);
}
