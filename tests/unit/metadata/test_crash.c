/*
 * Power cuts at each moment of a run of commits: whatever subset of the unsynced writes is on the
 * disk then, the device opens, is clean, and holds either the set that was committed last or the
 * one that was being committed; and going on from there is safe, also when the power fails again.
 */
#include "metadata_fixture.h"

#include <stdlib.h>

#define NR_REGIONS 70000u /* three array blocks */
#define NR_ROUNDS  6u

/* Regions that round @round adds to the set. */
static uint64_t region_of(uint64_t round, uint64_t i)
{
	return (round * 7919 + i * 32000) % NR_REGIONS;
}

#define PER_ROUND 3u

static void run_round(struct metadata *md, uint64_t round)
{
	for (uint64_t i = 0; i < PER_ROUND; i++)
		assert_int_equal(metadata_set_region(md, region_of(round, i)), 0);
	assert_int_equal(fixture_pre_commit_and_commit(md), 0);
}

/* How many whole rounds the set of @md holds; -1 if it is not exactly the set of some rounds. */
static int64_t rounds_in(const struct metadata *md)
{
	uint64_t rounds = metadata_nr_hydrated(md) / PER_ROUND;

	if (rounds * PER_ROUND != metadata_nr_hydrated(md))
		return -1;
	for (uint64_t round = 0; round < rounds; round++)
		for (uint64_t i = 0; i < PER_ROUND; i++)
			if (!metadata_is_region_hydrated(md, region_of(round, i)))
				return -1;
	return (int64_t)rounds;
}

/* Opens what the cut left; returns the rounds it holds. */
static int64_t look(struct block_io *io, const struct memory_io_cut *cut)
{
	struct metadata *md = NULL;
	int64_t rounds;

	if (fixture_nr_findings(io))
		fail_msg("damage after a cut at %zu, kind %d, seed %" PRIu64, cut->at, cut->kind,
		         cut->seed);
	md = fixture_open(io, NR_REGIONS);
	rounds = rounds_in(md);
	metadata_close(md);
	return rounds;
}

static void check_cut(struct block_io *io, const struct memory_io_cut *cut, int64_t committed)
{
	struct block_io *after = memory_io_after_cut(io, cut);
	int64_t rounds = look(after, cut);

	if (rounds != committed && rounds != committed + 1)
		fail_msg("cut at %zu, kind %d, seed %" PRIu64 ": %" PRId64 " rounds, not %" PRId64
		         " or one more",
		         cut->at, cut->kind, cut->seed, rounds, committed);
	block_io_close(after);
}

/* All ways to lose power after the first @at operations. */
static void check_cuts_at(struct block_io *io, size_t at, int64_t committed)
{
	size_t nr_doubtful = memory_io_nr_doubtful(io, at);
	struct memory_io_cut cut = {.at = at};

	for (cut.kind = MEMORY_IO_CUT_NONE; cut.kind <= MEMORY_IO_CUT_SECTORS; cut.kind++) {
		uint64_t nr_seeds = cut.kind == MEMORY_IO_CUT_ONE ? nr_doubtful
		                    : cut.kind >= MEMORY_IO_CUT_RANDOM
		                            ? (6 + FIXTURE_SAMPLE - 1) / FIXTURE_SAMPLE
		                            : 1;

		if (nr_doubtful == 0)
			nr_seeds = cut.kind == MEMORY_IO_CUT_NONE;
		for (uint64_t seed = 0; seed < nr_seeds; seed++) {
			cut.seed = seed * 977 + at;
			check_cut(io, &cut, committed);
		}
	}
}

static void run_and_cut(uint64_t nr_blocks)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(nr_blocks * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, NR_REGIONS);
	size_t ends[NR_ROUNDS + 1] = {memory_io_log_nr(log)};
	uint64_t round;

	/* A close and an open in the middle, so that a settling superblock is among the writes. */
	for (round = 0; round < NR_ROUNDS; round++) {
		if (round == NR_ROUNDS / 2) {
			metadata_close(md);
			md = fixture_open(io, NR_REGIONS);
		}
		run_round(md, round);
		ends[round + 1] = memory_io_log_nr(log);
	}
	metadata_close(md);
	for (round = 0; round < NR_ROUNDS; round++)
		for (size_t at = ends[round]; at <= ends[round + 1]; at++)
			check_cuts_at(io, at, (int64_t)round + (at == ends[round + 1]));
	block_io_close(io);
	memory_io_log_free(log);
}

static void a_cut_leaves_the_old_or_the_new_set(void **state)
{
	(void)state;
	/* Ample room; and so little that blocks are reused at once. */
	run_and_cut(100);
	run_and_cut(16);
	run_and_cut(15);
}

static void a_cut_while_formatting_leaves_a_fresh_device_or_none(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(20 * METADATA_BLOCK_SIZE, log);

	(void)state;
	metadata_close(fixture_format(io, NR_REGIONS));
	for (size_t at = 0; at <= memory_io_log_nr(log); at++) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			struct memory_io_cut cut = {at, MEMORY_IO_CUT_SECTORS, seed};
			struct block_io *after = memory_io_after_cut(io, &cut);

			/* Formats again, or finds the format complete. */
			metadata_close(fixture_format(after, NR_REGIONS));
			assert_int_equal(look(after, &cut), 0);
			block_io_close(after);
		}
	}
	block_io_close(io);
	memory_io_log_free(log);
}

/*
 * The program is killed between the superblock's write and its sync; another opens the device and
 * reads the new superblock from the page cache; then the power fails while that one commits. Was
 * the first superblock on disk or not: neither state may have lost blocks.
 */
static void an_unsynced_superblock_is_settled_before_blocks_are_reused(void **state)
{
	(void)state;
	for (uint64_t nr_blocks = 15; nr_blocks < 20; nr_blocks++) {
		struct memory_io_log *log = memory_io_log_new();
		struct block_io *io = memory_io_new(nr_blocks * METADATA_BLOCK_SIZE, log);
		struct metadata *md = fixture_format(io, NR_REGIONS);
		size_t begin;

		run_round(md, 0);
		begin = memory_io_log_nr(log);
		for (uint64_t i = 0; i < PER_ROUND; i++)
			assert_int_equal(metadata_set_region(md, region_of(1, i)), 0);
		assert_int_equal(metadata_pre_commit(md, NULL, NULL), 0);
		/* Killed in the second sync. Fault and death look alike to the disk. */
		memory_io_fail(io, MEMORY_IO_SYNC, 2, -EINTR, false);
		assert_int_equal(metadata_commit(md, NULL), -EINTR);
		metadata_close(md);
		md = fixture_open(io, NR_REGIONS);
		assert_int_equal(rounds_in(md), 2);
		run_round(md, 2);
		metadata_close(md);
		for (size_t at = begin; at <= memory_io_log_nr(log); at++) {
			for (uint64_t seed = 0; seed < 40 / FIXTURE_SAMPLE; seed++) {
				struct memory_io_cut cut = {
				        at, seed % 2 ? MEMORY_IO_CUT_RANDOM : MEMORY_IO_CUT_SECTORS,
				        seed};
				struct block_io *after = memory_io_after_cut(io, &cut);
				int64_t rounds = look(after, &cut);

				assert_in_range(rounds, 1, 3);
				block_io_close(after);
			}
		}
		block_io_close(io);
		memory_io_log_free(log);
	}
}

/* The same without a death: the failed commit is tried again, with power cuts. */
static void a_commit_that_is_tried_again_is_safe(void **state)
{
	(void)state;
	for (uint64_t nth = 1; nth <= 2; nth++) {
		struct memory_io_log *log = memory_io_log_new();
		struct block_io *io = memory_io_new(15 * METADATA_BLOCK_SIZE, log);
		struct metadata *md = fixture_format(io, NR_REGIONS);
		size_t begin;

		run_round(md, 0);
		begin = memory_io_log_nr(log);
		for (uint64_t i = 0; i < PER_ROUND; i++)
			assert_int_equal(metadata_set_region(md, region_of(1, i)), 0);
		assert_int_equal(metadata_pre_commit(md, NULL, NULL), 0);
		memory_io_fail(io, MEMORY_IO_SYNC, nth, -EIO, false);
		assert_int_equal(metadata_commit(md, NULL), -EIO);
		assert_int_equal(metadata_commit(md, NULL), 0);
		run_round(md, 2);
		metadata_close(md);
		for (size_t at = begin; at <= memory_io_log_nr(log); at++) {
			for (uint64_t seed = 0; seed < 40 / FIXTURE_SAMPLE; seed++) {
				struct memory_io_cut cut = {at, MEMORY_IO_CUT_RANDOM, seed};
				struct block_io *after = memory_io_after_cut(io, &cut);

				assert_in_range(look(after, &cut), 1, 3);
				block_io_close(after);
			}
		}
		block_io_close(io);
		memory_io_log_free(log);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_cut_leaves_the_old_or_the_new_set),
	        cmocka_unit_test(a_cut_while_formatting_leaves_a_fresh_device_or_none),
	        cmocka_unit_test(an_unsynced_superblock_is_settled_before_blocks_are_reused),
	        cmocka_unit_test(a_commit_that_is_tried_again_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
