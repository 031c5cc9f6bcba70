/* What a commit writes, in which order, and what is left when a part of it fails. */
#include "metadata_fixture.h"

#include <endian.h>

static void assert_op(const struct memory_io_log *log, size_t i, enum memory_io_kind kind,
                      uint64_t block)
{
	const struct memory_io_op *op = memory_io_log_op(log, i);

	assert_int_equal(op->kind, kind);
	if (kind == MEMORY_IO_WRITE)
		assert_int_equal(op->offset, block * METADATA_BLOCK_SIZE);
}

static void blocks_sync_superblock_sync(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(64 * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, 1000);

	(void)state;
	/* The format: all other blocks, sync, superblock, sync. */
	assert_in_range(memory_io_log_nr(log), 4, 10);
	assert_op(log, memory_io_log_nr(log) - 3, MEMORY_IO_SYNC, 0);
	assert_op(log, memory_io_log_nr(log) - 2, MEMORY_IO_WRITE, 0);
	assert_op(log, memory_io_log_nr(log) - 1, MEMORY_IO_SYNC, 0);
	memory_io_log_clear(log);
	fixture_commit(md, (const uint64_t[]){3}, 1);
	/* Array block, bitmap, root and index are neighbours: one write. */
	assert_int_equal(memory_io_log_nr(log), 4);
	assert_op(log, 0, MEMORY_IO_WRITE, 6);
	assert_int_equal(memory_io_log_op(log, 0)->length, 4 * METADATA_BLOCK_SIZE);
	assert_op(log, 1, MEMORY_IO_SYNC, 0);
	assert_op(log, 2, MEMORY_IO_WRITE, 0);
	assert_int_equal(memory_io_log_op(log, 2)->length, METADATA_BLOCK_SIZE);
	assert_op(log, 3, MEMORY_IO_SYNC, 0);
	metadata_close(md);
	block_io_close(io);
	memory_io_log_free(log);
}

static void the_first_commit_after_an_open_settles_the_superblock(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(64 * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, 1000);
	uint8_t before[METADATA_BLOCK_SIZE];

	(void)state;
	metadata_close(md);
	memcpy(before, memory_io_data(io), sizeof(before));
	md = fixture_open(io, 1000);
	memory_io_log_clear(log);
	fixture_commit(md, (const uint64_t[]){3}, 1);
	assert_int_equal(memory_io_log_nr(log), 6);
	assert_op(log, 0, MEMORY_IO_WRITE, 0);
	assert_memory_equal(memory_io_log_op(log, 0)->data, before, sizeof(before));
	assert_op(log, 1, MEMORY_IO_SYNC, 0);
	memory_io_log_clear(log);
	fixture_commit(md, (const uint64_t[]){4}, 1);
	assert_int_equal(memory_io_log_nr(log), 4);
	metadata_close(md);
	block_io_close(io);
	memory_io_log_free(log);
}

/* A program is killed between the superblock and its sync. The next one has nothing to commit, but
 * what it promises must not be lost with that superblock. */
static void a_commit_without_changes_settles_the_superblock_too(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(64 * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, 1000);
	struct memory_io_cut cut = {.kind = MEMORY_IO_CUT_NONE};
	struct block_io *after;

	(void)state;
	assert_int_equal(metadata_set_region(md, 3), 0);
	assert_int_equal(metadata_pre_commit(md, NULL, NULL), 0);
	memory_io_fail(io, MEMORY_IO_SYNC, 2, -EINTR, false);
	assert_int_equal(metadata_commit(md, NULL), -EINTR);
	metadata_close(md);
	md = fixture_open(io, 1000);
	assert_true(metadata_is_region_hydrated(md, 3));
	fixture_commit(md, NULL, 0);
	metadata_close(md);
	cut.at = memory_io_log_nr(log);
	after = memory_io_after_cut(io, &cut);
	md = fixture_open(after, 1000);
	assert_true(metadata_is_region_hydrated(md, 3));
	metadata_close(md);
	block_io_close(after);
	block_io_close(io);
	memory_io_log_free(log);
}

static void no_change_writes_nothing(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(64 * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, 1000);

	(void)state;
	fixture_commit(md, (const uint64_t[]){3}, 1);
	memory_io_log_clear(log);
	fixture_commit(md, NULL, 0);
	fixture_commit(md, (const uint64_t[]){3}, 1);
	assert_int_equal(metadata_reload(md, NULL), 0);
	assert_int_equal(metadata_abort(md, NULL), 0);
	metadata_close(md);
	assert_int_equal(memory_io_log_nr(log), 0);
	block_io_close(io);
	memory_io_log_free(log);
}

/* Bytes a commit of the @nr regions 0, @stride, 2 * @stride ... writes. */
static uint64_t bytes_of_commit(uint64_t nr_regions, uint64_t nr, uint64_t stride)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io =
	        memory_io_new(metadata_blocks_to_be_safe(nr_regions) * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, nr_regions);
	uint64_t written = 0;

	memory_io_log_clear(log);
	for (uint64_t i = 0; i < nr; i++)
		assert_int_equal(metadata_set_region(md, i * stride), 0);
	assert_int_equal(fixture_pre_commit_and_commit(md), 0);
	for (size_t i = 0; i < memory_io_log_nr(log); i++)
		written += memory_io_log_op(log, i)->length;
	metadata_close(md);
	block_io_close(io);
	memory_io_log_free(log);
	return written;
}

/* A commit costs what it touches, not what the device holds or how many regions are new. */
static void writes_are_in_proportion_to_the_array_blocks_touched(void **state)
{
	static const struct {
		uint64_t nr_arrays;         /* of the device */
		uint64_t nr_marked, stride; /* regions */
		uint64_t nr_written;        /* blocks, without bitmap, index and superblock */
	} rows[] = {
	        {100, 1, 1, 1 + 1}, /* array block, root */
	        {100, 3, REGIONS_PER_ARRAY * UINT64_C(30), 3 + 1},
	        {100, 20000, 1, 1 + 1},
	        {100, 40000, 1, 2 + 1},
	        {100, 1000, REGIONS_PER_ARRAY / 10, 100 + 1},
	        {600, 1, 1, 1 + 2}, /* array block, leaf, root */
	        {600, 3, REGIONS_PER_ARRAY * UINT64_C(200), 3 + 3},
	        {600, 600, REGIONS_PER_ARRAY, 600 + 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t bytes = bytes_of_commit(rows[i].nr_arrays * REGIONS_PER_ARRAY,
		                                 rows[i].nr_marked, rows[i].stride);

		assert_int_equal(bytes, (rows[i].nr_written + 3) * METADATA_BLOCK_SIZE);
	}
}

/* Section 13 (8) of the format's description, over many commits that wrap around the device. */
static void no_committed_block_is_ever_overwritten(void **state)
{
	enum { NR_BLOCKS = 20 };
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(NR_BLOCKS * METADATA_BLOCK_SIZE, log);
	struct metadata *md = fixture_format(io, 100000);

	(void)state;
	for (uint64_t round = 0; round < 60; round++) {
		const struct superblock_disk *sb = fixture_superblock(io);
		const struct index_disk *index =
		        &fixture_block(io, le64toh(sb->index_block))->index;
		const uint64_t bitmap = le64toh(index->entries[0].blocknr);
		uint8_t counts[NR_BLOCKS / 4];

		memcpy(counts, fixture_block(io, bitmap)->bitmap.counts, sizeof(counts));
		memory_io_log_clear(log);
		fixture_commit(md, (const uint64_t[]){round * 1601, round}, 2);
		for (size_t i = 0; i < memory_io_log_nr(log); i++) {
			const struct memory_io_op *op = memory_io_log_op(log, i);
			uint64_t block = op->offset / METADATA_BLOCK_SIZE;

			for (uint64_t end = block + op->length / METADATA_BLOCK_SIZE; block < end;
			     block++)
				assert_true(block == 0 ||
				            !(counts[block / 4] >> (block % 4 * 2) & 3));
		}
		fixture_assert_clean(io);
	}
	metadata_close(md);
	block_io_close(io);
	memory_io_log_free(log);
}

static uint64_t nr_superblock_writes(const struct memory_io_log *log)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < memory_io_log_nr(log); i++)
		nr += memory_io_log_op(log, i)->kind == MEMORY_IO_WRITE &&
		      memory_io_log_op(log, i)->offset == 0;
	return nr;
}

static void a_set_that_does_not_fit_takes_several_transactions(void **state)
{
	/* 20 array blocks: 25 used. Free blocks for 1, for 8 and for all of them. */
	static const struct {
		uint64_t nr_blocks, least, most;
	} cases[] = {{29, 20, 20}, {36, 3, 5}, {52, 1, 1}};
	const uint64_t nr_regions = 32576 * 20;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct memory_io_log *log = memory_io_log_new();
		struct block_io *io = memory_io_new(cases[i].nr_blocks * METADATA_BLOCK_SIZE, log);
		struct metadata *md = fixture_format(io, nr_regions);

		memory_io_log_clear(log);
		assert_int_equal(metadata_set_range(md, 0, nr_regions), 0);
		assert_int_equal(fixture_pre_commit_and_commit(md), 0);
		assert_in_range(nr_superblock_writes(log), cases[i].least, cases[i].most);
		assert_true(metadata_is_hydration_done(md));
		assert_false(metadata_changed_this_transaction(md));
		metadata_close(md);
		fixture_assert_clean(io);
		md = fixture_open(io, nr_regions);
		assert_int_equal(metadata_nr_committed(md), nr_regions);
		metadata_close(md);
		block_io_close(io);
		memory_io_log_free(log);
	}
}

static void a_device_without_room_for_one_array_block_is_full(void **state)
{
	(void)state;
	for (uint64_t nr_blocks = 6; nr_blocks <= 10; nr_blocks++) {
		struct memory_io_log *log = memory_io_log_new();
		struct block_io *io = memory_io_new(nr_blocks * METADATA_BLOCK_SIZE, log);
		struct metadata *md = fixture_format(io, 1000);
		struct cf_error err = {0};
		int expected = nr_blocks < 10 ? -ENOSPC : 0;
		int r;

		memory_io_log_clear(log);
		assert_int_equal(metadata_set_region(md, 1), 0);
		assert_int_equal(metadata_pre_commit(md, NULL, NULL), 0);
		r = metadata_commit(md, &err);
		assert_int_equal(r, expected);
		assert_int_equal(err.code, expected);
		assert_int_equal(memory_io_log_nr(log), expected ? 0 : 4);
		fixture_assert_clean(io);
		metadata_close(md);
		block_io_close(io);
		memory_io_log_free(log);
	}
}

/* Every failure point of a commit, by countdown until a run passes untouched. */
static void check_failing(unsigned int kinds, bool forever)
{
	const uint64_t old_set[] = {1, 40000}, new_set[] = {2, 70000};
	uint64_t nth, nr_failed = 1;

	for (nth = 1; nr_failed; nth++) {
		struct block_io *io = memory_io_new(40 * METADATA_BLOCK_SIZE, NULL);
		struct metadata *md = fixture_format(io, 100000);
		struct metadata *again;
		int r;

		fixture_commit(md, old_set, 2);
		metadata_close(md);
		md = fixture_open(io, 100000);
		assert_int_equal(metadata_set_region(md, new_set[0]), 0);
		assert_int_equal(metadata_set_region(md, new_set[1]), 0);
		assert_int_equal(metadata_pre_commit(md, NULL, NULL), 0);
		memory_io_fail(io, kinds, nth, -EIO, forever);
		r = metadata_commit(md, NULL);
		nr_failed = memory_io_nr_failed(io);
		memory_io_fail(io, 0, 0, 0, false);
		assert_int_equal(r, nr_failed ? -EIO : 0);
		assert_int_equal(metadata_nr_committed(md), nr_failed ? 2 : 4);
		/* Either state may be on the device, but nothing else. */
		again = fixture_open(io, 100000);
		assert_true(metadata_is_region_hydrated(again, 1));
		assert_true(metadata_nr_hydrated(again) == 2 || metadata_nr_hydrated(again) == 4);
		metadata_close(again);
		fixture_assert_clean(io);
		/* The way back into service. */
		if (r < 0 && nth % 2) {
			assert_int_equal(metadata_commit(md, NULL), 0);
		} else if (r < 0) {
			assert_int_equal(metadata_abort(md, NULL), 0);
			assert_int_equal(metadata_reload(md, NULL), 0);
			fixture_commit(md, new_set, 2);
		}
		assert_int_equal(metadata_nr_committed(md), 4);
		metadata_close(md);
		fixture_assert_clean(io);
		md = fixture_open(io, 100000);
		assert_int_equal(metadata_nr_committed(md), 4);
		metadata_close(md);
		block_io_close(io);
	}
	/* At the least: settle, blocks and superblock, each with its sync. */
	assert_true(nth > 3);
}

static void a_failing_operation_leaves_the_old_state(void **state)
{
	(void)state;
	check_failing(MEMORY_IO_READ, false);
	check_failing(MEMORY_IO_WRITE, false);
	check_failing(MEMORY_IO_SYNC, false);
	check_failing(MEMORY_IO_ANY, false);
	check_failing(MEMORY_IO_ANY, true);
}

static void a_failing_open_reports_and_leaks_nothing(void **state)
{
	struct block_io *io = memory_io_new(400 * METADATA_BLOCK_SIZE, NULL);
	struct metadata *md = fixture_format(io, 32576 * 300);
	uint64_t nth, nr_failed = 1;

	(void)state;
	metadata_close(md);
	for (nth = 1; nr_failed; nth++) {
		struct cf_error err = {0};
		int r;

		memory_io_fail(io, MEMORY_IO_READ, nth, -EIO, true);
		r = fixture_try_open(io, 32576 * 300, &err);
		nr_failed = memory_io_nr_failed(io);
		assert_int_equal(r, nr_failed ? -EIO : 0);
		assert_int_equal(err.code, r);
	}
	assert_true(nth > 8);
	block_io_close(io);
}

static void a_failing_format_leaves_block_0_zero_or_whole(void **state)
{
	const struct metadata_params params = {800, 8, METADATA_FORMAT_IF_ZERO};
	uint64_t nr_failed = 1;

	(void)state;
	for (uint64_t nth = 1; nr_failed; nth++) {
		struct block_io *io = memory_io_new(16 * METADATA_BLOCK_SIZE, NULL);
		struct metadata *md = NULL;
		int r;

		memory_io_fail(io, MEMORY_IO_CHANGES, nth, -EIO, true);
		r = metadata_open(io, &params, &md, NULL);
		nr_failed = memory_io_nr_failed(io);
		assert_int_equal(r, nr_failed ? -EIO : 0);
		metadata_close(md);
		memory_io_fail(io, 0, 0, 0, false);
		md = NULL;
		/* A superblock of which only the first half was written is damage, not "zero". */
		r = metadata_open(io, &params, &md, NULL);
		assert_true(r == 0 || r == -EILSEQ);
		if (r == 0)
			fixture_assert_clean(io);
		metadata_close(md);
		block_io_close(io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(blocks_sync_superblock_sync),
	        cmocka_unit_test(the_first_commit_after_an_open_settles_the_superblock),
	        cmocka_unit_test(a_commit_without_changes_settles_the_superblock_too),
	        cmocka_unit_test(no_change_writes_nothing),
	        cmocka_unit_test(writes_are_in_proportion_to_the_array_blocks_touched),
	        cmocka_unit_test(no_committed_block_is_ever_overwritten),
	        cmocka_unit_test(a_set_that_does_not_fit_takes_several_transactions),
	        cmocka_unit_test(a_device_without_room_for_one_array_block_is_full),
	        cmocka_unit_test(a_failing_operation_leaves_the_old_state),
	        cmocka_unit_test(a_failing_open_reports_and_leaks_nothing),
	        cmocka_unit_test(a_failing_format_leaves_block_0_zero_or_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
