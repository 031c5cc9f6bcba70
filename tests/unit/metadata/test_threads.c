/*
 * Marks, questions and commits at once. Markers keep a record of their own under the bitmap lock,
 * as the engine does; pre_commit's hook takes it at the swap. So what each commit must have added
 * is known exactly, and a mark that slips from one transaction into another is seen.
 */
#include "metadata_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#define NR_REGIONS 200000u
#define NR_MARKERS 3u
#define NR_MARKS   5000u
#define PER_COMMIT 250u /* marks of one thread between two commits, at most */

struct shared {
	struct metadata *md;
	_Atomic unsigned int nr_running, nr_started, nr_commits;
	uint8_t *marked; /* bitmap lock: regions marked since the last swap */
	uint8_t *frozen; /* the committer's: what the hook took */
	uint8_t *all;    /* the committer's: what must be on disk */
	_Atomic bool failed;
};

static void *mark(void *argument)
{
	struct shared *shared = argument;
	unsigned int seed = ++shared->nr_started;

	for (unsigned int i = 0; i < NR_MARKS; i++) {
		uint64_t first = (uint64_t)rand_r(&seed) % (NR_REGIONS - 100);
		uint64_t nr = 1 + (uint64_t)rand_r(&seed) % 20;

		while (shared->nr_commits < i / PER_COMMIT)
			(void)sched_yield();
		metadata_bitmap_lock(shared->md);
		for (uint64_t region = first; region < first + nr; region++)
			if (!metadata_is_region_hydrated(shared->md, region))
				shared->marked[region] = 1;
		if (metadata_set_range_locked(shared->md, first, nr) < 0)
			shared->failed = true;
		metadata_bitmap_unlock(shared->md);
		if (!metadata_is_range_hydrated(shared->md, first, nr))
			shared->failed = true;
	}
	shared->nr_running--;
	return NULL;
}

/* What was found hydrated once stays so, and counts never fall. */
static void *ask(void *argument)
{
	struct shared *shared = argument;
	uint64_t last = 0;

	while (shared->nr_running) {
		uint64_t found = metadata_find_next_hydrated(shared->md, 0);
		uint64_t nr = metadata_nr_hydrated(shared->md);
		uint64_t used, total, committed = metadata_nr_committed(shared->md);

		metadata_usage(shared->md, &used, &total);
		if (found < NR_REGIONS && !metadata_is_region_hydrated(shared->md, found))
			shared->failed = true;
		if (nr < last || committed > NR_REGIONS || used > total)
			shared->failed = true;
		last = nr;
		(void)metadata_changed_this_transaction(shared->md);
		(void)sched_yield();
	}
	return NULL;
}

static void take_marked(void *user)
{
	struct shared *shared = user;
	uint8_t *marked = shared->marked;

	shared->marked = shared->frozen;
	shared->frozen = marked;
}

static void commit_and_compare(struct shared *shared, struct block_io *io)
{
	struct metadata *disk;

	assert_int_equal(metadata_pre_commit(shared->md, take_marked, shared), 0);
	assert_int_equal(metadata_commit(shared->md, NULL), 0);
	shared->nr_commits++;
	for (uint64_t region = 0; region < NR_REGIONS; region++)
		shared->all[region] |= shared->frozen[region];
	memset(shared->frozen, 0, NR_REGIONS);
	disk = fixture_open(io, NR_REGIONS);
	for (uint64_t region = 0; region < NR_REGIONS; region++)
		if (metadata_is_region_hydrated(disk, region) != shared->all[region])
			fail_msg("region %" PRIu64 " is %son disk", region,
			         shared->all[region] ? "not " : "");
	metadata_close(disk);
}

static void each_commit_holds_the_marks_before_its_swap(void **state)
{
	struct block_io *io = memory_io_new(40 * METADATA_BLOCK_SIZE, NULL);
	struct shared shared = {
	        .md = fixture_format(io, NR_REGIONS),
	        .nr_running = NR_MARKERS,
	        .marked = calloc(NR_REGIONS, 1),
	        .frozen = calloc(NR_REGIONS, 1),
	        .all = calloc(NR_REGIONS, 1),
	};
	pthread_t threads[NR_MARKERS + 1];

	(void)state;
	for (unsigned int i = 0; i < NR_MARKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mark, &shared), 0);
	assert_int_equal(pthread_create(&threads[NR_MARKERS], NULL, ask, &shared), 0);
	while (shared.nr_running)
		commit_and_compare(&shared, io);
	for (unsigned int i = 0; i <= NR_MARKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	commit_and_compare(&shared, io);
	assert_false(shared.failed);
	assert_int_equal(metadata_nr_committed(shared.md), metadata_nr_hydrated(shared.md));
	metadata_close(shared.md);
	fixture_assert_clean(io);
	block_io_close(io);
	free(shared.marked);
	free(shared.frozen);
	free(shared.all);
}

/* A device one of whose operations does not return until somebody marked a region. */
struct held_io {
	struct block_io io;
	struct block_io *below;
	struct metadata *md;
	unsigned int nr_operations;
	unsigned int hold_at; /* which one, from 1 on; 0: none */
	sem_t held, marked;
	bool timed_out; /* the mark waited for the operation */
};

static void pass(struct held_io *held)
{
	struct timespec end;

	if (++held->nr_operations != held->hold_at)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	(void)sem_post(&held->held);
	held->timed_out = sem_timedwait(&held->marked, &end) < 0;
}

static int held_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	pass((struct held_io *)io);
	return block_io_pread(((struct held_io *)io)->below, buf, length, offset);
}

static int held_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	pass((struct held_io *)io);
	return block_io_pwritev(((struct held_io *)io)->below, iov, nr_iov, offset);
}

static int held_sync(struct block_io *io)
{
	pass((struct held_io *)io);
	return block_io_sync(((struct held_io *)io)->below);
}

static void *mark_while_held(void *argument)
{
	struct held_io *held = argument;

	(void)sem_wait(&held->held);
	(void)metadata_set_region(held->md, 20);
	(void)metadata_set_range(held->md, NR_REGIONS / 2, 100);
	(void)sem_post(&held->marked);
	return NULL;
}

/* Whether a commit has an operation @hold_at, which was held then until the marks were made. */
static bool commit_held_at(unsigned int hold_at)
{
	static const struct block_io_ops ops = {
	        .pread = held_pread, .pwritev = held_pwritev, .sync = held_sync};
	struct held_io held = {.io = {.ops = &ops, .size = 40 * METADATA_BLOCK_SIZE}};
	pthread_t thread;
	bool was_held;

	held.below = memory_io_new(held.io.size, NULL);
	held.md = fixture_format(&held.io, NR_REGIONS);
	fixture_commit(held.md, (const uint64_t[]){1}, 1);
	assert_int_equal(sem_init(&held.held, 0, 0), 0);
	assert_int_equal(sem_init(&held.marked, 0, 0), 0);
	assert_int_equal(metadata_set_region(held.md, 10), 0);
	assert_int_equal(metadata_set_region(held.md, NR_REGIONS - 1), 0);
	held.nr_operations = 0;
	held.hold_at = hold_at;
	assert_int_equal(pthread_create(&thread, NULL, mark_while_held, &held), 0);
	assert_int_equal(fixture_pre_commit_and_commit(held.md), 0);
	was_held = held.nr_operations >= hold_at;
	assert_int_equal(metadata_nr_committed(held.md), 3);
	if (!was_held)
		(void)sem_post(&held.held);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(held.timed_out);
	assert_int_equal(metadata_nr_hydrated(held.md), 3 + 101);
	metadata_close(held.md);
	(void)sem_destroy(&held.held);
	(void)sem_destroy(&held.marked);
	block_io_close(held.below);
	return was_held;
}

static void a_mark_does_not_wait_for_a_commits_io(void **state)
{
	unsigned int nr = 0;

	(void)state;
	while (commit_held_at(nr + 1))
		nr++;
	/* Two array blocks read, blocks written, sync, superblock, sync. */
	assert_true(nr >= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_commit_holds_the_marks_before_its_swap),
	        cmocka_unit_test(a_mark_does_not_wait_for_a_commits_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
