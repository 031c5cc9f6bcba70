#include "engine_fixture.h"

static struct fixture *hydrating(uint64_t size)
{
	struct fixture *fx = fixture_new(size, 64 * KIB);

	fx->params.settings.hydration_threshold = 16;
	return fx;
}

static void pause_ends_background_and_commits(void **state)
{
	/* Large and slow enough that a busy machine does not see all of it before the pause. */
	struct fixture *fx = hydrating(64 * MIB);
	uint64_t hydrated;

	(void)state;
	memory_source_set_delay(fx->source, 10000, 1);
	fixture_open(fx);
	wait_until(status_of(fx).regions_hydrated > 20);
	assert_int_equal(do_pause(fx), 0);
	assert_int_equal(status_of(fx).background_in_flight, 0);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_int_equal(status_of(fx).hydration, HYDRATION_PAUSED);
	hydrated = status_of(fx).regions_hydrated;
	assert_int_equal(status_of(fx).regions_committed, hydrated);
	fixture_sleep_ms(50);
	assert_int_equal(status_of(fx).regions_hydrated, hydrated);
	image_resume(fx->img);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	(void)wait_event(fx, IMAGE_EVENT_RESUMED);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_PAUSED), 1);
	fixture_free(fx);
}

static void reads_hydrate_while_paused(void **state)
{
	struct fixture *fx = hydrating(4 * MIB);

	(void)state;
	fx->params.no_hydration = true;
	fixture_open(fx);
	assert_int_equal(status_of(fx).hydration, HYDRATION_PAUSED);
	assert_reads_source(fx, MIB, 4096);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	fixture_free(fx);
}

static void what_a_reader_waits_for_is_not_cancelled(void **state)
{
	struct fixture *fx = hydrating(MIB);
	struct answer *reader, *pause;

	(void)state;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 4);
	reader = start_read(fx, 65536, 4096);
	pause = start_pause(fx);
	assert_int_equal(answer_free(pause), 0);
	assert_int_equal(status_of(fx).background_in_flight, 0);
	assert_false(answer_is_done(reader));
	wait_until(memory_source_nr_cancelled(fx->source) == 3);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 65536);
	(void)answer_free(reader);
	assert_int_equal(memory_source_nr_asked(fx->source), 4);
	fixture_free(fx);
}

static void threshold_zero_counts_as_paused(void **state)
{
	struct fixture *fx = hydrating(4 * MIB);

	(void)state;
	fx->params.settings.hydration_threshold = 0;
	fixture_open(fx);
	assert_int_equal(status_of(fx).hydration, HYDRATION_PAUSED);
	assert_true(strlen(status_of(fx).reason) > 0);
	assert_int_equal(status_of(fx).eta_seconds, UINT64_MAX);
	fixture_free(fx);
}

static void pausing_twice_answers_both(void **state)
{
	struct fixture *fx = hydrating(4 * MIB);
	struct answer *first, *second;

	(void)state;
	fixture_open(fx);
	first = start_pause(fx);
	second = start_pause(fx);
	assert_int_equal(answer_free(first), 0);
	assert_int_equal(answer_free(second), 0);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_PAUSED) <= 1, 1);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pause_ends_background_and_commits),
	        cmocka_unit_test(reads_hydrate_while_paused),
	        cmocka_unit_test(what_a_reader_waits_for_is_not_cancelled),
	        cmocka_unit_test(threshold_zero_counts_as_paused),
	        cmocka_unit_test(pausing_twice_answers_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
