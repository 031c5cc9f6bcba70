/*
 * The meter for random access: threads that read (or write) one block each time, O_DIRECT, every
 * time in another region, so that no hit flatters the figure. Prints one JSON object: operations,
 * seconds, rate per second, and mean, median, p99 and greatest latency in microseconds.
 *
 *     random_io [OPTION...] FILE
 *
 * -t THREADS (1)  -n OPERATIONS (all regions, if no -s)  -s SECONDS  -b BLOCK (4096)
 * -g REGION (65536)  -S SEED (1)  -a: regions may come again  -c: through the page cache
 * -w: write
 * -f, -F: fdatasync or fsync after each; only that is timed
 *
 * The order is a permutation of all regions, the same for the same seed. The time begins once all
 * threads are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  1024
#define SAMPLES_STEP 4096

struct job {
	unsigned int threads;
	uint64_t operations;
	double seconds;
	size_t block;
	uint64_t region_size;
	uint64_t seed;
	bool again, write, cached;
	int (*sync)(int fd);

	int fd;
	uint64_t regions;
	uint64_t *order;
	double end;
	sem_t ready;          /* posted by each thread that waits for the gate */
	pthread_mutex_t gate; /* held until all of them do */
	_Atomic uint64_t next;
	_Atomic int error;
};

struct worker {
	struct job *job;
	pthread_t thread;
	uint64_t random;
	float *latencies;
	size_t count, room;
};

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int shuffle(struct job *job)
{
	uint64_t random = job->seed;

	job->order = malloc(job->regions * sizeof(*job->order));
	if (!job->order)
		return -ENOMEM;
	for (uint64_t i = 0; i < job->regions; i++) {
		uint64_t j = next_random(&random) % (i + 1);

		job->order[i] = job->order[j];
		job->order[j] = i;
	}
	return 0;
}

static int keep_latency(struct worker *worker, double seconds)
{
	if (worker->count == worker->room) {
		size_t room = worker->room + SAMPLES_STEP;
		float *latencies = realloc(worker->latencies, room * sizeof(*latencies));

		if (!latencies)
			return -ENOMEM;
		worker->latencies = latencies;
		worker->room = room;
	}
	worker->latencies[worker->count++] = (float)(seconds * 1e6);
	return 0;
}

/* Where the operation with this number goes: some block of its region. */
static off_t place(struct worker *worker, uint64_t number)
{
	const struct job *job = worker->job;
	uint64_t block = next_random(&worker->random) % (job->region_size / job->block);

	return (off_t)(job->order[number % job->regions] * job->region_size + block * job->block);
}

static int operate(const struct job *job, void *buffer, off_t offset)
{
	ssize_t n = job->write ? pwrite(job->fd, buffer, job->block, offset)
	                       : pread(job->fd, buffer, job->block, offset);

	if (n < 0)
		return -errno;
	return (size_t)n == job->block ? 0 : -EIO;
}

static int run_operations(struct worker *worker, void *buffer)
{
	struct job *job = worker->job;

	for (;;) {
		uint64_t number = atomic_fetch_add(&job->next, 1);
		double start = now();
		int r;

		if (number >= job->operations || start >= job->end)
			return 0;
		r = operate(job, buffer, place(worker, number));
		if (r == 0 && job->sync) {
			start = now();
			r = job->sync(job->fd) < 0 ? -errno : 0;
		}
		if (r == 0)
			r = keep_latency(worker, now() - start);
		if (r < 0)
			return r;
	}
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct job *job = worker->job;
	void *buffer = aligned_alloc(4096, job->block);
	int r = buffer ? 0 : -ENOMEM;

	if (buffer)
		memset(buffer, 0xa5, job->block);
	(void)sem_post(&job->ready);
	(void)pthread_mutex_lock(&job->gate);
	(void)pthread_mutex_unlock(&job->gate);
	if (r == 0)
		r = run_operations(worker, buffer);
	if (r < 0)
		atomic_store(&job->error, r);
	free(buffer);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a;
	float y = *(const float *)b;

	return (x > y) - (x < y);
}

static void print_result(const float *sorted, size_t count, double seconds)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)sorted[i];
	(void)printf("{\"operations\": %zu, \"seconds\": %.6f, \"rate\": %.2f, \"mean_us\": %.1f, "
	             "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	             count, seconds, (double)count / seconds, sum / (double)count,
	             (double)sorted[count / 2], (double)sorted[count * 99 / 100],
	             (double)sorted[count - 1]);
}

static int report(const struct worker *workers, unsigned int threads, double seconds)
{
	size_t count = 0;
	size_t used = 0;
	float *all;

	for (unsigned int i = 0; i < threads; i++)
		count += workers[i].count;
	all = count ? malloc(count * sizeof(*all)) : NULL;
	if (!all)
		return count ? -ENOMEM : -ENODATA;
	for (unsigned int i = 0; i < threads; i++) {
		if (workers[i].count)
			memcpy(all + used, workers[i].latencies, workers[i].count * sizeof(*all));
		used += workers[i].count;
	}
	qsort(all, count, sizeof(*all), compare);
	print_result(all, count, seconds);
	free(all);
	return 0;
}

/* With the gate held. *@ret_started of them are there, also after an error. */
static int start_threads(struct job *job, struct worker *workers, unsigned int *ret_started)
{
	unsigned int started = 0;
	int r = 0;

	while (started < job->threads && r == 0) {
		struct worker *worker = &workers[started];

		worker->job = job;
		worker->random = job->seed ^ ((uint64_t)(started + 1) << 32);
		r = -pthread_create(&worker->thread, NULL, worker_main, worker);
		if (r == 0)
			started++;
	}
	for (unsigned int i = 0; i < started; i++) {
		while (sem_wait(&job->ready) < 0)
			;
	}
	*ret_started = started;
	return r;
}

static int run(struct job *job)
{
	struct worker *workers = calloc(job->threads, sizeof(*workers));
	unsigned int started;
	double start;
	int r;

	if (!workers)
		return -ENOMEM;
	(void)sem_init(&job->ready, 0, 0);
	(void)pthread_mutex_init(&job->gate, NULL);
	(void)pthread_mutex_lock(&job->gate);
	r = start_threads(job, workers, &started);
	start = now();
	job->end = job->seconds > 0 ? start + job->seconds : start + 1e9;
	if (r < 0)
		job->end = start;
	(void)pthread_mutex_unlock(&job->gate);
	for (unsigned int i = 0; i < started; i++)
		(void)pthread_join(workers[i].thread, NULL);
	if (r == 0)
		r = atomic_load(&job->error);
	if (r == 0)
		r = report(workers, started, now() - start);
	for (unsigned int i = 0; i < started; i++)
		free(workers[i].latencies);
	free(workers);
	return r;
}

static int open_file(struct job *job, const char *path)
{
	off_t size;

	job->fd = open(path,
	               (job->write ? O_RDWR : O_RDONLY) | (job->cached ? 0 : O_DIRECT) | O_CLOEXEC);
	if (job->fd < 0)
		return -errno;
	size = lseek(job->fd, 0, SEEK_END);
	job->regions = size < 0 ? 0 : (uint64_t)size / job->region_size;
	if (job->regions == 0)
		return -EINVAL;
	if (job->operations == 0)
		job->operations = job->seconds > 0 ? UINT64_MAX : job->regions;
	if (!job->again && job->operations > job->regions)
		job->operations = job->regions;
	return shuffle(job);
}

static bool parse_arguments(int argc, char **argv, struct job *job)
{
	int option;

	while ((option = getopt(argc, argv, "t:n:s:b:g:S:awfFc")) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (option) {
		case 't':
			job->threads = (unsigned int)number;
			break;
		case 'n':
			job->operations = number;
			break;
		case 's':
			job->seconds = strtod(optarg, NULL);
			break;
		case 'b':
			job->block = number;
			break;
		case 'g':
			job->region_size = number;
			break;
		case 'S':
			job->seed = number;
			break;
		case 'a':
			job->again = true;
			break;
		case 'w':
			job->write = true;
			break;
		case 'f':
			job->sync = fdatasync;
			break;
		case 'F':
			job->sync = fsync;
			break;
		case 'c':
			job->cached = true;
			break;
		default:
			return false;
		}
	}
	return argc - optind == 1 && job->threads >= 1 && job->threads <= THREADS_MAX &&
	       job->block >= 512 && job->region_size >= job->block &&
	       job->region_size % job->block == 0;
}

int main(int argc, char **argv)
{
	struct job job = {.threads = 1, .block = 4096, .region_size = 65536, .seed = 1, .fd = -1};
	int r;

	if (!parse_arguments(argc, argv, &job)) {
		(void)fputs("usage: random_io [-t THREADS] [-n OPERATIONS] [-s SECONDS] [-b BLOCK] "
		            "[-g REGION] [-S SEED] [-awfFc] FILE\n",
		            stderr);
		return 2;
	}
	r = open_file(&job, argv[optind]);
	if (r == 0)
		r = run(&job);
	if (r < 0)
		(void)fprintf(stderr, "random_io: %s: %s\n", argv[optind], strerror(-r));
	free(job.order);
	if (job.fd >= 0)
		(void)close(job.fd);
	return r < 0;
}
