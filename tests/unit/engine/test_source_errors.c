#include "engine_fixture.h"

static struct fixture *with_timeout(uint64_t timeout_ms, enum image_on_error on_error)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	fx->params.settings.timeout_ms = timeout_ms;
	fx->params.settings.on_source_error = on_error;
	return fx;
}

static void failed_attempts_are_made_again(void **state)
{
	static const enum source_result results[] = {
	        SOURCE_FAILED, SOURCE_SHORT, SOURCE_WRONG_REPLY, SOURCE_DENIED, SOURCE_CANCELLED};

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		struct fixture *fx = fixture_opened(MIB, 64 * KIB);

		memory_source_plan(fx->source, 3, results[i], 0, 0);
		assert_reads_source(fx, 65536, 4096);
		assert_int_equal(memory_source_nr_asked(fx->source), 4);
		assert_int_equal(status_of(fx).source_state, SOURCE_STATE_OK);
		assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
		fixture_free(fx);
	}
}

static void retry_after_is_obeyed(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	uint64_t begin = clock_monotonic_ns();

	(void)state;
	memory_source_plan(fx->source, 1, SOURCE_FAILED, 0, 300);
	assert_reads_source(fx, 0, 4096);
	assert_true(clock_monotonic_ns() - begin >= 300 * CF_NS_PER_MS);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	fixture_free(fx);
}

static void a_dead_source_fails_readers_and_writers_at_the_deadline(void **state)
{
	struct fixture *fx = with_timeout(300, ON_ERROR_EIO);
	uint64_t begin = clock_monotonic_ns();
	struct answer *reader, *writer;
	char byte = 1;

	(void)state;
	fixture_open(fx);
	memory_source_break(fx->source, SOURCE_FAILED);
	reader = start_read(fx, 0, 4096);
	writer = start_write(fx, 65536, &byte, 1);
	assert_int_equal(answer_free(reader), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	assert_true(clock_monotonic_ns() - begin >= 300 * CF_NS_PER_MS);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_UNREACHABLE);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 1);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	fixture_free(fx);
}

static void a_silent_source_fails_at_the_deadline(void **state)
{
	struct fixture *fx = with_timeout(300, ON_ERROR_EIO);

	(void)state;
	fixture_open(fx);
	memory_source_gate(fx->source, 0);
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_UNREACHABLE);
	memory_source_gate(fx->source, UINT64_MAX);
	fixture_free(fx);
}

static void later_misses_fail_at_once_but_one_a_second_asks(void **state)
{
	struct fixture *fx = with_timeout(200, ON_ERROR_EIO);
	size_t asked;

	(void)state;
	fixture_open(fx);
	memory_source_break(fx->source, SOURCE_FAILED);
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	asked = memory_source_nr_asked(fx->source);
	for (int i = 0; i < 100; i++)
		assert_int_equal(answer_free(start_read(fx, 65536, 4096)), -EIO);
	/* A slow machine may need several seconds for a hundred of them. */
	assert_true(memory_source_nr_asked(fx->source) < asked + 50);
	/* Hydrated regions are not concerned; and it heals by itself when it is asked again. */
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(answer_free(start_read(fx, 65536, 4096)) == 0);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_OK);
	assert_reads_source(fx, 0, MIB);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_END);
	fixture_free(fx);
}

static void background_heals_an_outage_by_itself(void **state)
{
	struct fixture *fx = with_timeout(200, ON_ERROR_EIO);

	(void)state;
	fx->params.settings.hydration_threshold = 4;
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
	assert_true(strlen(status_of(fx).reason) > 0);
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	fixture_free(fx);
}

static void background_alone_finds_out_that_the_source_is_away(void **state)
{
	struct fixture *fx = with_timeout(200, ON_ERROR_EIO);

	(void)state;
	fx->params.settings.hydration_threshold = 4;
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	wait_until(status_of(fx).source_state == SOURCE_STATE_UNREACHABLE);
	assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_END), 1);
	fixture_free(fx);
}

static void wait_waits_until_it_is_told_otherwise(void **state)
{
	struct fixture *fx = with_timeout(100, ON_ERROR_WAIT);
	struct image_settings settings;
	struct answer *reader, *writer;
	char byte = 1;

	(void)state;
	fixture_open(fx);
	memory_source_break(fx->source, SOURCE_FAILED);
	reader = start_read(fx, 0, 4096);
	writer = start_write(fx, 65536, &byte, 1);
	wait_until(status_of(fx).source_state == SOURCE_STATE_UNREACHABLE);
	fixture_sleep_ms(300);
	assert_false(answer_is_done(reader));
	assert_false(answer_is_done(writer));
	image_get_settings(fx->img, &settings);
	settings.on_source_error = ON_ERROR_EIO;
	image_configure(fx->img, &settings);
	assert_int_equal(answer_free(reader), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	fixture_free(fx);
}

static void wait_goes_on_when_the_source_is_back(void **state)
{
	struct fixture *fx = with_timeout(100, ON_ERROR_WAIT);
	struct answer *reader;

	(void)state;
	fixture_open(fx);
	memory_source_break(fx->source, SOURCE_FAILED);
	reader = start_read(fx, 0, 4096);
	wait_until(status_of(fx).source_state == SOURCE_STATE_UNREACHABLE);
	memory_source_break(fx->source, SOURCE_OK);
	assert_answer_is_source(fx, reader, 0);
	(void)answer_free(reader);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_END);
	fixture_free(fx);
}

static void wait_with_a_time_puts_it_in_place_of_timeout(void **state)
{
	struct fixture *fx = with_timeout(100, ON_ERROR_WAIT_TIME);
	uint64_t begin;

	(void)state;
	fx->params.settings.wait_ms = 700;
	fixture_open(fx);
	memory_source_break(fx->source, SOURCE_FAILED);
	begin = clock_monotonic_ns();
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	assert_true(clock_monotonic_ns() - begin >= 700 * CF_NS_PER_MS);
	fixture_free(fx);
}

static void a_changed_source_is_confirmed_on_a_fresh_connection(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	memory_source_plan(fx->source, 1, SOURCE_CHANGED, 0, 0);
	assert_reads_source(fx, 0, 4096);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	assert_false(memory_source_asked(fx->source, 0).fresh_connection);
	assert_true(memory_source_asked(fx->source, 1).fresh_connection);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_OK);
	assert_string_equal(status_of(fx).source_reason, "");
	fixture_free(fx);
}

static void a_changed_source_makes_missing_regions_stale(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *held;
	size_t asked;
	char byte = 1;

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_source_gate(fx->source, 0);
	held = start_read(fx, 5 * 65536, 4096);
	memory_source_wait_held(fx->source, 1);
	memory_source_break(fx->source, SOURCE_CHANGED);
	memory_source_gate(fx->source, UINT64_MAX);
	(void)answer_free(held);
	assert_int_equal(answer_free(start_read(fx, 65536, 4096)), -ESTALE);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_CHANGED);
	/* Although background is off, and has a reason of its own. */
	assert_non_null(strstr(status_of(fx).source_reason, "told to end"));
	(void)wait_event(fx, IMAGE_EVENT_SOURCE_CHANGED);
	asked = memory_source_nr_asked(fx->source);
	assert_int_equal(answer_free(start_read(fx, 2 * 65536, 4096)), -ESTALE);
	assert_int_equal(do_write(fx, 3 * 65536, &byte, 1), -ESTALE);
	assert_reads_source(fx, 0, 65536);
	assert_int_equal(memory_source_nr_asked(fx->source), asked);
	/* The pinned version comes back. */
	memory_source_break(fx->source, SOURCE_OK);
	image_resume(fx->img);
	(void)wait_event(fx, IMAGE_EVENT_SOURCE_BACK);
	assert_string_equal(status_of(fx).source_reason, "");
	assert_int_equal(memory_source_asked(fx->source, asked).length, 1);
	assert_reads_source(fx, 0, MIB);
	fixture_free(fx);
}

static void a_resume_that_finds_it_changed_stays_so(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	(void)state;
	fx->params.source_state = SOURCE_STATE_CHANGED;
	memory_source_break(fx->source, SOURCE_CHANGED);
	fixture_open(fx);
	image_resume(fx->img);
	memory_source_wait_asked(fx->source, 1);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_CHANGED);
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -ESTALE);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_SOURCE_BACK), 0);
	fixture_free(fx);
}

static void what_the_mount_found_is_the_reason(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	(void)state;
	fx->params.source = NULL;
	fx->params.no_hydration = false;
	fx->params.settings.hydration_threshold = 1;
	fx->params.source_state = SOURCE_STATE_UNREACHABLE;
	fx->params.source_why = "host is not there";
	fixture_open(fx);
	assert_string_equal(status_of(fx).reason, "the source is unreachable: host is not there");
	assert_string_equal(status_of(fx).source_reason, "host is not there");
	fixture_free(fx);
}

static void a_failed_image_answers_nobody(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);
	struct cf_error err = {0};

	(void)state;
	fixture_open(fx);
	assert_reads_source(fx, 0, 64 * KIB);
	image_fail(fx->img, "it is the wrong one");
	image_fail(fx->img, "again");
	wait_until(nr_invalidations(fx) == 1);
	assert_int_equal(status_of(fx).mode, IMAGE_FAIL);
	assert_non_null(strstr(status_of(fx).reason, "it is the wrong one"));
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	assert_int_equal(answer_free(start_read(fx, MIB / 2, 4096)), -EIO);
	assert_int_equal(image_close(fx->img, &err), -EIO);
	fx->img = NULL;
	/* Nothing is wrong with the last commit. */
	assert_null(strstr(err.text, "failed"));
	assert_non_null(strstr(err.text, "it is the wrong one"));
	fixture_free(fx);
}

static void without_a_source_misses_fail(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);
	void *data = filled(65536, 0x62);

	(void)state;
	fx->params.source = NULL;
	fx->params.source_state = SOURCE_STATE_UNREACHABLE;
	fx->params.settings.hydration_threshold = 4;
	fixture_open(fx);
	assert_int_equal(answer_free(start_read(fx, 0, 4096)), -EIO);
	assert_int_equal(do_write(fx, 0, data, 100), -EIO);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	assert_reads(fx, 0, 65536, data);
	assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
	free(data);
	fixture_free(fx);
}

static void limits_reach_the_source(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct image_settings settings;

	(void)state;
	assert_int_equal(memory_source_limits(fx->source).max_connections, 8);
	assert_int_equal(memory_source_limits(fx->source).stall_ms, 10000);
	image_get_settings(fx->img, &settings);
	settings.max_connections = 3;
	settings.timeout_ms = 6000;
	image_configure(fx->img, &settings);
	assert_int_equal(memory_source_limits(fx->source).max_connections, 3);
	assert_int_equal(memory_source_limits(fx->source).stall_ms, 2000);
	fixture_free(fx);
}

/* Reads of @nr regions at once from a source that serves one at a time, for 10 ms or so each. */
static uint64_t ns_of_reads_one_at_a_time(unsigned int nr)
{
	struct fixture *fx = fixture_new(4 * MIB, 64 * KIB);
	struct answer *readers[16];
	uint64_t begin, ns;

	fx->params.settings.max_connections = 16;
	memory_source_refuse_above(fx->source, 1);
	memory_source_set_chunk(fx->source, 4 * KIB);
	memory_source_set_delay(fx->source, 1300, 1);
	fixture_open(fx);
	begin = clock_monotonic_ns();
	for (unsigned int i = 0; i < nr; i++)
		readers[i] = start_read(fx, i * 192 * KIB, 64 * KIB);
	for (unsigned int i = 0; i < nr; i++) {
		assert_answer_is_source(fx, readers[i], i * 192 * KIB);
		(void)answer_free(readers[i]);
	}
	ns = clock_monotonic_ns() - begin;
	fixture_free(fx);
	return ns;
}

static void who_was_refused_is_served_when_another_one_has_been(void **state)
{
	(void)state;
	/* As long as one after the other; with waits of their own up to fourteen times that. */
	assert_in_range(ns_of_reads_one_at_a_time(16), 0,
	                UINT64_C(32) * ns_of_reads_one_at_a_time(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(failed_attempts_are_made_again),
	        cmocka_unit_test(retry_after_is_obeyed),
	        cmocka_unit_test(who_was_refused_is_served_when_another_one_has_been),
	        cmocka_unit_test(a_dead_source_fails_readers_and_writers_at_the_deadline),
	        cmocka_unit_test(a_silent_source_fails_at_the_deadline),
	        cmocka_unit_test(later_misses_fail_at_once_but_one_a_second_asks),
	        cmocka_unit_test(background_heals_an_outage_by_itself),
	        cmocka_unit_test(background_alone_finds_out_that_the_source_is_away),
	        cmocka_unit_test(wait_waits_until_it_is_told_otherwise),
	        cmocka_unit_test(wait_goes_on_when_the_source_is_back),
	        cmocka_unit_test(wait_with_a_time_puts_it_in_place_of_timeout),
	        cmocka_unit_test(a_changed_source_is_confirmed_on_a_fresh_connection),
	        cmocka_unit_test(a_changed_source_makes_missing_regions_stale),
	        cmocka_unit_test(a_resume_that_finds_it_changed_stays_so),
	        cmocka_unit_test(what_the_mount_found_is_the_reason),
	        cmocka_unit_test(a_failed_image_answers_nobody),
	        cmocka_unit_test(without_a_source_misses_fail),
	        cmocka_unit_test(limits_reach_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
