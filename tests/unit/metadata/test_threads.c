/*
 * Marks, questions and commits at once. Markers keep a record of their own under the bitmap lock,
 * as the engine does; pre_commit's hook takes it at the swap. So what each commit must have added
 * is known exactly, and a mark that slips from one transaction into another is seen.
 */
#include "metadata_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

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

/* A device whose sync does not return until somebody marked a region: marks must not wait. */
struct slow_io {
	struct block_io io;
	struct block_io *below;
	struct metadata *md;
	_Atomic bool in_sync;
	_Atomic bool marked;
};

static int slow_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	return block_io_pread(((struct slow_io *)io)->below, buf, length, offset);
}

static int slow_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	return block_io_pwritev(((struct slow_io *)io)->below, iov, nr_iov, offset);
}

static int slow_sync(struct block_io *io)
{
	struct slow_io *slow = (struct slow_io *)io;

	slow->in_sync = true;
	while (slow->md && !slow->marked)
		(void)sched_yield();
	return block_io_sync(slow->below);
}

static void *mark_during_sync(void *argument)
{
	struct slow_io *slow = argument;

	while (!slow->in_sync)
		(void)sched_yield();
	(void)metadata_set_region(slow->md, 20);
	slow->marked = true;
	return NULL;
}

static void a_mark_does_not_wait_for_a_commits_sync(void **state)
{
	static const struct block_io_ops ops = {
	        .pread = slow_pread, .pwritev = slow_pwritev, .sync = slow_sync};
	struct slow_io slow = {.io = {.ops = &ops, .size = 40 * METADATA_BLOCK_SIZE}};
	struct metadata *md;
	pthread_t thread;

	(void)state;
	slow.below = memory_io_new(slow.io.size, NULL);
	md = fixture_format(&slow.io, 1000);
	slow.in_sync = false;
	slow.md = md;
	assert_int_equal(metadata_set_region(md, 10), 0);
	assert_int_equal(pthread_create(&thread, NULL, mark_during_sync, &slow), 0);
	/* Hangs, and the test's time runs out, if the mark waits. */
	assert_int_equal(fixture_pre_commit_and_commit(md), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(metadata_is_region_hydrated(md, 20));
	assert_int_equal(metadata_nr_committed(md), 1);
	metadata_close(md);
	block_io_close(slow.below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_commit_holds_the_marks_before_its_swap),
	        cmocka_unit_test(a_mark_does_not_wait_for_a_commits_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
