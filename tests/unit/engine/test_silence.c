/* Attempts that say nothing, S1 to S4 of silence.h: packets of them are lost, and a source that is
 * back is found without waiting for their deadlines. */
#include "engine_fixture.h"

#define ALL            1
#define ALL_BUT_PROBES 2
#define NOTHING        UINT64_MAX

static struct fixture *connected(unsigned int max_connections)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	fx->params.settings.max_connections = max_connections;
	fx->params.settings.timeout_ms = 50000;
	memory_source_connect(fx->source);
	fixture_open(fx);
	return fx;
}

static bool is_probe(struct memory_source_asked asked)
{
	return asked.length == 1 && asked.offset == 0;
}

static size_t nr_probes(struct fixture *fx)
{
	size_t nr = 0;

	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++)
		nr += is_probe(memory_source_asked(fx->source, i));
	return nr;
}

static size_t nr_asked_at(struct fixture *fx, uint64_t offset)
{
	size_t nr = 0;

	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++) {
		struct memory_source_asked asked = memory_source_asked(fx->source, i);

		nr += asked.offset == offset && !is_probe(asked);
	}
	return nr;
}

static void assert_answered(struct fixture *fx, struct answer *waiting, uint64_t offset)
{
	assert_answer_is_source(fx, waiting, offset);
	assert_int_equal(answer_free(waiting), 0);
}

static void a_reader_is_answered_when_the_source_is_back(void **state)
{
	struct fixture *fx = connected(8);
	struct memory_source_asked asked;
	struct answer *waiting;

	(void)state;
	memory_source_swallow(fx->source, ALL);
	waiting = start_read(fx, 128 * KIB, 4096);
	/* It, a probe, and the one that took that one's place. */
	memory_source_wait_asked(fx->source, 3);
	asked = memory_source_asked(fx->source, 1);
	assert_true(is_probe(asked) && asked.fresh_connection);
	assert_true(is_probe(memory_source_asked(fx->source, 2)));
	assert_true(memory_source_nr_cancelled(fx->source) >= 1);
	assert_int_equal(nr_asked_at(fx, 128 * KIB), 1);
	memory_source_swallow(fx->source, NOTHING);
	assert_answered(fx, waiting, 128 * KIB);
	assert_int_equal(nr_asked_at(fx, 128 * KIB), 2);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

static void what_was_in_the_middle_goes_on_where_it_was(void **state)
{
	struct fixture *fx = connected(8);
	struct answer *waiting;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 8192);
	waiting = start_read(fx, 128 * KIB, 64 * KIB);
	memory_source_wait_held(fx->source, 1);
	memory_source_swallow(fx->source, ALL);
	memory_source_gate(fx->source, UINT64_MAX);
	memory_source_wait_asked(fx->source, 2);
	memory_source_swallow(fx->source, NOTHING);
	assert_answered(fx, waiting, 128 * KIB);
	assert_int_equal(nr_asked_at(fx, 128 * KIB + 8192), 1);
	fixture_free(fx);
}

static void connections_that_were_kept_are_not_trusted_afterwards(void **state)
{
	/* In no order: nothing is read ahead. */
	static const uint64_t regions[] = {14, 4, 12, 6, 10, 0};
	struct fixture *fx = connected(4);
	struct answer *waiting;

	(void)state;
	memory_source_swallow(fx->source, ALL);
	waiting = start_read(fx, 128 * KIB, 4096);
	memory_source_wait_asked(fx->source, 2);
	memory_source_swallow(fx->source, NOTHING);
	assert_answered(fx, waiting, 128 * KIB);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		size_t nr = memory_source_nr_asked(fx->source);

		assert_reads_source(fx, regions[i] * 64 * KIB, 4096);
		/* What was asked again has taken one of the four. */
		assert_true(memory_source_asked(fx->source, nr).fresh_connection == (i < 3));
	}
	fixture_free(fx);
}

static void a_probe_gets_a_connection_when_all_hang(void **state)
{
	struct fixture *fx = connected(2);
	struct answer *waiting[3];

	(void)state;
	memory_source_swallow(fx->source, ALL);
	for (size_t i = 0; i < 3; i++)
		waiting[i] = start_read(fx, 2 * i * 64 * KIB, 4096);
	wait_until(nr_probes(fx) > 0);
	memory_source_swallow(fx->source, NOTHING);
	for (size_t i = 0; i < 3; i++)
		assert_answered(fx, waiting[i], 2 * i * 64 * KIB);
	assert_int_equal(memory_source_most_open(fx->source), 2);
	fixture_free(fx);
}

/* A reader waits for longer than attempts may be silent, and nothing is done about it. */
static void assert_asked_once(struct fixture *fx)
{
	struct answer *waiting;

	memory_source_gate(fx->source, 0);
	waiting = start_read(fx, 128 * KIB, 4096);
	fixture_sleep_ms(1600);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answered(fx, waiting, 128 * KIB);
	fixture_free(fx);
}

/* A second attempt at the only connection would be instead of the first one. */
static void the_only_connection_is_left_alone(void **state)
{
	(void)state;
	assert_asked_once(connected(1));
}

static void probes_come_once_a_second_and_ask_again_once(void **state)
{
	struct fixture *fx = connected(8);
	uint64_t begin = clock_monotonic_ns();
	struct answer *waiting;

	(void)state;
	memory_source_swallow(fx->source, ALL_BUT_PROBES);
	waiting = start_read(fx, 128 * KIB, 4096);
	wait_until(nr_probes(fx) >= 4);
	assert_true(nr_probes(fx) <= (clock_monotonic_ns() - begin) / CF_NS_PER_S + 1);
	if (clock_monotonic_ns() - begin < 10 * CF_NS_PER_S)
		assert_int_equal(nr_asked_at(fx, 128 * KIB), 2);
	answer_cancel(waiting, -EINTR);
	assert_int_equal(answer_free(waiting), -EINTR);
	fixture_free(fx);
}

static void a_source_without_connections_is_not_probed(void **state)
{
	(void)state;
	assert_asked_once(fixture_opened(MIB, 64 * KIB));
}

/* Slow, not dead: what was asked again is answered after another second of silence. */
static void a_source_that_is_slow_for_some_is_not_asked_twice_again(void **state)
{
	struct fixture *fx = connected(8);
	struct answer *waiting;
	size_t nr;

	(void)state;
	memory_source_gate_from(fx->source, ALL_BUT_PROBES);
	memory_source_gate(fx->source, 0);
	waiting = start_read(fx, 128 * KIB, 4096);
	wait_until(nr_asked_at(fx, 128 * KIB) == 2);
	fixture_sleep_ms(1200);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answered(fx, waiting, 128 * KIB);
	memory_source_gate(fx->source, 0);
	waiting = start_read(fx, 512 * KIB, 4096);
	nr = nr_probes(fx);
	wait_until(nr_probes(fx) >= nr + 2);
	assert_int_equal(nr_asked_at(fx, 512 * KIB), 1);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answered(fx, waiting, 512 * KIB);
	fixture_free(fx);
}

/* Attempts that give their connections up for probes, again and again, would never be answered. */
static void an_attempt_yields_seldom(void **state)
{
	struct fixture *fx = connected(2);
	struct answer *waiting[2];
	uint64_t begin;

	(void)state;
	memory_source_gate(fx->source, 0);
	begin = clock_monotonic_ns();
	for (size_t i = 0; i < 2; i++)
		waiting[i] = start_read(fx, (2 + 6 * i) * 64 * KIB, 4096);
	fixture_sleep_ms(8000);
	if (clock_monotonic_ns() - begin < 10 * CF_NS_PER_S)
		assert_true(nr_asked_at(fx, 128 * KIB) + nr_asked_at(fx, 512 * KIB) <= 4);
	memory_source_gate(fx->source, UINT64_MAX);
	for (size_t i = 0; i < 2; i++)
		assert_answered(fx, waiting[i], (2 + 6 * i) * 64 * KIB);
	fixture_free(fx);
}

/* One node of several shows another version: that is for a reader's second look to say. */
static void a_probe_alone_does_not_declare_a_change(void **state)
{
	struct fixture *fx = connected(8);
	struct answer *waiting;

	(void)state;
	memory_source_swallow(fx->source, ALL_BUT_PROBES);
	waiting = start_read(fx, 128 * KIB, 4096);
	memory_source_wait_held(fx->source, 1);
	memory_source_plan(fx->source, 1, SOURCE_CHANGED, 0, 0);
	wait_until(nr_probes(fx) >= 2);
	memory_source_swallow(fx->source, NOTHING);
	assert_answered(fx, waiting, 128 * KIB);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_SOURCE_CHANGED), 0);
	fixture_free(fx);
}

/* Background alone: what hangs is asked again, too. */
static void background_goes_on_when_the_source_is_back(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	(void)state;
	fx->params.settings.hydration_threshold = 4;
	fx->params.settings.hydration_batch_size = 1;
	fx->params.settings.timeout_ms = 50000;
	memory_source_connect(fx->source);
	memory_source_swallow(fx->source, ALL);
	fixture_open(fx);
	wait_until(nr_probes(fx) > 0);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	memory_source_swallow(fx->source, NOTHING);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_reader_is_answered_when_the_source_is_back),
	        cmocka_unit_test(what_was_in_the_middle_goes_on_where_it_was),
	        cmocka_unit_test(connections_that_were_kept_are_not_trusted_afterwards),
	        cmocka_unit_test(a_probe_gets_a_connection_when_all_hang),
	        cmocka_unit_test(the_only_connection_is_left_alone),
	        cmocka_unit_test(probes_come_once_a_second_and_ask_again_once),
	        cmocka_unit_test(a_source_without_connections_is_not_probed),
	        cmocka_unit_test(a_source_that_is_slow_for_some_is_not_asked_twice_again),
	        cmocka_unit_test(an_attempt_yields_seldom),
	        cmocka_unit_test(a_probe_alone_does_not_declare_a_change),
	        cmocka_unit_test(background_goes_on_when_the_source_is_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
