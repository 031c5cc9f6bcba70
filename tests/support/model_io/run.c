/*
 * A crash, seen from main: errors are expected from now on; the kill command runs while operations
 * are under way; then workers stop at their next step and wait. When all do, the image is mounted
 * again, the model takes what it finds, and the workers go on.
 */
#include "tests/support/model_io/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mutex.h"

/* Bytes looked at after a crash that no write was pending on, in so many places. */
#define SAMPLES 40

struct running {
	const struct run_options *options;
	struct target target;
	_Atomic uint64_t begun; /* operations */
	_Atomic bool may_fail;  /* a crash is under way */
	struct cf_mutex lock;   /* protects what follows */
	struct cf_cond changed;
	bool stop;                  /* workers wait for the end of the crash */
	unsigned int parked, ended; /* workers */
	uint64_t generation;        /* crashes that are over */
	uint64_t crash_at;          /* begin a crash when so many operations have begun */
	uint64_t newer, pending;    /* bytes, over all crashes */
};

struct thread {
	pthread_t id;
	struct running *running;
	struct worker worker;
};

/* Waits if a crash stops the workers; a worker whose operation failed in it waits for that. */
static void park(struct running *running, struct worker *worker, bool failed)
{
	cf_lock(&running->lock);
	if (running->stop || failed) {
		uint64_t generation = running->generation;

		worker_close(worker);
		running->parked++;
		cf_cond_broadcast(&running->changed);
		while (running->generation == generation)
			cf_cond_wait(&running->changed, &running->lock);
		if (!worker_open(worker)) {
			perror(running->options->image);
			exit(1);
		}
	}
	cf_unlock(&running->lock);
}

static void give_up(struct running *running, const struct worker *worker)
{
	uint64_t page = worker->offset / 4096 * 4096;

	(void)fprintf(stderr,
	              "model_io: %s of %" PRIu64 " bytes at %" PRIu64 " (region %" PRIu64
	              ") failed%s%s; seed %" PRIu64 "\n",
	              worker->what, worker->length, worker->offset,
	              worker->offset / running->options->region_size, worker->error ? ": " : "",
	              worker->error ? strerror(worker->error) : "", running->options->seed);
	(void)fprintf(stderr, "what happened there before (0: without an end):\n");
	history_print(&running->target.history, page, worker->offset + worker->length);
	exit(1);
}

/* One more operation of the total is taken; main is told when a crash is due. */
static bool take_operation(struct running *running)
{
	uint64_t number = atomic_fetch_add(&running->begun, 1) + 1;

	cf_lock(&running->lock);
	if (number >= running->crash_at)
		cf_cond_broadcast(&running->changed);
	cf_unlock(&running->lock);
	return number <= running->options->operations;
}

static void *work(void *argument)
{
	struct thread *thread = argument;
	struct running *running = thread->running;

	while (take_operation(running)) {
		enum operation_result result = operation_run(&thread->worker);

		if (result == OPERATION_WRONG) {
			thread->worker.error = 0;
			give_up(running, &thread->worker);
		}
		if (result == OPERATION_FAILED && !atomic_load(&running->may_fail))
			give_up(running, &thread->worker);
		park(running, &thread->worker, result == OPERATION_FAILED);
	}
	cf_lock(&running->lock);
	running->ended++;
	cf_cond_broadcast(&running->changed);
	cf_unlock(&running->lock);
	return NULL;
}

static bool command(const char *text)
{
	int status = system(text);

	if (status == 0)
		return true;
	(void)fprintf(stderr, "model_io: status %d of: %s\n", status, text);
	return false;
}

static bool read_image(void *user, uint64_t offset, uint8_t *bytes, size_t length)
{
	const struct worker *worker = user;
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(worker->fd, bytes + done, length - done, (off_t)(offset + done));

		if (n <= 0) {
			(void)fprintf(stderr, "model_io: reading %zu bytes at %" PRIu64 ": %s\n",
			              length - done, offset + done,
			              n < 0 ? strerror(errno) : "the image ends");
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool compare(struct worker *worker, const char *what, uint64_t offset, uint64_t length)
{
	return read_image(worker, offset, worker->buffer, length) &&
	       model_check(worker->target->model, what, offset, worker->buffer, length);
}

static bool compare_samples(struct worker *worker)
{
	uint64_t size = model_size(worker->target->model);

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t offset = random_below(&worker->random, size);
		uint64_t length = 1 + random_below(&worker->random, 8192);

		if (length > size - offset)
			length = size - offset;
		if (!compare(worker, "after a crash: a read", offset, length))
			return false;
	}
	return true;
}

static bool compare_all(struct worker *worker, const char *what)
{
	uint64_t size = model_size(worker->target->model), length;

	for (uint64_t offset = 0; offset < size; offset += length) {
		length = size - offset < OPERATION_ROOM ? size - offset : OPERATION_ROOM;
		if (!compare(worker, what, offset, length))
			return false;
	}
	return true;
}

/* What is there now is the truth from now on, and safe. */
static bool take_stock(struct running *running, struct worker *worker)
{
	uint64_t newer, pending;

	if (!worker_open(worker)) {
		perror(running->options->image);
		return false;
	}
	if (!model_resolve(running->target.model, read_image, worker))
		return false;
	model_resolved(running->target.model, &newer, &pending);
	running->newer += newer;
	running->pending += pending;
	if (fsync(worker->fd) < 0) {
		perror("fsync after a crash");
		return false;
	}
	if (running->options->compare_all)
		return compare_all(worker, "after a crash: a read");
	return compare_samples(worker);
}

static bool crash(struct running *running, struct worker *worker)
{
	uint64_t number;
	bool fine;

	worker_close(worker);
	number = history_begin(&running->target.history, "crash", 0, UINT64_MAX);
	atomic_store(&running->may_fail, true);
	fine = command(running->options->kill);
	cf_lock(&running->lock);
	running->stop = true;
	while (running->parked + running->ended < running->options->threads)
		cf_cond_wait(&running->changed, &running->lock);
	cf_unlock(&running->lock);
	fine = fine && command(running->options->mount) && take_stock(running, worker);
	atomic_store(&running->may_fail, false);
	cf_lock(&running->lock);
	running->stop = false;
	running->parked = 0;
	running->generation++;
	history_end(&running->target.history, number, 0);
	cf_cond_broadcast(&running->changed);
	cf_unlock(&running->lock);
	return fine;
}

/* Waits until a crash is due; false: the workers have ended. */
static bool wait_for_crash(struct running *running, struct random *random)
{
	uint64_t every = running->options->crash_every;
	bool due;

	cf_lock(&running->lock);
	running->crash_at = UINT64_MAX;
	if (every)
		running->crash_at =
		        atomic_load(&running->begun) + every / 2 + 1 + random_below(random, every);
	while (running->ended < running->options->threads &&
	       atomic_load(&running->begun) < running->crash_at)
		cf_cond_wait(&running->changed, &running->lock);
	due = running->ended < running->options->threads;
	cf_unlock(&running->lock);
	return due;
}

static void report(const struct running *running)
{
	(void)fprintf(stderr,
	              "model_io: %" PRIu64 " crashes, %" PRIu64 " of %" PRIu64
	              " pending bytes were newer than the last fsync;",
	              running->generation, running->newer, running->pending);
	for (int kind = 0; kind < NR_OPERATIONS; kind++)
		(void)fprintf(stderr, " %" PRIu64 " %s", atomic_load(&running->target.counts[kind]),
		              operation_name((enum operation_kind)kind));
	(void)fputc('\n', stderr);
}

static int finish(const struct running *running, struct worker *worker, bool fine)
{
	if (fine && fsync(worker->fd) < 0) {
		perror("the last fsync");
		fine = false;
	}
	fine = fine && compare_all(worker, "in the end: a read");
	report(running);
	if (!fine)
		(void)fprintf(stderr, "model_io: seed %" PRIu64 "\n", running->options->seed);
	if (fine && running->options->save &&
	    !model_save(running->target.model, running->options->save))
		return 2;
	return fine ? 0 : 1;
}

static bool start(struct running *running, struct thread *threads)
{
	for (unsigned int i = 0; i < running->options->threads; i++) {
		threads[i].running = running;
		if (!worker_init(&threads[i].worker, &running->target,
		                 running->options->seed * 1000 + i + 1) ||
		    pthread_create(&threads[i].id, NULL, work, &threads[i]) != 0)
			return false;
	}
	return true;
}

int run(const struct run_options *options)
{
	struct running running = {.options = options, .crash_at = UINT64_MAX};
	struct thread *threads = calloc(options->threads, sizeof(*threads));
	struct worker worker;
	bool fine = true;
	int status;

	running.target.path = options->image;
	running.target.region_size = options->region_size;
	memcpy(running.target.weights, options->weights, sizeof(options->weights));
	running.target.model = model_new(options->begin);
	byte_locks_init(&running.target.locks);
	history_init(&running.target.history);
	cf_mutex_init(&running.lock);
	cf_cond_init(&running.changed);
	operation_handle_sigbus();
	if (!threads || !running.target.model ||
	    !worker_init(&worker, &running.target, options->seed * 1000) ||
	    !start(&running, threads))
		exit(2);
	while (fine && wait_for_crash(&running, &worker.random))
		fine = crash(&running, &worker);
	if (!fine) {
		report(&running);
		(void)fprintf(stderr, "model_io: seed %" PRIu64 "\n", options->seed);
		/* The threads may be anywhere, and are not waited for. */
		(void)fflush(NULL);
		_exit(1);
	}
	for (unsigned int i = 0; i < options->threads; i++) {
		(void)pthread_join(threads[i].id, NULL);
		worker_fini(&threads[i].worker);
	}
	status = finish(&running, &worker, fine);
	worker_fini(&worker);
	model_free(running.target.model);
	history_fini(&running.target.history);
	byte_locks_fini(&running.target.locks);
	cf_cond_fini(&running.changed);
	cf_mutex_fini(&running.lock);
	free(threads);
	return status;
}
