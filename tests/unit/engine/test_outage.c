/* Outages that nobody but the background meets, and what is said about them. */
#include "engine_fixture.h"
#include "gate_io.h"

static struct fixture *hydrating(uint64_t timeout_ms)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	fx->params.settings.hydration_threshold = 4;
	fx->params.settings.hydration_batch_size = 1;
	fx->params.settings.timeout_ms = timeout_ms;
	return fx;
}

/* Attempts have failed before the deadline is so short that a slow machine could miss it. */
static void open_broken(struct fixture *fx)
{
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	memory_source_wait_asked(fx->source, 5);
	set_timeout(fx, 300);
}

static void assert_unreachable(struct fixture *fx, const char *why)
{
	struct image_status status = status_of(fx);

	assert_int_equal(status.hydration, HYDRATION_WAITING);
	assert_int_equal(status.source_state, SOURCE_STATE_UNREACHABLE);
	assert_non_null(strstr(status.reason, "unreachable"));
	assert_non_null(strstr(status.reason, why));
}

static void background_notices_a_source_that_fails(void **state)
{
	struct fixture *fx = hydrating(60000);
	uint64_t begin = clock_monotonic_ns();
	size_t asked;

	(void)state;
	open_broken(fx);
	assert_non_null(strstr(wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN).text, "was told to end"));
	assert_true(clock_monotonic_ns() - begin >= 300 * CF_NS_PER_MS);
	assert_unreachable(fx, "was told to end");
	/* Probed again and again, by requests of one byte. */
	asked = memory_source_nr_asked(fx->source);
	memory_source_wait_asked(fx->source, asked + 2);
	assert_int_equal(memory_source_asked(fx->source, asked + 1).length, 1);
	assert_unreachable(fx, "was told to end");
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 1);
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_OK);
	assert_true(wait_event(fx, IMAGE_EVENT_OUTAGE_END).value > 0);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 1);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_END), 1);
	fixture_free(fx);
}

static void background_notices_a_source_that_is_silent(void **state)
{
	/* One connection: what hangs must not keep the probe from it. */
	static const unsigned int connections[] = {8, 1};

	(void)state;
	for (size_t i = 0; i < sizeof(connections) / sizeof(connections[0]); i++) {
		struct fixture *fx = hydrating(300);

		fx->params.settings.max_connections = connections[i];
		memory_source_gate(fx->source, 0);
		fixture_open(fx);
		assert_non_null(strstr(wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN).text, "no byte"));
		assert_unreachable(fx, "no byte");
		wait_until(status_of(fx).background_in_flight == 0);
		/* A machine that stands still is no second one. */
		set_timeout(fx, 60000);
		memory_source_gate(fx->source, UINT64_MAX);
		wait_until(status_of(fx).regions_hydrated == 16);
		(void)wait_event(fx, IMAGE_EVENT_OUTAGE_END);
		assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 1);
		fixture_free(fx);
	}
}

static void a_source_that_falls_silent_in_the_middle_is_noticed(void **state)
{
	struct fixture *fx = hydrating(300);

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 8192);
	fixture_open(fx);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	assert_unreachable(fx, "no byte");
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).regions_hydrated == 16);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, MIB);
	fixture_free(fx);
}

static void a_paused_clone_meets_no_outage(void **state)
{
	struct fixture *fx = hydrating(60000);

	(void)state;
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	memory_source_wait_asked(fx->source, 2);
	assert_int_equal(do_pause(fx), 0);
	set_timeout(fx, 100);
	fixture_sleep_ms(400);
	assert_int_equal(status_of(fx).hydration, HYDRATION_PAUSED);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_OK);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	memory_source_break(fx->source, SOURCE_OK);
	set_timeout(fx, 60000);
	image_resume(fx->img);
	wait_until(status_of(fx).regions_hydrated == 16);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

static void a_slow_rate_does_not_put_off_the_next_attempt(void **state)
{
	struct fixture *fx = hydrating(60000);

	(void)state;
	/* One region in two minutes. */
	fx->params.settings.background_rate = 512;
	memory_source_plan(fx->source, 3, SOURCE_FAILED, 0, 0);
	fixture_open(fx);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

static void failures_do_not_cover_up_what_changed(void **state)
{
	struct fixture *fx = hydrating(300);
	char reason[sizeof(status_of(fx).reason)];
	size_t asked;

	(void)state;
	memory_source_break(fx->source, SOURCE_CHANGED);
	fixture_open(fx);
	(void)wait_event(fx, IMAGE_EVENT_SOURCE_CHANGED);
	memcpy(reason, status_of(fx).reason, sizeof(reason));
	assert_string_equal(reason, "the memory source was told to end with 6");
	wait_until(memory_source_nr_open(fx->source) == 0);
	memory_source_break(fx->source, SOURCE_FAILED);
	asked = memory_source_nr_asked(fx->source);
	image_resume(fx->img);
	memory_source_wait_asked(fx->source, asked + 1);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_string_equal(status_of(fx).reason, reason);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_CHANGED);
	fixture_free(fx);
}

static void an_old_failure_is_no_reason_for_a_later_silence(void **state)
{
	struct fixture *fx = hydrating(60000);

	(void)state;
	open_broken(fx);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	/* Back, but for the probe and the first bytes only. */
	memory_source_gate(fx->source, 2);
	memory_source_break(fx->source, SOURCE_OK);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_END);
	wait_until(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN) >= 2);
	assert_unreachable(fx, "no byte");
	memory_source_gate(fx->source, UINT64_MAX);
	fixture_free(fx);
}

/* The first read's piece stays in a writer's hands; the second one waits for the source. */
static void a_disk_that_hangs_keeps_no_deadline_away(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);
	struct answer *waiting;
	struct gate_io gate;
	char buf[4096];

	(void)state;
	fx->params.settings.timeout_ms = 300;
	gate_io_init(&gate, fx->destination);
	fx->params.destination = &gate.io;
	fixture_open(fx);
	gate_io_hold(&gate, false, true, false);
	assert_reads_source(fx, 65536, 4096);
	gate_io_wait_held(&gate, 1);
	memory_source_gate(fx->source, 0);
	waiting = start_read(fx, 512 * KIB, 4096);
	assert_int_equal(answer_free(waiting), -EIO);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	memory_source_gate(fx->source, UINT64_MAX);
	gate_io_hold(&gate, false, false, false);
	wait_until(do_read(fx, buf, 512 * KIB, 4096) == 0);
	fixture_free(fx);
	gate_io_fini(&gate);
}

static bool was_asked_for(struct fixture *fx, uint64_t offset)
{
	size_t nr = memory_source_nr_asked(fx->source);

	for (size_t i = 0; i < nr; i++)
		if (memory_source_asked(fx->source, i).offset == offset)
			return true;
	return false;
}

/* All of them together ask once a second, before and after it is declared unreachable; when it
 * answers one of them, it is back for all. */
static void readers_take_turns_at_a_source_that_fails(void **state)
{
	static const struct {
		uint64_t timeout_ms;
		enum image_on_error on_error;
		enum image_source_state declared;
	} cases[] = {
	        {60000, ON_ERROR_EIO, SOURCE_STATE_OK},
	        {1, ON_ERROR_WAIT, SOURCE_STATE_UNREACHABLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fx = fixture_new(MIB, 64 * KIB);
		struct answer *waiting[8];
		uint64_t begin, turns;
		size_t asked;

		fx->params.settings.timeout_ms = cases[i].timeout_ms;
		fx->params.settings.on_source_error = cases[i].on_error;
		memory_source_break(fx->source, SOURCE_FAILED);
		fixture_open(fx);
		for (size_t k = 0; k < 8; k++)
			waiting[k] = start_read(fx, 2 * k * 64 * KIB, 4096);
		/* Who comes anew may ask at once, and so may those who failed before there were
		 * enough of them: once all have failed, nobody may. */
		for (size_t k = 0; k < 8; k++)
			wait_until(was_asked_for(fx, 2 * k * 64 * KIB));
		wait_until(memory_source_nr_open(fx->source) == 0);
		wait_until(status_of(fx).source_state == cases[i].declared);
		begin = clock_monotonic_ns();
		asked = memory_source_nr_asked(fx->source);
		memory_source_wait_asked(fx->source, asked + 3);
		turns = memory_source_nr_asked(fx->source) - asked;
		assert_true(turns <= (clock_monotonic_ns() - begin) / CF_NS_PER_S + 1);
		memory_source_break(fx->source, SOURCE_OK);
		for (size_t k = 0; k < 8; k++)
			assert_int_equal(answer_free(waiting[k]), 0);
		fixture_free(fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(background_notices_a_source_that_fails),
	        cmocka_unit_test(background_notices_a_source_that_is_silent),
	        cmocka_unit_test(a_source_that_falls_silent_in_the_middle_is_noticed),
	        cmocka_unit_test(a_paused_clone_meets_no_outage),
	        cmocka_unit_test(a_slow_rate_does_not_put_off_the_next_attempt),
	        cmocka_unit_test(failures_do_not_cover_up_what_changed),
	        cmocka_unit_test(an_old_failure_is_no_reason_for_a_later_silence),
	        cmocka_unit_test(a_disk_that_hangs_keeps_no_deadline_away),
	        cmocka_unit_test(readers_take_turns_at_a_source_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
