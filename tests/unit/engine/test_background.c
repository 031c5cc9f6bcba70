#include "engine_fixture.h"

#include <limits.h>

#include "core/engine/engine_internal.h"
#include "core/engine/fetch.h"
#include "core/engine/image.h"
#include "core/engine/request.h"

static struct fixture *hydrating(uint64_t size, uint64_t region_size, uint64_t threshold,
                                 uint64_t batch)
{
	struct fixture *fx = fixture_new(size, region_size);

	fx->params.settings.hydration_threshold = threshold;
	fx->params.settings.hydration_batch_size = batch;
	return fx;
}

static struct memory_source_asked last_asked(struct fixture *fx)
{
	return memory_source_asked(fx->source, memory_source_nr_asked(fx->source) - 1);
}

static void all_of_it_arrives_and_is_committed(void **state)
{
	struct fixture *fx = hydrating(8 * MIB + 123, 64 * KIB, 64, 16);

	(void)state;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(status_of(fx).regions_committed, 129);
	assert_int_equal(memory_source_nr_bytes(fx->source), 8 * MIB + 123);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, 8 * MIB + 123);
	assert_int_equal(status_of(fx).eta_seconds, UINT64_MAX);
	wait_until(nr_events(fx, IMAGE_EVENT_MILESTONE) == 100);
	assert_int_equal(fixture_close(fx), 0);
	fixture_free(fx);
}

static void threshold_and_batch_bound_what_is_asked_for(void **state)
{
	struct fixture *fx = hydrating(8 * MIB, 64 * KIB, 12, 4);

	(void)state;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_asked(fx->source, 3);
	memory_source_wait_held(fx->source, 3);
	fixture_sleep_ms(20);
	assert_int_equal(memory_source_nr_asked(fx->source), 3);
	assert_int_equal(status_of(fx).background_in_flight, 3);
	assert_int_equal(status_of(fx).regions_hydrating, 12);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(memory_source_asked(fx->source, i).length, 4 * 65536);
		assert_int_equal(memory_source_asked(fx->source, i).class, SOURCE_BACKGROUND);
	}
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	fixture_free(fx);
}

static void no_batch_makes_a_request_longer_than_64_mebibytes(void **state)
{
	struct fixture *fx = hydrating(68 * MIB, MIB, UINT32_MAX, UINT32_MAX);

	(void)state;
	fixture_open_with_long_requests(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_true(memory_source_asked(fx->source, 0).length == 64 * MIB);
	for (size_t i = 1; i < memory_source_nr_asked(fx->source); i++)
		assert_true(memory_source_asked(fx->source, i).length <= 64 * MIB);
	fixture_free(fx);
}

/* Of 64 KiB regions: a MiB each until 16 came, then a sixteenth of what did. */
static void requests_begin_short(void **state)
{
	struct fixture *fx = hydrating(64 * MIB, 64 * KIB, 1024, 128);
	uint64_t longest = 0;

	(void)state;
	/* One after the other. */
	fx->params.settings.max_connections = 1;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	for (size_t i = 0, n = memory_source_nr_asked(fx->source); i + 1 < n; i++) {
		struct memory_source_asked asked = memory_source_asked(fx->source, i);
		uint64_t most = max_u64(asked.offset / 16, MIB) / (64 * KIB) * (64 * KIB);

		assert_int_equal(asked.length, most);
		longest = asked.length;
	}
	assert_int_equal(longest / MIB, 3);
	fixture_free(fx);
}

/* Requests of a MiB of which 256 KiB came in @ms, after 60 ms to the first byte. How many are given
 * up when a reader comes and leaves them one? */
static size_t nr_given_up_after(uint64_t ms)
{
	struct fixture *fx = hydrating(16 * MIB, 64 * KIB, 256, 16);
	size_t nr = 0;

	fx->params.settings.max_connections = 5;
	memory_source_gate(fx->source, 256 * KIB);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 4);
	image_lock(fx->img);
	list_for_each (link, &fx->img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		assert_int_equal(fetch->pos - fetch->start, 256 * KIB);
		fetch->first_byte_ns = 2000 * CF_NS_PER_S;
		fetch->submitted_ns = fetch->first_byte_ns - 60 * CF_NS_PER_MS;
	}
	fetch_shed_background_locked(fx->img, 1, 2000 * CF_NS_PER_S + ms * CF_NS_PER_MS);
	list_for_each (link, &fx->img->fetches.running)
		nr += list_entry(link, struct fetch, link)->cancelled;
	image_unlock(fx->img);
	memory_source_gate(fx->source, UINT64_MAX);
	fixture_free(fx);
	return nr;
}

static void what_is_nearly_over_is_not_given_up_for_a_reader(void **state)
{
	(void)state;
	assert_int_equal(nr_given_up_after(20), 0);
	assert_int_equal(nr_given_up_after(21), 3);
}

static void connections_are_kept_for_readers(void **state)
{
	struct fixture *fx = hydrating(16 * MIB, 64 * KIB, 256, 4);
	struct answer *reader;

	(void)state;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 6);
	reader = start_read(fx, 15 * MIB, 4096);
	memory_source_wait_asked(fx->source, 7);
	assert_int_equal(memory_source_asked(fx->source, 6).class, SOURCE_FOREGROUND);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 15 * MIB);
	(void)answer_free(reader);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_true(memory_source_most_open(fx->source) <= 8);
	fixture_free(fx);
}

static void a_reader_makes_background_let_go_of_connections(void **state)
{
	struct fixture *fx = fixture_new(4 * MIB, 64 * KIB);
	struct answer *reader;

	(void)state;
	fx->params.settings.max_connections = 8;
	fx->params.settings.hydration_threshold = 64;
	fx->params.settings.hydration_batch_size = 1;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	/* Two of the eight are kept for readers; a quarter goes on beside one. */
	memory_source_wait_held(fx->source, 6);
	reader = start_read(fx, 3 * MIB, 4096);
	wait_until(memory_source_nr_cancelled(fx->source) == 4);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 3 * MIB);
	(void)answer_free(reader);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, fx->size);
	fixture_free(fx);
}

static void a_huge_region_is_hydrated(void **state)
{
	struct fixture *fx = hydrating(40 * MIB + 1, 1024 * MIB, 1, 1);

	(void)state;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(memory_source_nr_bytes(fx->source), 40 * MIB + 1);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, 40 * MIB + 1);
	fixture_free(fx);
}

static void a_rate_limit_is_kept(void **state)
{
	struct fixture *fx = hydrating(4 * MIB, 64 * KIB, 64, 16);
	uint64_t begin;

	(void)state;
	fx->params.settings.background_rate = 2 * MIB;
	begin = clock_monotonic_ns();
	fixture_open(fx);
	wait_until(status_of(fx).bytes_from_source >= 3 * MIB);
	/* A quarter of a second's worth may come at once, and one request is one portion. */
	assert_true(clock_monotonic_ns() - begin >= CF_NS_PER_S);
	fixture_free(fx);
}

static void a_lower_batch_than_one_counts_as_one(void **state)
{
	struct fixture *fx = hydrating(MIB, 64 * KIB, 2, 0);

	(void)state;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(memory_source_nr_asked(fx->source), 16);
	fixture_free(fx);
}

static void a_broken_request_goes_on_where_it_stopped(void **state)
{
	struct fixture *fx = hydrating(MIB, 64 * KIB, 16, 16);

	(void)state;
	memory_source_plan(fx->source, 3, SOURCE_SHORT, 100000, 0);
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(memory_source_nr_bytes(fx->source), MIB);
	assert_int_equal(memory_source_asked(fx->source, 1).offset, 100000);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, MIB);
	fixture_free(fx);
}

static void a_complete_image_needs_no_source(void **state)
{
	struct fixture *fx = hydrating(MIB, 64 * KIB, 16, 16);

	(void)state;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(fixture_close(fx), 0);
	fx->params.source = NULL;
	fx->params.source_state = SOURCE_STATE_UNUSED;
	fixture_open(fx);
	assert_int_equal(status_of(fx).hydration, HYDRATION_DONE);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_UNUSED);
	assert_string_equal(status_of(fx).reason, "");
	assert_reads_source(fx, 0, MIB);
	fixture_free(fx);
}

/* dm-clone knows no_hydration, which a threshold of 0 is not. */
static void only_a_pause_switches_hydration_off(void **state)
{
	struct fixture *fx = hydrating(MIB, 64 * KIB, 0, 1);

	(void)state;
	fixture_open(fx);
	assert_int_equal(status_of(fx).hydration, HYDRATION_PAUSED);
	assert_false(status_of(fx).paused);
	assert_int_equal(do_pause(fx), 0);
	assert_true(status_of(fx).paused);
	image_resume(fx->img);
	assert_false(status_of(fx).paused);
	assert_int_equal(fixture_close(fx), 0);
	fx->params.no_hydration = true;
	fixture_open(fx);
	assert_true(status_of(fx).paused);
	fixture_free(fx);
}

static bool has_asked_nothing_for(struct fixture *fx, size_t *asked, uint64_t *since_ns,
                                  uint64_t ms)
{
	size_t now = memory_source_nr_asked(fx->source);

	if (now != *asked)
		*since_ns = clock_monotonic_ns();
	*asked = now;
	return clock_monotonic_ns() - *since_ns > ms * CF_NS_PER_MS;
}

/* Holding off for some time, which is what other failures are answered with, would not do: the
 * source is asked again then for as much as before. */
static void a_source_that_bears_few_requests_is_asked_for_few(void **state)
{
	struct fixture *fx = hydrating(32 * MIB, 64 * KIB, UINT32_MAX, 4);
	uint64_t quiet_ns = clock_monotonic_ns();
	size_t asked = 0;

	(void)state;
	fx->params.settings.max_connections = 16;
	/* Behind the first byte, so that it is seen that some are served. */
	memory_source_gate(fx->source, 64 * KIB);
	memory_source_refuse_above(fx->source, 4);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 4);
	/* Longer than any backoff. */
	wait_until(has_asked_nothing_for(fx, &asked, &quiet_ns, 5500));
	assert_true(memory_source_nr_refused(fx->source) >= 8);
	assert_int_equal(memory_source_nr_open(fx->source), 4);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, 32 * MIB);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

/* Background holds as many requests as the source bears; a reader comes, and then a sequential one.
 */
static void reader_beside_as_many_as(unsigned int nr)
{
	struct fixture *fx = hydrating(64 * MIB, 64 * KIB, UINT32_MAX, 16);
	uint64_t quiet_ns = clock_monotonic_ns();
	uint64_t nr_refused;
	size_t asked = 0;

	fx->params.settings.max_connections = 16;
	/* What background asks for is longer, and read-ahead with a window as here is not. */
	memory_source_gate(fx->source, 320 * KIB);
	memory_source_refuse_above(fx->source, nr);
	fixture_open(fx);
	memory_source_wait_held(fx->source, nr);
	wait_until(memory_source_nr_refused(fx->source) >= 1 &&
	           has_asked_nothing_for(fx, &asked, &quiet_ns, 1000));
	assert_reads_source(fx, 60 * MIB, 4096);
	nr_refused = memory_source_nr_refused(fx->source);
	for (uint64_t offset = 32 * MIB; offset < 33 * MIB; offset += 128 * KIB)
		assert_reads_source(fx, offset, 128 * KIB);
	assert_in_range(memory_source_nr_refused(fx->source) - nr_refused, 0, 8);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, fx->size);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_OUTAGE_BEGIN), 0);
	fixture_free(fx);
}

static void readers_get_their_bytes_from_a_source_that_bears_few_requests(void **state)
{
	(void)state;
	reader_beside_as_many_as(4);
	reader_beside_as_many_as(1);
}

/* Room is made for a reader, who is killed before he is asked for again. */
static void background_goes_on_when_a_reader_has_left(void **state)
{
	struct fixture *fx = hydrating(64 * MIB, 64 * KIB, UINT32_MAX, 16);

	(void)state;
	fx->params.settings.max_connections = 16;
	memory_source_gate(fx->source, 320 * KIB);
	memory_source_refuse_above(fx->source, 1);
	fixture_open(fx);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t nr_cancelled;
		struct answer *reader;

		memory_source_wait_held(fx->source, 1);
		nr_cancelled = memory_source_nr_cancelled(fx->source);
		reader = start_read(fx, (60 - i) * MIB, 4096);
		wait_until(memory_source_nr_cancelled(fx->source) > nr_cancelled);
		answer_cancel(reader, -EINTR);
		(void)answer_free(reader);
	}
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	fixture_free(fx);
}

/* What background asked for counts until a reader takes its place: at half a KiB a second the next
 * request would come after two minutes else. */
static void background_does_not_pay_for_what_it_gave_up(void **state)
{
	struct fixture *fx = hydrating(MIB + 4 * KIB, 64 * KIB, 64, 1);

	(void)state;
	fx->params.settings.background_rate = 512;
	/* Behind the first byte of all but the last region, which is short. */
	memory_source_gate(fx->source, 512);
	memory_source_gate_from(fx->source, 64 * KIB);
	memory_source_refuse_above(fx->source, 1);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	assert_reads_source(fx, MIB, 4 * KIB);
	assert_int_equal(memory_source_nr_cancelled(fx->source), 1);
	wait_until(last_asked(fx).class == SOURCE_BACKGROUND);
	fixture_free(fx);
}

/* That one is down, not busy: once it is back there is no need to be careful. */
static void a_source_that_refuses_everything_is_asked_for_all_later(void **state)
{
	struct fixture *fx = hydrating(32 * MIB, 64 * KIB, UINT32_MAX, 4);

	(void)state;
	fx->params.settings.max_connections = 16;
	memory_source_refuse_above(fx->source, 0);
	/* Before the first byte: while it changes its mind none of both kinds is seen at once. */
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	wait_until(memory_source_nr_refused(fx->source) >= 4);
	memory_source_refuse_above(fx->source, UINT_MAX);
	memory_source_wait_held(fx->source, 12);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_of_it_arrives_and_is_committed),
	        cmocka_unit_test(threshold_and_batch_bound_what_is_asked_for),
	        cmocka_unit_test(no_batch_makes_a_request_longer_than_64_mebibytes),
	        cmocka_unit_test(requests_begin_short),
	        cmocka_unit_test(what_is_nearly_over_is_not_given_up_for_a_reader),
	        cmocka_unit_test(connections_are_kept_for_readers),
	        cmocka_unit_test(a_reader_makes_background_let_go_of_connections),
	        cmocka_unit_test(a_source_that_bears_few_requests_is_asked_for_few),
	        cmocka_unit_test(readers_get_their_bytes_from_a_source_that_bears_few_requests),
	        cmocka_unit_test(background_goes_on_when_a_reader_has_left),
	        cmocka_unit_test(background_does_not_pay_for_what_it_gave_up),
	        cmocka_unit_test(a_source_that_refuses_everything_is_asked_for_all_later),
	        cmocka_unit_test(a_huge_region_is_hydrated),
	        cmocka_unit_test(a_rate_limit_is_kept),
	        cmocka_unit_test(a_lower_batch_than_one_counts_as_one),
	        cmocka_unit_test(a_broken_request_goes_on_where_it_stopped),
	        cmocka_unit_test(a_complete_image_needs_no_source),
	        cmocka_unit_test(only_a_pause_switches_hydration_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
