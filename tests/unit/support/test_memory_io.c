#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/memory_io.h"

static uint8_t after(struct block_io *io, size_t at, enum memory_io_cut_kind kind, uint64_t seed,
                     uint64_t offset)
{
	struct memory_io_cut cut = {at, kind, seed};
	struct block_io *cut_io = memory_io_after_cut(io, &cut);
	uint8_t byte = memory_io_data(cut_io)[offset];

	block_io_close(cut_io);
	return byte;
}

static void put(struct block_io *io, uint8_t byte, uint64_t offset)
{
	assert_int_equal(block_io_pwrite(io, &byte, 1, offset), 0);
}

static void only_synced_writes_survive_a_cut(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(4096, log);

	(void)state;
	put(io, 1, 0);                          /* operation 0 */
	assert_int_equal(block_io_sync(io), 0); /* 1 */
	put(io, 2, 0);                          /* 2 */
	put(io, 3, 600);                        /* 3 */
	assert_int_equal(memory_io_log_nr(log), 4);
	assert_int_equal(after(io, 1, MEMORY_IO_CUT_NONE, 0, 0), 0);
	assert_int_equal(after(io, 2, MEMORY_IO_CUT_NONE, 0, 0), 1);
	assert_int_equal(after(io, 4, MEMORY_IO_CUT_NONE, 0, 0), 1);
	assert_int_equal(after(io, 4, MEMORY_IO_CUT_ALL, 0, 0), 2);
	assert_int_equal(after(io, 4, MEMORY_IO_CUT_ONE, 1, 0), 1);
	assert_int_equal(after(io, 4, MEMORY_IO_CUT_ONE, 1, 600), 3);
	assert_int_equal(memory_io_nr_doubtful(io, 4), 2);
	assert_int_equal(memory_io_nr_doubtful(io, 2), 0);
	block_io_close(io);
	memory_io_log_free(log);
}

static void random_cuts_reach_all_combinations(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(4096, log);
	uint8_t page[1024];
	unsigned int seen = 0;

	(void)state;
	memset(page, 7, sizeof(page));
	assert_int_equal(block_io_pwrite(io, page, sizeof(page), 512), 0);
	for (uint64_t seed = 0; seed < 64; seed++) {
		unsigned int first = after(io, 1, MEMORY_IO_CUT_SECTORS, seed, 512) != 0;
		unsigned int second = after(io, 1, MEMORY_IO_CUT_SECTORS, seed, 1535) != 0;

		seen |= 1u << (first * 2 + second);
	}
	assert_int_equal(seen, 15);
	block_io_close(io);
	memory_io_log_free(log);
}

static void writes_before_a_failed_sync_stay_doubtful(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *io = memory_io_new(4096, log);

	(void)state;
	put(io, 1, 0);
	memory_io_fail(io, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(block_io_sync(io), -EIO);
	assert_int_equal(memory_io_nr_failed(io), 1);
	assert_int_equal(block_io_sync(io), 0);
	assert_int_equal(after(io, 3, MEMORY_IO_CUT_NONE, 0, 0), 0);
	assert_int_equal(after(io, 3, MEMORY_IO_CUT_ALL, 0, 0), 1);
	block_io_close(io);
	memory_io_log_free(log);
}

static void devices_of_a_log_are_ordered_and_synced_apart(void **state)
{
	struct memory_io_log *log = memory_io_log_new();
	struct block_io *one = memory_io_new(512, log), *two = memory_io_new(512, log);

	(void)state;
	put(one, 1, 0);
	put(two, 2, 0);
	assert_int_equal(block_io_sync(one), 0);
	assert_ptr_equal(memory_io_log_op(log, 0)->io, one);
	assert_ptr_equal(memory_io_log_op(log, 1)->io, two);
	assert_int_equal(after(one, 3, MEMORY_IO_CUT_NONE, 0, 0), 1);
	assert_int_equal(after(two, 3, MEMORY_IO_CUT_NONE, 0, 0), 0);
	memory_io_log_clear(log);
	assert_int_equal(after(two, 0, MEMORY_IO_CUT_NONE, 0, 0), 2);
	block_io_close(one);
	block_io_close(two);
	memory_io_log_free(log);
}

static void the_nth_operation_fails(void **state)
{
	struct block_io *io = memory_io_new(4096, NULL);
	uint8_t page[1024];

	(void)state;
	memset(page, 9, sizeof(page));
	memory_io_fail(io, MEMORY_IO_WRITE, 2, -ENOSPC, false);
	assert_int_equal(block_io_pwrite(io, page, 512, 0), 0);
	assert_int_equal(block_io_pread(io, page, 512, 0), 0);
	assert_int_equal(block_io_pwrite(io, page, 1024, 1024), -ENOSPC);
	assert_int_equal(memory_io_data(io)[1535], 9);
	assert_int_equal(memory_io_data(io)[1536], 0);
	assert_int_equal(block_io_pwrite(io, page, 512, 0), 0);
	assert_int_equal(block_io_pread(io, page, 1024, 3584), -ENODATA);
	assert_int_equal(block_io_punch(io, 0, 512), 0);
	assert_int_equal(memory_io_data(io)[0], 0);
	block_io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_synced_writes_survive_a_cut),
	        cmocka_unit_test(random_cuts_reach_all_combinations),
	        cmocka_unit_test(writes_before_a_failed_sync_stay_doubtful),
	        cmocka_unit_test(devices_of_a_log_are_ordered_and_synced_apart),
	        cmocka_unit_test(the_nth_operation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
