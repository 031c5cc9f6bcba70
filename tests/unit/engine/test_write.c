#include "engine_fixture.h"

static void a_whole_region_is_written_without_a_fetch(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(131072, 0x42);

	(void)state;
	assert_int_equal(do_write(fx, 65536, data, 131072), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	assert_reads(fx, 65536, 131072, data);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	assert_true(status_of(fx).modified);
	free(data);
	fixture_free(fx);
}

static void a_write_to_the_end_covers_the_short_last_region(void **state)
{
	struct fixture *fx = fixture_opened(65536 * 2 + 777, 64 * KIB);
	void *data = filled(777, 0x43);

	(void)state;
	assert_int_equal(do_write(fx, 131072, data, 777), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	assert_reads(fx, 131072, 777, data);
	free(data);
	fixture_free(fx);
}

static void part_of_a_region_is_hydrated_first(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(1000, 0x44);
	struct answer *write;

	(void)state;
	memory_source_gate(fx->source, 0);
	write = start_write(fx, 65536 + 500, data, 1000);
	memory_source_wait_held(fx->source, 1);
	assert_false(answer_is_done(write));
	memory_source_gate(fx->source, UINT64_MAX);
	assert_int_equal(answer_free(write), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_reads(fx, 65536 + 500, 1000, data);
	assert_reads_source(fx, 65536, 500);
	assert_reads_source(fx, 65536 + 1500, 65536 - 1500);
	free(data);
	fixture_free(fx);
}

static void a_write_across_regions_hydrates_its_edges_only(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	size_t length = 65536 * 3;
	void *data = filled(length, 0x45);

	(void)state;
	assert_int_equal(do_write(fx, 65536 + 100, data, length), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 4);
	assert_int_equal(memory_source_nr_bytes(fx->source), 2 * 65536);
	assert_reads_source(fx, 65536, 100);
	assert_reads(fx, 65536 + 100, length, data);
	assert_reads_source(fx, 65536 + 100 + length, 65536 - 100);
	free(data);
	fixture_free(fx);
}

static void a_parked_write_copies_its_data(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	unsigned char *data = filled(100, 0x46);
	unsigned char expected[100];
	struct answer *write;

	(void)state;
	memcpy(expected, data, 100);
	memory_source_gate(fx->source, 0);
	write = start_write(fx, 10, data, 100);
	memset(data, 0, 100);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_int_equal(answer_free(write), 0);
	assert_reads(fx, 10, 100, expected);
	free(data);
	fixture_free(fx);
}

static void a_write_to_a_region_being_fetched_wins(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x47);
	struct answer *reader;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 16384);
	reader = start_read(fx, 32768, 4096);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	/* The reader is answered from the destination, though the source still holds. */
	assert_int_equal(answer_wait(reader), 0);
	assert_memory_equal(reader->data, data, 4096);
	(void)answer_free(reader);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_reads(fx, 0, 65536, data);
	assert_memory_equal(memory_io_data(fx->destination), data, 65536);
	free(data);
	fixture_free(fx);
}

static void a_cancelled_parked_write_is_not_done(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(100, 0x48);
	struct answer *write;

	(void)state;
	memory_source_gate(fx->source, 0);
	write = start_write(fx, 10, data, 100);
	answer_cancel(write, -EINTR);
	assert_int_equal(answer_free(write), -EINTR);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_reads_source(fx, 0, 65536);
	free(data);
	fixture_free(fx);
}

static void a_failed_whole_write_leaves_the_region_missing(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x49);

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, false);
	assert_int_equal(do_write(fx, 0, data, 65536), -ENOSPC);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_reads_source(fx, 0, 65536);
	free(data);
	fixture_free(fx);
}

static void first_modify_comes_before_the_first_write_only(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x4A);

	(void)state;
	fx->first_modify_error = -EIO;
	assert_int_equal(do_write(fx, 0, data, 65536), -EIO);
	assert_false(status_of(fx).modified);
	assert_reads_source(fx, 0, 65536);
	fx->first_modify_error = 0;
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	assert_int_equal(do_write(fx, 0, data, 1), 0);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 65536, 65536), 0);
	assert_int_equal(fx->nr_first_modify, 2);
	free(data);
	fixture_free(fx);
}

static void a_read_only_mount_hydrates_and_refuses_writers(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);
	char byte = 1;

	(void)state;
	fx->params.read_only = true;
	fixture_open(fx);
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(do_write(fx, 0, &byte, 1), -EROFS);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 65536), -EROFS);
	assert_int_equal(do_range(fx, IMAGE_ALLOCATE, 0, 65536), -EROFS);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_int_equal(fx->nr_first_modify, 0);
	fixture_free(fx);
}

static void writes_are_there_after_a_reopen(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(70000, 0x4B);

	(void)state;
	assert_int_equal(do_write(fx, 1234, data, 70000), 0);
	assert_int_equal(fixture_close(fx), 0);
	fixture_open(fx);
	assert_reads_source(fx, 0, 1234);
	assert_reads(fx, 1234, 70000, data);
	free(data);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_whole_region_is_written_without_a_fetch),
	        cmocka_unit_test(a_write_to_the_end_covers_the_short_last_region),
	        cmocka_unit_test(part_of_a_region_is_hydrated_first),
	        cmocka_unit_test(a_write_across_regions_hydrates_its_edges_only),
	        cmocka_unit_test(a_parked_write_copies_its_data),
	        cmocka_unit_test(a_write_to_a_region_being_fetched_wins),
	        cmocka_unit_test(a_cancelled_parked_write_is_not_done),
	        cmocka_unit_test(a_failed_whole_write_leaves_the_region_missing),
	        cmocka_unit_test(first_modify_comes_before_the_first_write_only),
	        cmocka_unit_test(a_read_only_mount_hydrates_and_refuses_writers),
	        cmocka_unit_test(writes_are_there_after_a_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
