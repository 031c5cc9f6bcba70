#include "tests/support/memory_source.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

#define WAIT_NS (60 * CF_NS_PER_S)

/* One submitted request, until its done() is called. */
struct job {
	struct job *next;
	struct source_request *req;
	bool served; /* a thread has it */
	bool cancelled;
	bool resumed;
	bool dead; /* its packets were swallowed */
};

struct plan {
	unsigned int count;
	enum source_result result;
	uint64_t bytes;
	uint64_t retry_after_ms;
};

struct memory_source {
	struct source source;
	const unsigned char *data; /* borrowed */
	uint64_t size;
	pthread_t *threads;
	unsigned int nr_threads;

	struct cf_mutex lock; /* protects all below */
	struct cf_cond changed;
	bool stop;
	struct job *jobs;
	size_t nr_open, most_open;
	size_t nr_ending; /* open, but their done() is being called: that may submit another */
	unsigned int nr_held;
	unsigned int nr_serving, most_serving;
	uint64_t nr_refused;
	uint64_t gate;
	uint64_t gated_length; /* requests that are so long stop at the gate */
	uint64_t swallow;      /* requests that are so long */
	size_t chunk;
	unsigned int delay_us;
	uint64_t random;
	struct plan plan;
	enum source_result broken;
	struct memory_source_asked *asked;
	size_t nr_asked, max_asked;
	uint64_t nr_bytes, nr_cancelled;
	unsigned int nr_failing_shares;
	int share_error;
	uint64_t nr_shares, nr_shared;
	struct source_limits limits;
};

static uint64_t next_random(struct memory_source *ms) CF_REQUIRES(&ms->lock)
{
	ms->random = ms->random * 6364136223846793005u + 1442695040888963407u;
	return ms->random >> 33;
}

/* ---- serving ---- */

static struct job *pick_job(struct memory_source *ms) CF_REQUIRES(&ms->lock)
{
	struct job *waiting[64];
	unsigned int nr = 0;

	for (struct job *job = ms->jobs; job && nr < 64; job = job->next) {
		if (!job->served)
			waiting[nr++] = job;
	}
	if (!nr)
		return NULL;
	return waiting[ms->delay_us ? next_random(ms) % nr : 0];
}

static struct plan take_plan(struct memory_source *ms) CF_REQUIRES(&ms->lock)
{
	struct plan plan = {.result = SOURCE_OK, .bytes = UINT64_MAX};

	if (ms->broken != SOURCE_OK)
		return (struct plan){.result = ms->broken};
	if (ms->plan.count) {
		ms->plan.count--;
		plan = ms->plan;
	}
	return plan;
}

static bool is_held(struct memory_source *ms, const struct job *job, uint64_t done)
        CF_REQUIRES(&ms->lock)
{
	return !job->cancelled && !ms->stop &&
	       (job->dead || (done >= ms->gate && job->req->length >= ms->gated_length));
}

/* Waits at the gate; how many bytes may go now, 0: it was cancelled. */
static uint64_t pass_gate(struct memory_source *ms, struct job *job, uint64_t done)
        CF_REQUIRES(&ms->lock)
{
	if (is_held(ms, job, done)) {
		ms->nr_held++;
		/* Once: those who stand here would wake each other for ever. */
		cf_cond_broadcast(&ms->changed);
		while (is_held(ms, job, done))
			cf_cond_wait(&ms->changed, &ms->lock);
		ms->nr_held--;
	}
	if (job->cancelled || ms->stop)
		return 0;
	return job->req->length < ms->gated_length ? UINT64_MAX : ms->gate - done;
}

static bool deliver(struct memory_source *ms, struct job *job, uint64_t offset, uint64_t length)
        CF_REQUIRES(&ms->lock)
{
	unsigned int delay =
	        ms->delay_us ? (unsigned int)(next_random(ms) % (ms->delay_us + 1)) : 0;
	/* A copy of the right size: reading behind it is an error that sanitizers see. */
	unsigned char *bytes = malloc(length);
	bool taken;

	if (!bytes)
		abort();
	job->resumed = false;
	/* Counted before they are told: whoever is answered by them may ask. */
	ms->nr_bytes += length;
	cf_unlock(&ms->lock);
	if (delay)
		(void)usleep(delay);
	memcpy(bytes, ms->data + offset, length);
	taken = job->req->sink->data(job->req, bytes, length);
	memset(bytes, 0xEE, length);
	free(bytes);
	cf_lock(&ms->lock);
	if (taken)
		return true;
	ms->nr_bytes -= length;
	ms->nr_held++;
	cf_cond_broadcast(&ms->changed);
	while (!job->resumed && !job->cancelled && !ms->stop)
		cf_cond_wait(&ms->changed, &ms->lock);
	ms->nr_held--;
	return false;
}

static enum source_result serve(struct memory_source *ms, struct job *job, const struct plan *plan)
        CF_REQUIRES(&ms->lock)
{
	const struct source_request *req = job->req;
	uint64_t length = req->length < plan->bytes ? req->length : plan->bytes;
	uint64_t done = 0;

	for (;;) {
		uint64_t n = pass_gate(ms, job, done);

		if (!n)
			return SOURCE_CANCELLED;
		if (done == length)
			return plan->result;
		if (n > length - done)
			n = length - done;
		if (n > ms->chunk)
			n = ms->chunk;
		if (deliver(ms, job, req->offset + done, n))
			done += n;
	}
}

static void finish(struct memory_source *ms, struct job *job, struct source_outcome outcome)
        CF_REQUIRES(&ms->lock)
{
	struct source_request *req = job->req;

	if (outcome.result != SOURCE_OK && outcome.result != SOURCE_CANCELLED)
		(void)cf_error_set(&outcome.error, -5, "the memory source was told to end with %d",
		                   (int)outcome.result);
	if (outcome.result == SOURCE_CANCELLED)
		ms->nr_cancelled++;
	for (struct job **at = &ms->jobs; *at; at = &(*at)->next) {
		if (*at == job) {
			*at = job->next;
			break;
		}
	}
	free(job);
	ms->nr_ending++;
	cf_unlock(&ms->lock);
	req->sink->done(req, &outcome);
	cf_lock(&ms->lock);
	ms->nr_ending--;
	ms->nr_open--;
	cf_cond_broadcast(&ms->changed);
}

static struct source_outcome serve_or_refuse(struct memory_source *ms, struct job *job)
        CF_REQUIRES(&ms->lock)
{
	struct source_outcome outcome = {.result = SOURCE_FAILED, .pushback = true};
	struct plan plan;

	if (ms->nr_serving >= ms->most_serving) {
		ms->nr_refused++;
		return outcome;
	}
	ms->nr_serving++;
	plan = take_plan(ms);
	outcome.result = serve(ms, job, &plan);
	outcome.retry_after_ms = plan.retry_after_ms;
	outcome.pushback = plan.retry_after_ms > 0;
	ms->nr_serving--;
	return outcome;
}

static void *run(void *arg)
{
	struct memory_source *ms = arg;

	cf_lock(&ms->lock);
	for (;;) {
		struct job *job = pick_job(ms);

		if (!job && ms->stop)
			break;
		if (!job) {
			cf_cond_wait(&ms->changed, &ms->lock);
			continue;
		}
		job->served = true;
		finish(ms, job, serve_or_refuse(ms, job));
	}
	cf_unlock(&ms->lock);
	return NULL;
}

/* ---- the table ---- */

static struct memory_source *of(struct source *source)
{
	return (struct memory_source *)source;
}

static int op_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                    struct cf_error *err)
{
	(void)timeout_ms;
	(void)err;
	*ret_probe = (struct source_probe){.identity = {.size = of(source)->size}};
	return 0;
}

static void op_pin(struct source *source, const struct source_identity *identity)
{
	(void)source;
	(void)identity;
}

static void remember(struct memory_source *ms, const struct source_request *req)
        CF_REQUIRES(&ms->lock)
{
	if (ms->nr_asked == ms->max_asked) {
		ms->max_asked = ms->max_asked ? ms->max_asked * 2 : 64;
		ms->asked = realloc(ms->asked, ms->max_asked * sizeof(ms->asked[0]));
		if (!ms->asked)
			abort();
	}
	ms->asked[ms->nr_asked++] = (struct memory_source_asked){
	        .offset = req->offset,
	        .length = req->length,
	        .class = req->class,
	        .fresh_connection = req->fresh_connection,
	};
}

static void op_submit(struct source *source, struct source_request *req)
{
	struct memory_source *ms = of(source);
	struct job *job = calloc(1, sizeof(*job));
	struct job **at = &ms->jobs;

	if (!job)
		abort();
	job->req = req;
	cf_lock(&ms->lock);
	assert(req->offset + req->length <= ms->size);
	job->dead = req->length >= ms->swallow;
	while (*at)
		at = &(*at)->next;
	*at = job;
	if (++ms->nr_open - ms->nr_ending > ms->most_open)
		ms->most_open = ms->nr_open - ms->nr_ending;
	remember(ms, req);
	cf_cond_broadcast(&ms->changed);
	cf_unlock(&ms->lock);
}

static void tell_job(struct memory_source *ms, const struct source_request *req, bool cancelled)
{
	cf_lock(&ms->lock);
	for (struct job *job = ms->jobs; job; job = job->next) {
		if (job->req != req)
			continue;
		if (cancelled)
			job->cancelled = true;
		else
			job->resumed = true;
	}
	cf_cond_broadcast(&ms->changed);
	cf_unlock(&ms->lock);
}

static void op_cancel(struct source *source, struct source_request *req)
{
	tell_job(of(source), req, true);
}

static void op_resume(struct source *source, struct source_request *req)
{
	tell_job(of(source), req, false);
}

static void op_configure(struct source *source, const struct source_limits *limits)
{
	cf_lock(&of(source)->lock);
	of(source)->limits = *limits;
	cf_unlock(&of(source)->lock);
}

/* As a file system would: what has failed may have put some or all of it there. */
static int op_share(struct source *source, struct block_io *destination, uint64_t offset,
                    uint64_t length)
{
	struct memory_source *ms = of(source);
	int error = 0;
	int r;

	cf_lock(&ms->lock);
	assert(offset + length <= ms->size);
	ms->nr_shares++;
	if (ms->nr_failing_shares) {
		ms->nr_failing_shares--;
		error = ms->share_error;
	}
	cf_unlock(&ms->lock);
	r = block_io_pwrite(destination, ms->data + offset, error ? length / 2 : length, offset);
	if (r < 0 || error)
		return error ? error : r;
	cf_lock(&ms->lock);
	ms->nr_shared += length;
	cf_unlock(&ms->lock);
	return 0;
}

static void op_close(struct source *source)
{
	struct memory_source *ms = of(source);

	cf_lock(&ms->lock);
	ms->stop = true;
	cf_cond_broadcast(&ms->changed);
	cf_unlock(&ms->lock);
	for (unsigned int i = 0; i < ms->nr_threads; i++)
		(void)pthread_join(ms->threads[i], NULL);
	cf_cond_fini(&ms->changed);
	cf_mutex_fini(&ms->lock);
	free(ms->threads);
	free(ms->asked);
	free(ms);
}

#define OPS_OF_ALL                                                               \
	.name = "memory", .probe = op_probe, .pin = op_pin, .submit = op_submit, \
	.cancel = op_cancel, .resume = op_resume, .configure = op_configure, .close = op_close

static const struct source_ops ops = {OPS_OF_ALL};
static const struct source_ops sharing_ops = {OPS_OF_ALL, .share = op_share};
static const struct source_ops connected_ops = {OPS_OF_ALL, .connected = true};

struct memory_source *memory_source_new(const void *data, uint64_t size, unsigned int nr_threads)
{
	static char shown[] = "memory";
	struct memory_source *ms = calloc(1, sizeof(*ms));

	if (!ms)
		abort();
	ms->source = (struct source){.ops = &ops, .shown = shown};
	ms->data = data;
	ms->size = size;
	ms->gate = UINT64_MAX;
	ms->most_serving = UINT_MAX;
	ms->swallow = UINT64_MAX;
	ms->chunk = (size_t)128 << 10;
	ms->broken = SOURCE_OK;
	cf_mutex_init(&ms->lock);
	cf_cond_init(&ms->changed);
	ms->threads = calloc(nr_threads, sizeof(ms->threads[0]));
	if (!ms->threads)
		abort();
	while (ms->nr_threads < nr_threads) {
		if (pthread_create(&ms->threads[ms->nr_threads], NULL, run, ms))
			abort();
		ms->nr_threads++;
	}
	return ms;
}

void memory_source_free(struct memory_source *ms)
{
	if (ms)
		op_close(&ms->source);
}

struct source *memory_source_base(struct memory_source *ms)
{
	return &ms->source;
}

/* ---- telling and asking ---- */

void memory_source_gate(struct memory_source *ms, uint64_t bytes)
{
	cf_lock(&ms->lock);
	ms->gate = bytes;
	cf_cond_broadcast(&ms->changed);
	cf_unlock(&ms->lock);
}

void memory_source_gate_from(struct memory_source *ms, uint64_t length)
{
	cf_lock(&ms->lock);
	ms->gated_length = length;
	cf_unlock(&ms->lock);
}

void memory_source_connect(struct memory_source *ms)
{
	ms->source.ops = &connected_ops;
}

void memory_source_swallow(struct memory_source *ms, uint64_t length)
{
	cf_lock(&ms->lock);
	ms->swallow = length;
	for (struct job *job = ms->jobs; job; job = job->next)
		job->dead = job->dead || job->req->length >= length;
	cf_unlock(&ms->lock);
}

void memory_source_set_chunk(struct memory_source *ms, size_t bytes)
{
	cf_lock(&ms->lock);
	ms->chunk = bytes;
	cf_unlock(&ms->lock);
}

void memory_source_set_delay(struct memory_source *ms, unsigned int max_us, uint64_t seed)
{
	cf_lock(&ms->lock);
	ms->delay_us = max_us;
	ms->random = seed;
	cf_unlock(&ms->lock);
}

void memory_source_plan(struct memory_source *ms, unsigned int count, enum source_result result,
                        uint64_t bytes, uint64_t retry_after_ms)
{
	cf_lock(&ms->lock);
	ms->plan = (struct plan){
	        .count = count,
	        .result = result,
	        .bytes = bytes,
	        .retry_after_ms = retry_after_ms,
	};
	cf_unlock(&ms->lock);
}

void memory_source_refuse_above(struct memory_source *ms, unsigned int nr)
{
	cf_lock(&ms->lock);
	ms->most_serving = nr;
	cf_unlock(&ms->lock);
}

void memory_source_break(struct memory_source *ms, enum source_result result)
{
	cf_lock(&ms->lock);
	ms->broken = result;
	cf_unlock(&ms->lock);
}

void memory_source_let_share(struct memory_source *ms)
{
	ms->source.ops = &sharing_ops;
}

void memory_source_fail_shares(struct memory_source *ms, unsigned int count, int error)
{
	cf_lock(&ms->lock);
	ms->nr_failing_shares = count;
	ms->share_error = error;
	cf_unlock(&ms->lock);
}

struct memory_source_asked memory_source_asked(struct memory_source *ms, size_t i)
{
	struct memory_source_asked asked;

	cf_lock(&ms->lock);
	assert(i < ms->nr_asked);
	asked = ms->asked[i];
	cf_unlock(&ms->lock);
	return asked;
}

static void wait_or_abort(struct memory_source *ms, uint64_t until_ns, const char *what)
        CF_REQUIRES(&ms->lock)
{
	if (!cf_cond_wait_until(&ms->changed, &ms->lock, until_ns)) {
		(void)fprintf(stderr, "memory_source: waited a minute for %s\n", what);
		abort();
	}
}

void memory_source_wait_asked(struct memory_source *ms, size_t nr)
{
	uint64_t until_ns = clock_monotonic_ns() + WAIT_NS;

	cf_lock(&ms->lock);
	while (ms->nr_asked < nr)
		wait_or_abort(ms, until_ns, "requests");
	cf_unlock(&ms->lock);
}

void memory_source_wait_held(struct memory_source *ms, unsigned int nr)
{
	uint64_t until_ns = clock_monotonic_ns() + WAIT_NS;

	cf_lock(&ms->lock);
	while (ms->nr_held < nr)
		wait_or_abort(ms, until_ns, "requests at the gate");
	cf_unlock(&ms->lock);
}

static uint64_t get(struct memory_source *ms, const uint64_t *field)
{
	uint64_t value;

	cf_lock(&ms->lock);
	value = *field;
	cf_unlock(&ms->lock);
	return value;
}

size_t memory_source_nr_asked(struct memory_source *ms)
{
	return get(ms, &ms->nr_asked);
}

uint64_t memory_source_nr_refused(struct memory_source *ms)
{
	return get(ms, &ms->nr_refused);
}

size_t memory_source_nr_open(struct memory_source *ms)
{
	return get(ms, &ms->nr_open);
}

size_t memory_source_most_open(struct memory_source *ms)
{
	return get(ms, &ms->most_open);
}

uint64_t memory_source_nr_bytes(struct memory_source *ms)
{
	return get(ms, &ms->nr_bytes);
}

uint64_t memory_source_nr_cancelled(struct memory_source *ms)
{
	return get(ms, &ms->nr_cancelled);
}

uint64_t memory_source_nr_shares(struct memory_source *ms)
{
	return get(ms, &ms->nr_shares);
}

uint64_t memory_source_nr_shared(struct memory_source *ms)
{
	return get(ms, &ms->nr_shared);
}

struct source_limits memory_source_limits(struct memory_source *ms)
{
	struct source_limits limits;

	cf_lock(&ms->lock);
	limits = ms->limits;
	cf_unlock(&ms->lock);
	return limits;
}
