#include "metadata_fixture.h"

#include <endian.h>

#define NR       40001u /* two array blocks, the last word is not full */
#define NR_BLOCK 64u

struct setting {
	struct block_io *io;
	struct metadata *md;
};

static int set_up(void **state)
{
	static struct setting setting;

	setting.io = memory_io_new(NR_BLOCK * METADATA_BLOCK_SIZE, NULL);
	setting.md = fixture_format(setting.io, NR);
	*state = &setting;
	return 0;
}

static int tear_down(void **state)
{
	struct setting *setting = *state;

	metadata_close(setting->md);
	block_io_close(setting->io);
	return 0;
}

static void reopen(struct setting *setting)
{
	metadata_close(setting->md);
	setting->md = fixture_open(setting->io, NR);
}

static void a_fresh_device_has_nothing(void **state)
{
	struct setting *setting = *state;
	struct metadata *md = setting->md;
	uint64_t nr, used, total;

	assert_int_equal(metadata_nr_regions(md), NR);
	assert_int_equal(metadata_nr_hydrated(md), 0);
	assert_int_equal(metadata_nr_committed(md), 0);
	assert_false(metadata_is_hydration_done(md));
	assert_false(metadata_changed_this_transaction(md));
	assert_int_equal(metadata_find_next_unhydrated(md, 0), 0);
	assert_int_equal(metadata_find_next_hydrated(md, 0), NR);
	assert_int_equal(metadata_free_blocks(md, &nr), 0);
	assert_int_equal(nr, NR_BLOCK - 7);
	assert_int_equal(metadata_total_blocks(md, &nr), 0);
	assert_int_equal(nr, NR_BLOCK);
	metadata_usage(md, &used, &total);
	assert_int_equal(used, 7);
	assert_int_equal(total, NR_BLOCK);
	fixture_assert_clean(setting->io);
}

static void marks_are_live_at_once_and_durable_after_commit(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_set_region(setting->md, 7), 0);
	assert_int_equal(metadata_set_range(setting->md, 32570, 12), 0);
	assert_true(metadata_is_region_hydrated(setting->md, 7));
	assert_true(metadata_is_range_hydrated(setting->md, 32570, 12));
	assert_false(metadata_is_range_hydrated(setting->md, 32569, 12));
	assert_true(metadata_changed_this_transaction(setting->md));
	assert_int_equal(metadata_nr_hydrated(setting->md), 13);
	assert_int_equal(metadata_nr_committed(setting->md), 0);
	assert_int_equal(fixture_pre_commit_and_commit(setting->md), 0);
	assert_false(metadata_changed_this_transaction(setting->md));
	assert_int_equal(metadata_nr_committed(setting->md), 13);
	reopen(setting);
	assert_int_equal(metadata_nr_hydrated(setting->md), 13);
	assert_int_equal(metadata_nr_committed(setting->md), 13);
	assert_int_equal(metadata_find_next_hydrated(setting->md, 0), 7);
	assert_int_equal(metadata_find_next_unhydrated(setting->md, 7), 8);
	assert_int_equal(metadata_find_next_hydrated(setting->md, 8), 32570);
	assert_int_equal(metadata_find_next_unhydrated(setting->md, 32570), 32582);
	fixture_assert_clean(setting->io);
}

static void close_commits_nothing(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_set_region(setting->md, 1), 0);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	reopen(setting);
	assert_int_equal(metadata_nr_hydrated(setting->md), 0);
}

static void a_mark_after_pre_commit_belongs_to_the_next_commit(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_set_region(setting->md, 1), 0);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	/* The same word, so that a commit from the live map would record it. */
	assert_int_equal(metadata_set_region(setting->md, 2), 0);
	assert_int_equal(metadata_commit(setting->md, NULL), 0);
	assert_true(metadata_changed_this_transaction(setting->md));
	assert_int_equal(metadata_nr_committed(setting->md), 1);
	reopen(setting);
	assert_true(metadata_is_region_hydrated(setting->md, 1));
	assert_false(metadata_is_region_hydrated(setting->md, 2));
}

static void hydration_is_done_when_all_is_committed(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_set_range(setting->md, 0, NR), 0);
	assert_int_equal(metadata_find_next_unhydrated(setting->md, 0), NR);
	assert_int_equal(metadata_nr_hydrated(setting->md), NR);
	assert_false(metadata_is_hydration_done(setting->md));
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	assert_false(metadata_is_hydration_done(setting->md));
	assert_int_equal(metadata_commit(setting->md, NULL), 0);
	assert_true(metadata_is_hydration_done(setting->md));
	reopen(setting);
	assert_true(metadata_is_hydration_done(setting->md));
}

static void setting_a_set_region_changes_nothing(void **state)
{
	struct setting *setting = *state;

	fixture_commit(setting->md, (const uint64_t[]){5}, 1);
	assert_int_equal(metadata_set_region(setting->md, 5), 0);
	assert_int_equal(metadata_set_range(setting->md, 5, 1), 0);
	assert_false(metadata_changed_this_transaction(setting->md));
	assert_int_equal(metadata_nr_hydrated(setting->md), 1);
}

static void ranges_are_checked(void **state)
{
	static const struct {
		uint64_t first, nr;
		int code;
	} cases[] = {
	        {0, NR, 0},
	        {NR - 1, 1, 0},
	        {NR, 1, -ERANGE},
	        {NR - 1, 2, -ERANGE},
	        {0, NR + 1, -ERANGE},
	        {UINT64_MAX, 1, -ERANGE},
	        {1, UINT64_MAX, -ERANGE},
	        {UINT64_MAX, UINT64_MAX, -ERANGE},
	        {3, 0, 0},
	        {NR, 0, 0},
	        {UINT64_MAX, 0, 0},
	};
	struct setting *setting = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(metadata_set_range(setting->md, cases[i].first, cases[i].nr),
		                 cases[i].code);
		assert_int_equal(
		        metadata_is_range_hydrated(setting->md, cases[i].first, cases[i].nr),
		        cases[i].code == 0);
		if (cases[i].nr == 1)
			assert_int_equal(metadata_set_region(setting->md, cases[i].first),
			                 cases[i].code);
	}
	assert_false(metadata_is_region_hydrated(setting->md, NR));
	assert_false(metadata_is_region_hydrated(setting->md, UINT64_MAX));
	assert_int_equal(metadata_find_next_unhydrated(setting->md, UINT64_MAX), NR);
}

static void commit_needs_pre_commit(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_commit(setting->md, NULL), -EINVAL);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), -EINVAL);
	assert_int_equal(metadata_commit(setting->md, NULL), 0);
	assert_int_equal(metadata_commit(setting->md, NULL), -EINVAL);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
}

static void a_failed_commit_keeps_the_set_frozen(void **state)
{
	struct setting *setting = *state;

	assert_int_equal(metadata_set_region(setting->md, 9), 0);
	memory_io_fail(setting->io, MEMORY_IO_WRITE, 1, -EIO, true);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	assert_int_equal(metadata_commit(setting->md, NULL), -EIO);
	assert_true(metadata_changed_this_transaction(setting->md));
	assert_int_equal(metadata_nr_committed(setting->md), 0);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), -EINVAL);
	memory_io_fail(setting->io, 0, 0, 0, false);
	assert_int_equal(metadata_commit(setting->md, NULL), 0);
	assert_int_equal(metadata_nr_committed(setting->md), 1);
	fixture_assert_clean(setting->io);
}

static void read_only_refuses_changes(void **state)
{
	struct setting *setting = *state;
	struct cf_error err = {0};
	uint64_t nr;

	assert_int_equal(metadata_set_region(setting->md, 3), 0);
	metadata_set_read_only(setting->md);
	assert_int_equal(metadata_set_region(setting->md, 4), -EPERM);
	assert_int_equal(metadata_set_range(setting->md, 4, 2), -EPERM);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), -EPERM);
	assert_int_equal(metadata_commit(setting->md, &err), -EPERM);
	assert_int_equal(err.code, -EPERM);
	assert_int_equal(metadata_abort(setting->md, NULL), -EPERM);
	assert_int_equal(metadata_free_blocks(setting->md, &nr), 0);
	assert_int_equal(metadata_total_blocks(setting->md, &nr), 0);
	assert_true(metadata_is_region_hydrated(setting->md, 3));
	assert_int_equal(metadata_reload(setting->md, NULL), 0);
	assert_false(metadata_is_region_hydrated(setting->md, 3));
	metadata_set_read_write(setting->md);
	fixture_commit(setting->md, (const uint64_t[]){4}, 1);
}

static void abort_drops_the_marks_and_keeps_the_bits(void **state)
{
	struct setting *setting = *state;

	fixture_commit(setting->md, (const uint64_t[]){1}, 1);
	assert_int_equal(metadata_set_region(setting->md, 2), 0);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), 0);
	assert_int_equal(metadata_set_region(setting->md, 3), 0);
	assert_int_equal(metadata_abort(setting->md, NULL), 0);
	assert_false(metadata_changed_this_transaction(setting->md));
	assert_true(metadata_is_region_hydrated(setting->md, 2));
	assert_int_equal(metadata_commit(setting->md, NULL), -EINVAL);
	assert_int_equal(metadata_nr_committed(setting->md), 1);
	/* A commit after it records its own marks only. */
	fixture_commit(setting->md, (const uint64_t[]){4}, 1);
	assert_int_equal(metadata_reload(setting->md, NULL), 0);
	assert_int_equal(metadata_nr_hydrated(setting->md), 2);
	assert_true(metadata_is_region_hydrated(setting->md, 1));
	assert_false(metadata_is_region_hydrated(setting->md, 2));
	assert_false(metadata_is_region_hydrated(setting->md, 3));
	assert_true(metadata_is_region_hydrated(setting->md, 4));
	fixture_assert_clean(setting->io);
}

static void reload_clears_uncommitted_bits(void **state)
{
	struct setting *setting = *state;

	fixture_commit(setting->md, (const uint64_t[]){1, 40000}, 2);
	assert_int_equal(metadata_set_range(setting->md, 100, 33000), 0);
	assert_int_equal(metadata_reload(setting->md, NULL), 0);
	assert_int_equal(metadata_nr_hydrated(setting->md), 2);
	assert_int_equal(metadata_find_next_hydrated(setting->md, 2), 40000);
	assert_false(metadata_changed_this_transaction(setting->md));
	/* The same regions can be marked and committed again. */
	fixture_commit(setting->md, (const uint64_t[]){100}, 1);
	assert_int_equal(metadata_nr_committed(setting->md), 3);
}

static void a_failed_reload_leaves_the_bits(void **state)
{
	struct setting *setting = *state;
	struct cf_error err = {0};

	assert_int_equal(metadata_set_region(setting->md, 1), 0);
	/* The second of two array blocks: the first one is read before. */
	fixture_block(setting->io, 6)->bytes[1000] ^= 1;
	assert_int_equal(metadata_reload(setting->md, &err), -EILSEQ);
	assert_int_equal(err.code, -EILSEQ);
	assert_non_null(strstr(err.text, "block 6"));
	memory_io_fail(setting->io, MEMORY_IO_READ, 1, -EIO, true);
	assert_int_equal(metadata_reload(setting->md, &err), -EIO);
	assert_true(metadata_is_region_hydrated(setting->md, 1));
	assert_true(metadata_changed_this_transaction(setting->md));
}

static void a_failed_abort_is_final(void **state)
{
	struct setting *setting = *state;
	uint64_t nr = 77;
	uint64_t used, total;

	fixture_commit(setting->md, (const uint64_t[]){1}, 1);
	memory_io_fail(setting->io, MEMORY_IO_READ, 1, -EIO, false);
	assert_int_equal(metadata_abort(setting->md, NULL), -EIO);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), -EPERM);
	assert_int_equal(metadata_commit(setting->md, NULL), -EPERM);
	assert_int_equal(metadata_abort(setting->md, NULL), -EPERM);
	assert_int_equal(metadata_reload(setting->md, NULL), -EINVAL);
	assert_int_equal(metadata_free_blocks(setting->md, &nr), -EINVAL);
	assert_int_equal(metadata_total_blocks(setting->md, &nr), -EINVAL);
	assert_int_equal(nr, 77);
	metadata_usage(setting->md, &used, &total);
	assert_int_equal(total, NR_BLOCK);
	assert_true(metadata_is_region_hydrated(setting->md, 1));
	metadata_set_read_only(setting->md);
	metadata_set_read_write(setting->md);
	assert_int_equal(metadata_pre_commit(setting->md, NULL, NULL), -EPERM);
}

static void abort_reads_what_is_on_the_device(void **state)
{
	struct setting *setting = *state;
	struct metadata *other = fixture_open(setting->io, NR);

	fixture_commit(other, (const uint64_t[]){5, 6}, 2);
	metadata_close(other);
	assert_int_equal(metadata_abort(setting->md, NULL), 0);
	assert_int_equal(metadata_nr_committed(setting->md), 2);
	assert_int_equal(metadata_reload(setting->md, NULL), 0);
	assert_int_equal(metadata_nr_hydrated(setting->md), 2);
}

struct hook {
	struct metadata *md;
	unsigned int calls;
};

static void count_call(void *user)
{
	struct hook *hook = user;

	hook->calls++;
	/* The lock is held: a mark made here belongs to the next set. */
	assert_int_equal(metadata_set_range_locked(hook->md, 20, 1), 0);
}

static void the_hook_runs_at_the_swap_and_only_then(void **state)
{
	struct setting *setting = *state;
	struct hook hook = {.md = setting->md};

	assert_int_equal(metadata_set_region(setting->md, 10), 0);
	assert_int_equal(metadata_pre_commit(setting->md, count_call, &hook), 0);
	assert_int_equal(hook.calls, 1);
	assert_int_equal(metadata_pre_commit(setting->md, count_call, &hook), -EINVAL);
	assert_int_equal(hook.calls, 1);
	assert_int_equal(metadata_commit(setting->md, NULL), 0);
	assert_true(metadata_changed_this_transaction(setting->md));
	reopen(setting);
	assert_true(metadata_is_region_hydrated(setting->md, 10));
	assert_false(metadata_is_region_hydrated(setting->md, 20));
}

static void the_bitmap_lock_can_be_held_around_marks(void **state)
{
	struct setting *setting = *state;

	metadata_bitmap_lock(setting->md);
	assert_int_equal(metadata_set_range_locked(setting->md, 1, 2), 0);
	metadata_bitmap_unlock(setting->md);
	assert_int_equal(metadata_nr_hydrated(setting->md), 2);
}

static void bad_sizes_are_refused(void **state)
{
	static const struct metadata_params cases[] = {
	        {.target_sectors = 0, .region_sectors = 8},
	        {.target_sectors = 100, .region_sectors = 0},
	        {.target_sectors = 100, .region_sectors = 4},
	        {.target_sectors = 100, .region_sectors = 24},
	        {.target_sectors = 100, .region_sectors = 4194304},
	        {.target_sectors = 100, .region_sectors = UINT64_C(1) << 63},
	        {.target_sectors = (UINT64_C(1) << 34) + 1, .region_sectors = 8},
	        {.target_sectors = UINT64_MAX, .region_sectors = 8},
	};
	struct setting *setting = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metadata *md = NULL;
		struct cf_error err = {0};

		assert_int_equal(metadata_open(setting->io, &cases[i], &md, &err), -EINVAL);
		assert_null(md);
		assert_int_equal(err.code, -EINVAL);
		assert_true(err.text[0] != '\0');
	}
}

static void another_geometry_is_refused_with_both_values(void **state)
{
	struct setting *setting = *state;
	struct cf_error err;

	assert_int_equal(fixture_try_open(setting->io, NR + 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "320016"));
	assert_non_null(strstr(err.text, "320008"));
}

static void an_unformatted_device_is_formatted_only_when_asked(void **state)
{
	struct block_io *io = memory_io_new(16 * METADATA_BLOCK_SIZE, NULL);
	struct metadata_info info;
	struct cf_error err;
	struct metadata *md;

	(void)state;
	/* What stands behind block 0 does not matter. */
	memset(memory_io_data(io) + METADATA_BLOCK_SIZE, 0xA5, 15 * METADATA_BLOCK_SIZE);
	assert_int_equal(metadata_read_superblock(io, &info, &err), 0);
	assert_true(info.is_zero);
	assert_int_equal(fixture_try_open(io, 10, &err), -EPERM);
	assert_non_null(strstr(err.text, "not formatted"));
	md = fixture_format(io, 10);
	metadata_close(md);
	assert_int_equal(memory_io_data(io)[6 * METADATA_BLOCK_SIZE], 0xA5);
	assert_int_equal(metadata_read_superblock(io, &info, &err), 0);
	assert_false(info.is_zero);
	assert_int_equal(info.nr_blocks, 16);
	assert_int_equal(info.nr_allocated, 6);
	assert_int_equal(info.region_sectors, REGION_SECTORS);
	assert_int_equal(info.target_sectors, 10 * REGION_SECTORS);
	block_io_close(io);
}

static void format_if_zero_never_formats_a_used_device(void **state)
{
	struct setting *setting = *state;
	struct metadata *md;

	fixture_commit(setting->md, (const uint64_t[]){3}, 1);
	md = fixture_format(setting->io, NR);
	assert_int_equal(metadata_nr_hydrated(md), 1);
	metadata_close(md);
	memory_io_data(setting->io)[4095] = 1;
	assert_int_equal(fixture_try_open(setting->io, NR, NULL), -EILSEQ);
}

static void an_unreadable_block_0_is_never_unformatted(void **state)
{
	struct block_io *io = memory_io_new(16 * METADATA_BLOCK_SIZE, NULL);
	const struct metadata_params params = {80, 8, METADATA_FORMAT_IF_ZERO};
	struct block_io *tiny = memory_io_new(4095, NULL);
	struct metadata_info info;
	struct cf_error err;
	struct metadata *md;

	(void)state;
	memory_io_fail(io, MEMORY_IO_READ, 1, -ENXIO, true);
	assert_int_equal(metadata_open(io, &params, &md, &err), -EIO);
	assert_int_equal(metadata_read_superblock(io, &info, &err), -EIO);
	assert_int_equal(metadata_open(tiny, &params, &md, &err), -EIO);
	block_io_close(tiny);
	block_io_close(io);
}

static void the_smallest_device_that_can_be_formatted(void **state)
{
	const struct metadata_params params = {80, 8, METADATA_FORMAT_IF_ZERO};
	struct block_io *small = memory_io_new(5 * METADATA_BLOCK_SIZE, NULL);
	struct block_io *enough = memory_io_new(6 * METADATA_BLOCK_SIZE + 100, NULL);
	struct cf_error err;
	struct metadata *md;

	(void)state;
	assert_int_equal(metadata_open(small, &params, &md, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "6"));
	assert_int_equal(memory_io_data(small)[0], 0);
	assert_int_equal(metadata_open(enough, &params, &md, &err), 0);
	metadata_close(md);
	fixture_assert_clean(enough);
	block_io_close(small);
	block_io_close(enough);
}

#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        WITH_DEVICE(a_fresh_device_has_nothing),
	        WITH_DEVICE(marks_are_live_at_once_and_durable_after_commit),
	        WITH_DEVICE(close_commits_nothing),
	        WITH_DEVICE(a_mark_after_pre_commit_belongs_to_the_next_commit),
	        WITH_DEVICE(hydration_is_done_when_all_is_committed),
	        WITH_DEVICE(setting_a_set_region_changes_nothing),
	        WITH_DEVICE(ranges_are_checked),
	        WITH_DEVICE(commit_needs_pre_commit),
	        WITH_DEVICE(a_failed_commit_keeps_the_set_frozen),
	        WITH_DEVICE(read_only_refuses_changes),
	        WITH_DEVICE(abort_drops_the_marks_and_keeps_the_bits),
	        WITH_DEVICE(reload_clears_uncommitted_bits),
	        WITH_DEVICE(a_failed_reload_leaves_the_bits),
	        WITH_DEVICE(a_failed_abort_is_final),
	        WITH_DEVICE(abort_reads_what_is_on_the_device),
	        WITH_DEVICE(the_hook_runs_at_the_swap_and_only_then),
	        WITH_DEVICE(the_bitmap_lock_can_be_held_around_marks),
	        WITH_DEVICE(bad_sizes_are_refused),
	        WITH_DEVICE(another_geometry_is_refused_with_both_values),
	        cmocka_unit_test(an_unformatted_device_is_formatted_only_when_asked),
	        WITH_DEVICE(format_if_zero_never_formats_a_used_device),
	        cmocka_unit_test(an_unreadable_block_0_is_never_unformatted),
	        cmocka_unit_test(the_smallest_device_that_can_be_formatted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
