#include "engine_fixture.h"

static struct fixture *full(uint64_t threshold)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	fx->params.settings.hydration_threshold = threshold;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, true);
	fixture_open(fx);
	return fx;
}

static void readers_are_answered_and_nothing_is_kept(void **state)
{
	struct fixture *fx = full(0);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_reads_source(fx, 0, 3 * 65536);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	fixture_free(fx);
}

static void writers_get_enospc(void **state)
{
	struct fixture *fx = full(0);
	void *data = filled(65536, 0x91);

	(void)state;
	assert_int_equal(do_write(fx, 0, data, 65536), -ENOSPC);
	/* Its region cannot be hydrated. */
	assert_int_equal(do_write(fx, 65536 + 5, data, 10), -ENOSPC);
	assert_int_equal(do_write(fx, 65536 + 5, data, 10), -ENOSPC);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_reads_source(fx, 0, 131072);
	free(data);
	fixture_free(fx);
}

/* Whole regions, parts of missing ones and what is fetched: each error has its own number. */
static void another_error_is_treated_alike(void **state)
{
	static const int errors[] = {-EIO, -EDQUOT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *fx = fixture_opened(MIB, 64 * KIB);
		void *data = filled(65536, 0x92);

		memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, errors[i], true);
		assert_int_equal(do_write(fx, 0, data, 65536), errors[i]);
		assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_BEGIN), 0);
		assert_int_equal(do_write(fx, 10, data, 1), errors[i]);
		assert_non_null(strstr(wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN).text,
		                       strerror(-errors[i])));
		assert_reads_source(fx, 0, 65536);
		assert_int_equal(status_of(fx).regions_hydrated, 0);
		assert_int_equal(status_of(fx).mode, IMAGE_RW);
		free(data);
		fixture_free(fx);
	}
}

/* A change of a hydrated region can fail as well: a thin destination. */
static void a_hydrated_region_stays_hydrated(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	char byte = 1;

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_WRITE | MEMORY_IO_PUNCH, 1, -ENOSPC, true);
	assert_int_equal(do_write(fx, 10, &byte, 1), -ENOSPC);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 65536), -ENOSPC);
	assert_int_equal(do_range(fx, IMAGE_ZERO, 65536, 65536), -ENOSPC);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	fixture_free(fx);
}

static void a_write_that_finds_room_again_ends_it(void **state)
{
	struct fixture *fx = full(0);
	void *data = filled(10, 0x93);

	(void)state;
	assert_int_equal(do_write(fx, 65536 + 5, data, 10), -ENOSPC);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
	memory_io_fail(fx->destination, 0, 0, 0, false);
	assert_int_equal(do_write(fx, 65536 + 5, data, 10), 0);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_END);
	assert_reads(fx, 65536 + 5, 10, data);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	free(data);
	fixture_free(fx);
}

/* Nothing is written any more that could find room: punching needs none. */
static void changes_that_complete_the_image_end_it(void **state)
{
	struct fixture *fx = fixture_new(256 * KIB, 64 * KIB);
	char byte = 1;

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, true);
	fixture_open(fx);
	assert_int_equal(do_write(fx, 5, &byte, 1), -ENOSPC);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 192 * KIB), 0);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_END), 0);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 192 * KIB, 64 * KIB), 0);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_END);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_END), 1);
	fixture_free(fx);
}

/* Readers do not hammer a full destination: what they fetch is kept again after the next try. */
static void misses_are_not_tried_between_two_tries(void **state)
{
	struct fixture *fx = full(0);
	uint64_t begin = clock_monotonic_ns();
	uint64_t failed;

	(void)state;
	assert_reads_source(fx, 0, 65536);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
	failed = memory_io_nr_failed(fx->destination);
	for (uint64_t region = 5; region < 9; region++)
		assert_reads_source(fx, region * 65536, 65536);
	wait_until(status_of(fx).regions_hydrating == 0);
	if (clock_monotonic_ns() - begin < 5 * CF_NS_PER_S)
		assert_int_equal(memory_io_nr_failed(fx->destination), failed);
	fixture_free(fx);
}

/* Four regions without zeros, which would need no space. */
static void one_region_is_tried_now_and_then_until_there_is_room(void **state)
{
	struct fixture *fx = fixture_new(256 * KIB, 64 * KIB);
	struct image_status status;
	uint64_t begin;
	size_t asked;

	(void)state;
	fx->params.settings.hydration_threshold = 4;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, true);
	begin = clock_monotonic_ns();
	fixture_open(fx);
	assert_non_null(strstr(wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN).text, strerror(ENOSPC)));
	wait_until(status_of(fx).regions_hydrating == 0);
	status = status_of(fx);
	assert_int_equal(status.hydration, HYDRATION_WAITING);
	assert_non_null(strstr(status.reason, strerror(ENOSPC)));
	assert_int_equal(status.source_state, SOURCE_STATE_OK);
	assert_int_equal(status.regions_hydrated, 0);
	asked = memory_source_nr_asked(fx->source);
	memory_source_wait_asked(fx->source, asked + 1);
	assert_true(clock_monotonic_ns() - begin >= 5 * CF_NS_PER_S);
	assert_int_equal(memory_source_asked(fx->source, asked).length, 65536);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
	memory_io_fail(fx->destination, 0, 0, 0, false);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_END);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_BEGIN), 1);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_END), 1);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, 256 * KIB);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(readers_are_answered_and_nothing_is_kept),
	        cmocka_unit_test(writers_get_enospc),
	        cmocka_unit_test(another_error_is_treated_alike),
	        cmocka_unit_test(a_hydrated_region_stays_hydrated),
	        cmocka_unit_test(a_write_that_finds_room_again_ends_it),
	        cmocka_unit_test(changes_that_complete_the_image_end_it),
	        cmocka_unit_test(misses_are_not_tried_between_two_tries),
	        cmocka_unit_test(one_region_is_tried_now_and_then_until_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
