/*
 * The file source: a regular file or block device, read by a few threads through the page cache.
 *
 * A read of a local file cannot be broken off (a disk or NFS server that does not answer holds the
 * thread), but nobody has to wait for it: while a reader is in the kernel its request can be taken
 * away from it and ended by the finisher thread; the reader notices when it comes back.
 *
 * Threads: everything but the constants is under @lock, which is not held while a sink or the disk
 * is at work. Who moves a request:
 *
 *   queued --reader--> running --reader--> done()
 *     |  ^               |  |
 *     |  +--resume--parked  +---- cancelled or stalled, and not in the sink
 *     |               |                   |
 *     +---cancelled---+--> finishing <----+   --finisher--> done()
 *
 * Invariants:
 * 1. A request's room is touched only under @lock and while req->backend points to it; by its
 *    reader also without the lock while it is in the sink, when nobody takes it away.
 * 2. A piece is delivered only after file_piece_read() found the file to be what is pinned.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "backends/backends_internal.h"
#include "backends/file_examine.h"
#include "backends/file_piece.h"
#include "backends/job.h"
#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

#define NR_READERS  4
#define NR_CLASSES  (SOURCE_BACKGROUND + 1)
#define CHUNK_BYTES 262144u
/* A reader that sits in the kernel for longer when the source is closed is left behind. */
#define CLOSE_WAIT_NS (2 * CF_NS_PER_S)

enum file_job_state { JOB_QUEUED, JOB_RUNNING, JOB_PARKED, JOB_FINISHING };

struct file_job {
	struct source_job base; /* first */
	TAILQ_ENTRY(file_job) link;
	enum file_job_state state;
	bool cancelled;
	bool resumed;
	bool stalled;  /* finishing: taken away because nothing came */
	bool reopened; /* a fresh connection was asked for and made */
};

static_assert(sizeof(struct file_job) <= SOURCE_BACKEND_ROOM, "a file_job must fit the room");

TAILQ_HEAD(file_job_list, file_job);

struct file_source;

struct file_reader {
	struct file_source *file;
	pthread_t thread;
	unsigned char *buffer; /* owned, CHUNK_BYTES */
	/* Under the source's lock: */
	struct file_job *job; /* what it is at; NULL: nothing, or it was taken away */
	bool in_sink;
	uint64_t since_ns; /* it has been in the kernel since */
	bool has_ended;
};

struct file_source {
	struct source source; /* first */
	char *path;           /* owned */
	pthread_t finisher;
	unsigned int nr_readers;

	struct cf_mutex lock;  /* protects what follows */
	struct cf_cond work;   /* for readers */
	struct cf_cond chores; /* for the finisher, and for close */
	struct file_reader readers[NR_READERS];
	struct file_job_list queued[NR_CLASSES];
	struct file_job_list parked;
	struct file_job_list finishing;
	uint64_t nr_jobs;
	struct file_handle *handle; /* one reference; NULL: to be opened */
	struct source_identity identity;
	uint64_t stall_ns;
	bool closing;
	bool left_behind; /* closed, while readers still sit in the kernel: the last one frees it */
};

static struct file_source *file_of(struct source *source)
{
	return (struct file_source *)source;
}

/* --- the open file ------------------------------------------------------------------------ */

static void handle_unref_locked(struct file_source *file, struct file_handle *handle)
        CF_REQUIRES(&file->lock)
{
	(void)file;
	if (handle && !--handle->refs)
		file_handle_free(handle);
}

/* Puts @handle (a reference) in the place of the one in use. */
static void handle_replace_locked(struct file_source *file, struct file_handle *handle)
        CF_REQUIRES(&file->lock)
{
	handle_unref_locked(file, file->handle);
	file->handle = handle;
}

/* --- readers ------------------------------------------------------------------------------ */

static struct file_job *next_queued_locked(struct file_source *file) CF_REQUIRES(&file->lock)
{
	for (int class = 0; class < NR_CLASSES; class ++) {
		struct file_job *job = TAILQ_FIRST(&file->queued[class]);

		if (job) {
			TAILQ_REMOVE(&file->queued[class], job, link);
			return job;
		}
	}
	return NULL;
}

static void queue_locked(struct file_source *file, struct file_job *job) CF_REQUIRES(&file->lock)
{
	job->state = JOB_QUEUED;
	TAILQ_INSERT_TAIL(&file->queued[job->base.class], job, link);
	cf_cond_signal(&file->work);
}

static void finish_later_locked(struct file_source *file, struct file_job *job)
        CF_REQUIRES(&file->lock)
{
	job->state = JOB_FINISHING;
	TAILQ_INSERT_TAIL(&file->finishing, job, link);
	cf_cond_broadcast(&file->chores);
}

/* Ends a request that is in no list; drops the lock around done(). */
static void end_job_locked(struct file_source *file, struct file_job *job,
                           const struct source_outcome *outcome) CF_REQUIRES(&file->lock)
{
	job->base.req->backend = NULL;
	cf_unlock(&file->lock);
	source_job_done(&job->base, outcome);
	cf_lock(&file->lock);
	file->nr_jobs--;
	if (!file->nr_jobs)
		cf_cond_broadcast(&file->chores);
}

static void begin_piece_locked(struct file_source *file, struct file_reader *reader,
                               struct file_job *job, struct file_piece *piece)
        CF_REQUIRES(&file->lock)
{
	const struct source_request *req = job->base.req;
	uint64_t left = req->length - job->base.delivered;
	bool reopen = req->fresh_connection && !job->reopened;

	*piece = (struct file_piece){
	        .offset = req->offset + job->base.delivered,
	        .length = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES,
	        .fresh = reopen || !file->handle,
	        .handle = reopen ? NULL : file->handle,
	        .identity = file->identity,
	};
	if (piece->handle)
		piece->handle->refs++;
	job->reopened |= reopen;
	job->state = JOB_RUNNING;
	reader->job = job;
	reader->in_sink = false;
	reader->since_ns = clock_monotonic_ns();
	/* The finisher watches how long it stays there. */
	cf_cond_broadcast(&file->chores);
}

/* Keeps a handle that was opened for this piece, drops one that is no good any more. */
static void end_piece_locked(struct file_source *file, struct file_piece *piece,
                             enum source_result result) CF_REQUIRES(&file->lock)
{
	if (piece->handle && piece->fresh && result == SOURCE_OK) {
		piece->handle->refs++;
		handle_replace_locked(file, piece->handle);
	} else if (piece->handle == file->handle && result == SOURCE_FAILED) {
		handle_replace_locked(file, NULL);
	}
	handle_unref_locked(file, piece->handle);
}

/* Hands the piece on, without the lock. True: go on with the request. */
static bool deliver_locked(struct file_source *file, struct file_reader *reader,
                           struct file_job *job, size_t length) CF_REQUIRES(&file->lock)
{
	bool taken;

	reader->in_sink = true;
	job->resumed = false;
	cf_unlock(&file->lock);
	taken = source_job_data(&job->base, reader->buffer, length);
	cf_lock(&file->lock);
	reader->in_sink = false;
	if (taken || job->cancelled || job->resumed)
		return true;
	reader->job = NULL;
	job->state = JOB_PARKED;
	TAILQ_INSERT_TAIL(&file->parked, job, link);
	return false;
}

/* Works on @job until it ends, is parked or was taken away. */
static void run_job_locked(struct file_source *file, struct file_reader *reader,
                           struct file_job *job) CF_REQUIRES(&file->lock)
{

	for (;;) {
		struct source_outcome outcome = {0};
		struct file_piece piece;

		if (job->cancelled) {
			outcome.result = SOURCE_CANCELLED;
		} else if (job->base.delivered < job->base.req->length) {
			begin_piece_locked(file, reader, job, &piece);
			cf_unlock(&file->lock);
			(void)file_piece_read(&piece, file->path, reader->buffer, &outcome);
			cf_lock(&file->lock);
			end_piece_locked(file, &piece, outcome.result);
			if (reader->job != job)
				return;
			if (outcome.result == SOURCE_OK) {
				if (!deliver_locked(file, reader, job, piece.length))
					return;
				continue;
			}
		}
		reader->job = NULL;
		end_job_locked(file, job, &outcome);
		return;
	}
}

static bool readers_have_ended_locked(const struct file_source *file) CF_REQUIRES(&file->lock)
{
	for (unsigned int i = 0; i < file->nr_readers; i++)
		if (!file->readers[i].has_ended)
			return false;
	return true;
}

static void free_file(struct file_source *file)
{
	for (unsigned int i = 0; i < NR_READERS; i++)
		free(file->readers[i].buffer);
	file_handle_free(file->handle);
	cf_cond_fini(&file->chores);
	cf_cond_fini(&file->work);
	cf_mutex_fini(&file->lock);
	free(file->path);
	free(file->source.shown);
	free(file);
}

static void *reader_main(void *user)
{
	struct file_reader *reader = user;
	struct file_source *file = reader->file;
	struct file_job *job;
	bool is_last;

	cf_lock(&file->lock);
	for (;;) {
		job = next_queued_locked(file);
		if (job)
			run_job_locked(file, reader, job);
		else if (file->closing)
			break;
		else
			cf_cond_wait(&file->work, &file->lock);
	}
	reader->has_ended = true;
	is_last = file->left_behind && readers_have_ended_locked(file);
	cf_cond_broadcast(&file->chores);
	cf_unlock(&file->lock);
	if (is_last)
		free_file(file);
	return NULL;
}

/* --- the finisher ------------------------------------------------------------------------- */

/* Takes requests away from readers that have been in the kernel for too long; returns when to look
 * again. */
static uint64_t take_stalled_locked(struct file_source *file) CF_REQUIRES(&file->lock)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t earliest = UINT64_MAX;

	for (unsigned int i = 0; i < file->nr_readers; i++) {
		struct file_reader *reader = &file->readers[i];
		uint64_t deadline = reader->since_ns + file->stall_ns;

		if (!reader->job || reader->in_sink)
			continue;
		if (deadline <= now) {
			reader->job->stalled = true;
			finish_later_locked(file, cf_steal(&reader->job));
		} else if (deadline < earliest) {
			earliest = deadline;
		}
	}
	return earliest;
}

static void finish_locked(struct file_source *file, struct file_job *job) CF_REQUIRES(&file->lock)
{
	struct source_outcome outcome = {.result = SOURCE_CANCELLED};

	if (job->stalled && !job->cancelled) {
		outcome.result = SOURCE_FAILED;
		(void)cf_error_set(&outcome.error, -EIO,
		                   "the source did not answer a read for %" PRIu64 " ms",
		                   file->stall_ns / CF_NS_PER_MS);
	}
	end_job_locked(file, job, &outcome);
}

static void *finisher_main(void *user)
{
	struct file_source *file = user;
	struct file_job *job;

	cf_lock(&file->lock);
	for (;;) {
		uint64_t due = take_stalled_locked(file);

		job = TAILQ_FIRST(&file->finishing);
		if (job) {
			TAILQ_REMOVE(&file->finishing, job, link);
			finish_locked(file, job);
		} else if (file->closing && !file->nr_jobs) {
			break;
		} else if (due == UINT64_MAX) {
			cf_cond_wait(&file->chores, &file->lock);
		} else {
			(void)cf_cond_wait_until(&file->chores, &file->lock, due);
		}
	}
	cf_unlock(&file->lock);
	return NULL;
}

/* --- the interface ------------------------------------------------------------------------ */

static int file_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                      struct cf_error *err)
{
	struct file_source *file = file_of(source);
	int fd;
	int r = file_examine_probe(file->path, timeout_ms, ret_probe, &fd, err);

	if (r < 0)
		return r;
	cf_lock(&file->lock);
	handle_replace_locked(file, file_handle_new(fd, ret_probe->is_device));
	cf_unlock(&file->lock);
	return 0;
}

static void file_pin(struct source *source, const struct source_identity *identity)
{
	struct file_source *file = file_of(source);

	cf_lock(&file->lock);
	file->identity = *identity;
	cf_unlock(&file->lock);
}

static void cancel_locked(struct file_source *file, struct file_job *job) CF_REQUIRES(&file->lock)
{
	if (job->cancelled)
		return;
	job->cancelled = true;
	switch (job->state) {
	case JOB_QUEUED:
		TAILQ_REMOVE(&file->queued[job->base.class], job, link);
		finish_later_locked(file, job);
		break;
	case JOB_PARKED:
		TAILQ_REMOVE(&file->parked, job, link);
		finish_later_locked(file, job);
		break;
	case JOB_RUNNING:
		for (unsigned int i = 0; i < file->nr_readers; i++) {
			struct file_reader *reader = &file->readers[i];

			if (reader->job == job && !reader->in_sink)
				finish_later_locked(file, cf_steal(&reader->job));
		}
		break;
	case JOB_FINISHING:
		break;
	}
}

static void file_submit(struct source *source, struct source_request *req)
{
	struct file_source *file = file_of(source);
	struct file_job *job;

	cf_lock(&file->lock);
	job = source_job_place(req, sizeof(*job));
	file->nr_jobs++;
	queue_locked(file, job);
	if (file->closing)
		cancel_locked(file, job);
	cf_unlock(&file->lock);
}

static void file_cancel(struct source *source, struct source_request *req)
{
	struct file_source *file = file_of(source);

	cf_lock(&file->lock);
	if (req->backend)
		cancel_locked(file, req->backend);
	cf_unlock(&file->lock);
}

static void file_resume(struct source *source, struct source_request *req)
{
	struct file_source *file = file_of(source);
	struct file_job *job;

	cf_lock(&file->lock);
	job = req->backend;
	if (job && job->state == JOB_PARKED) {
		TAILQ_REMOVE(&file->parked, job, link);
		queue_locked(file, job);
	} else if (job) {
		job->resumed = true;
	}
	cf_unlock(&file->lock);
}

static void file_configure(struct source *source, const struct source_limits *limits)
{
	struct file_source *file = file_of(source);

	cf_lock(&file->lock);
	file->stall_ns = limits->stall_ms * CF_NS_PER_MS;
	cf_cond_broadcast(&file->chores);
	cf_unlock(&file->lock);
}

static int file_share(struct source *source, struct block_io *destination, uint64_t offset,
                      uint64_t length)
{
	struct file_source *file = file_of(source);
	struct file_piece piece = {.offset = offset, .length = length};
	int r = -EAGAIN;

	/* Only a file that is open already: opening may take for ever. */
	cf_lock(&file->lock);
	piece.identity = file->identity;
	piece.handle = file->handle;
	if (piece.handle)
		piece.handle->refs++;
	cf_unlock(&file->lock);
	if (piece.handle)
		r = file_piece_share(&piece, destination);
	cf_lock(&file->lock);
	handle_unref_locked(file, piece.handle);
	cf_unlock(&file->lock);
	return r;
}

static void cancel_all_locked(struct file_source *file) CF_REQUIRES(&file->lock)
{
	struct file_job *job;

	while ((job = next_queued_locked(file))) {
		job->cancelled = true;
		finish_later_locked(file, job);
	}
	while ((job = TAILQ_FIRST(&file->parked)))
		cancel_locked(file, job);
	for (unsigned int i = 0; i < file->nr_readers; i++)
		if (file->readers[i].job)
			cancel_locked(file, file->readers[i].job);
}

static void file_close(struct source *source)
{
	struct file_source *file = file_of(source);
	uint64_t deadline = clock_monotonic_ns() + CLOSE_WAIT_NS;
	pthread_t threads[NR_READERS];
	unsigned int nr_threads;
	bool ended;

	cf_lock(&file->lock);
	file->closing = true;
	cancel_all_locked(file);
	cf_cond_broadcast(&file->work);
	cf_cond_broadcast(&file->chores);
	while (file->nr_jobs)
		cf_cond_wait(&file->chores, &file->lock);
	cf_unlock(&file->lock);
	(void)pthread_join(file->finisher, NULL);

	cf_lock(&file->lock);
	while (!(ended = readers_have_ended_locked(file)) &&
	       cf_cond_wait_until(&file->chores, &file->lock, deadline))
		;
	file->left_behind = !ended;
	nr_threads = file->nr_readers;
	for (unsigned int i = 0; i < nr_threads; i++)
		threads[i] = file->readers[i].thread;
	cf_unlock(&file->lock);
	for (unsigned int i = 0; i < nr_threads; i++) {
		if (ended)
			(void)pthread_join(threads[i], NULL);
		else
			(void)pthread_detach(threads[i]);
	}
	if (ended)
		free_file(file);
}

static const struct source_ops file_ops = {
        .name = "file",
        .probe = file_probe,
        .pin = file_pin,
        .submit = file_submit,
        .cancel = file_cancel,
        .resume = file_resume,
        .configure = file_configure,
        .share = file_share,
        .close = file_close,
};

/* The finisher first: without it nothing can be closed. */
static int start_threads(struct file_source *file)
{
	int r = pthread_create(&file->finisher, NULL, finisher_main, file);

	if (r)
		return -r;
	(void)pthread_setname_np(file->finisher, "clonefs-fin");
	for (unsigned int i = 0; i < NR_READERS; i++) {
		r = pthread_create(&file->readers[i].thread, NULL, reader_main, &file->readers[i]);
		if (r)
			break;
		(void)pthread_setname_np(file->readers[i].thread, "clonefs-src");
		cf_lock(&file->lock);
		file->nr_readers++;
		cf_unlock(&file->lock);
	}
	if (!r)
		return 0;
	file_close(&file->source);
	return -r;
}

static struct file_source *new_file(const char *path, const struct source_options *opts)
{
	struct file_source *file = calloc(1, sizeof(*file));
	bool complete = true;

	if (!file)
		return NULL;
	cf_mutex_init(&file->lock);
	cf_cond_init(&file->work);
	cf_cond_init(&file->chores);
	TAILQ_INIT(&file->parked);
	TAILQ_INIT(&file->finishing);
	for (int class = 0; class < NR_CLASSES; class ++)
		TAILQ_INIT(&file->queued[class]);
	for (unsigned int i = 0; i < NR_READERS; i++) {
		file->readers[i].file = file;
		file->readers[i].buffer = malloc(CHUNK_BYTES);
		complete &= file->readers[i].buffer != NULL;
	}
	file->stall_ns = opts->stall_ms * CF_NS_PER_MS;
	file->path = strdup(path);
	file->source = (struct source){.ops = &file_ops, .shown = strdup(path)};
	if (complete && file->path && file->source.shown)
		return file;
	free_file(file);
	return NULL;
}

int file_source_open(const char *path, const struct source_options *opts, struct source **ret,
                     struct cf_error *err)
{
	struct file_source *file = new_file(path, opts);
	sigset_t all, before;
	int r;

	if (!file)
		return cf_error_errno(err, -ENOMEM, "%s cannot be opened", path);
	/* Signals are for the daemon's own thread. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = start_threads(file);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return cf_error_errno(err, r, "%s cannot be opened", path);
	*ret = &file->source;
	return 0;
}
