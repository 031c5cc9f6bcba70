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

static void another_error_is_passed_on_with_its_own_number(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	char byte = 1;

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -EDQUOT, true);
	assert_int_equal(do_write(fx, 10, &byte, 1), -EDQUOT);
	assert_reads_source(fx, 0, 65536);
	fixture_free(fx);
}

static void hydration_waits_and_goes_on_when_there_is_room(void **state)
{
	struct fixture *fx = full(4);

	(void)state;
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
	wait_until(status_of(fx).hydration == HYDRATION_WAITING);
	assert_true(strlen(status_of(fx).reason) > 0);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SPACE_BEGIN), 1);
	memory_io_fail(fx->destination, 0, 0, 0, false);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_END);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, MIB);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(readers_are_answered_and_nothing_is_kept),
	        cmocka_unit_test(writers_get_enospc),
	        cmocka_unit_test(another_error_is_passed_on_with_its_own_number),
	        cmocka_unit_test(hydration_waits_and_goes_on_when_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
