#include "engine_fixture.h"

#include "gate_io.h"

/* Region 0: written and committed. 1: fetched and committed, then written. 2: written whole. 3: a
 * parked write's. 5: fetched, not committed. */
static struct fixture *prepared(void)
{
	struct fixture *fx = fixture_opened(2 * MIB, 64 * KIB);
	void *data = filled(65536, 0x81);

	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	assert_reads_source(fx, 65536, 65536);
	wait_until(status_of(fx).regions_hydrated == 2);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(do_write(fx, 65536 + 10, data, 100), 0);
	assert_int_equal(do_write(fx, 2 * 65536, data, 65536), 0);
	assert_int_equal(do_write(fx, 3 * 65536 + 10, data, 100), 0);
	free(data);
	return fx;
}

static void assert_is_read_only(struct fixture *fx, uint64_t nr_lost)
{
	char byte = 1;

	assert_int_equal(status_of(fx).mode, IMAGE_RO);
	assert_int_equal(status_of(fx).hydration, HYDRATION_STOPPED);
	assert_true(strlen(status_of(fx).reason) > 0);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_MODE).value, IMAGE_RO);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_LOST).value, nr_lost);
	wait_until(nr_invalidations(fx) == 1);
	assert_int_equal(do_write(fx, 0, &byte, 1), -EIO);
	assert_int_equal(do_write(fx, 10 * 65536, &byte, 1), -EIO);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 65536), -EIO);
	assert_int_equal(do_range(fx, IMAGE_ALLOCATE, 0, 65536), -EIO);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(do_pause(fx), 0);
}

static int read_one(struct fixture *fx, uint64_t region)
{
	char buf[512];

	return do_read(fx, buf, region * 65536 + 8192, sizeof(buf));
}

/* Missing regions are fetched and answered, and not kept. */
static void assert_fetches_but_keeps_nothing(struct fixture *fx, uint64_t region)
{
	unsigned char *before = filled(65536, 0);
	size_t asked = memory_source_nr_asked(fx->source);

	memcpy(before, memory_io_data(fx->destination) + region * 65536, 65536);
	assert_reads_source(fx, region * 65536, 65536);
	assert_reads_source(fx, region * 65536 + 100, 1000);
	assert_true(memory_source_nr_asked(fx->source) >= asked + 2);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_memory_equal(memory_io_data(fx->destination) + region * 65536, before, 65536);
	assert_int_equal(status_of(fx).regions_hydrated, status_of(fx).regions_committed);
	free(before);
}

static void a_failed_destination_sync_loses_all_writes_since_the_last(void **state)
{
	struct fixture *fx = prepared();

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	assert_is_read_only(fx, 3);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "1-3");
	assert_int_equal(read_one(fx, 0), 0);
	assert_int_equal(read_one(fx, 1), -EIO);
	assert_int_equal(read_one(fx, 2), -EIO);
	assert_int_equal(read_one(fx, 3), -EIO);
	assert_fetches_but_keeps_nothing(fx, 7);
	assert_int_equal(fixture_close(fx), -EIO);
	fixture_free(fx);
}

static void a_failed_metadata_write_loses_what_is_not_committed(void **state)
{
	struct fixture *fx = prepared();

	(void)state;
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	/* Region 1 is committed, and the destination has its new bytes. */
	assert_is_read_only(fx, 2);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "2-3");
	assert_int_equal(read_one(fx, 0), 0);
	assert_int_equal(read_one(fx, 1), 0);
	assert_int_equal(read_one(fx, 2), -EIO);
	assert_int_equal(read_one(fx, 3), -EIO);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	assert_fetches_but_keeps_nothing(fx, 8);
	fixture_free(fx);
}

static void what_was_only_fetched_is_missing_again(void **state)
{
	struct fixture *fx = fixture_opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	(void)wait_event(fx, IMAGE_EVENT_MODE);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_LOST), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_fetches_but_keeps_nothing(fx, 0);
	fixture_free(fx);
}

static void a_failed_reload_is_fail_mode(void **state)
{
	struct fixture *fx = prepared();

	(void)state;
	memory_io_fail(fx->metadata_io, MEMORY_IO_ANY, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	wait_until(status_of(fx).mode == IMAGE_FAIL);
	assert_int_equal(status_of(fx).hydration, HYDRATION_STOPPED);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(read_one(fx, 7), -EIO);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(fixture_close(fx), -EIO);
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	fixture_free(fx);
}

static void who_waits_is_answered_from_the_reply(void **state)
{
	struct fixture *fx = prepared();
	struct answer *reader, *writer;
	char byte = 1;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 16384);
	reader = start_read(fx, 10 * 65536, 65536);
	writer = start_write(fx, 12 * 65536, &byte, 1);
	memory_source_wait_held(fx->source, 2);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	assert_false(answer_is_done(reader));
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 10 * 65536);
	(void)answer_free(reader);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	fixture_free(fx);
}

static void a_short_destination_is_fail_mode(void **state)
{
	struct fixture *fx = fixture_opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -ENODATA, false);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(status_of(fx).mode, IMAGE_FAIL);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(read_one(fx, 9), -EIO);
	fixture_free(fx);
}

static void a_failed_read_of_the_destination_is_that_readers(void **state)
{
	struct fixture *fx = fixture_opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -EIO, false);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	assert_int_equal(read_one(fx, 0), 0);
	fixture_free(fx);
}

/* A write under way while the commit fails is refused, or in the lost set; never neither. */
static void a_write_beside_a_failing_commit_is_lost_or_refused(void **state)
{
	struct fixture *fx = fixture_new(2 * MIB, 64 * KIB);
	void *data = filled(65536, 0x82);
	struct answer *flush;
	struct gate_io gate;

	(void)state;
	gate_io_init(&gate, fx->destination);
	fx->params.destination = &gate.io;
	fixture_open(fx);
	gate_io_hold(&gate, false, false, true);
	flush = start_flush(fx);
	gate_io_wait_held(&gate, 1);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(flush), -EIO);
	assert_int_equal(do_write(fx, 65536, data, 65536), -EIO);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(read_one(fx, 1), 0);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "0");
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* Every point at which a commit can fail, one after the other. */
static void no_failure_of_a_commit_brings_old_data_back(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned int nth = 1; failed; nth++) {
		struct fixture *fx = fixture_opened(MIB, 64 * KIB);
		unsigned char *data = filled(65536, 0x83);
		unsigned char buf[512];
		int r;

		assert_true(nth < 100);
		assert_int_equal(do_write(fx, 65536, data, 65536), 0);
		memory_io_fail(fx->metadata_io, MEMORY_IO_CHANGES, nth, -EIO, false);
		r = do_flush(fx);
		failed = memory_io_nr_failed(fx->metadata_io) > 0;
		assert_int_equal(r, failed ? -EIO : 0);
		r = do_read(fx, buf, 65536, sizeof(buf));
		if (r == 0)
			assert_memory_equal(buf, data, sizeof(buf));
		else
			assert_int_equal(r, -EIO);
		free(data);
		fixture_free(fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_failed_destination_sync_loses_all_writes_since_the_last),
	        cmocka_unit_test(a_failed_metadata_write_loses_what_is_not_committed),
	        cmocka_unit_test(what_was_only_fetched_is_missing_again),
	        cmocka_unit_test(a_failed_reload_is_fail_mode),
	        cmocka_unit_test(who_waits_is_answered_from_the_reply),
	        cmocka_unit_test(a_short_destination_is_fail_mode),
	        cmocka_unit_test(a_failed_read_of_the_destination_is_that_readers),
	        cmocka_unit_test(a_write_beside_a_failing_commit_is_lost_or_refused),
	        cmocka_unit_test(no_failure_of_a_commit_brings_old_data_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
