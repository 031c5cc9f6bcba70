#include "engine_fixture.h"

#include "core/engine/window.h"

#define GIB (1024 * MIB)

static void the_first_mebibyte_asks_for_four_times_as_much(void **state)
{
	(void)state;
	assert_int_equal(window_length(128 * KIB, 4 * GIB, 64 * KIB), 512 * KIB);
	assert_int_equal(window_length(MIB, 4 * GIB, 64 * KIB), 4 * MIB);
}

static void behind_it_a_fast_source_is_asked_for_sixteen_times_as_much(void **state)
{
	(void)state;
	assert_int_equal(window_length(MIB + 64 * KIB, 4 * GIB, 64 * KIB), 17 * MIB);
	assert_int_equal(window_length(8 * MIB, 4 * GIB, 64 * KIB), 128 * MIB);
}

static void more_than_four_times_is_no_more_than_half_a_second_brings(void **state)
{
	(void)state;
	assert_int_equal(window_length(4 * MIB, 160 * MIB, 64 * KIB), 40 * MIB);
	assert_int_equal(window_length(4 * MIB, 40 * MIB, 64 * KIB), 16 * MIB);
}

static void it_is_bounded_and_a_source_that_fills_more_in_half_a_second_has_more(void **state)
{
	(void)state;
	assert_int_equal(window_length(GIB, 256 * MIB, 64 * KIB), 128 * MIB);
	assert_int_equal(window_length(GIB, 800 * MIB, 64 * KIB), 200 * MIB);
	assert_int_equal(window_length(GIB, 4 * GIB, 64 * KIB), 256 * MIB);
	assert_int_equal(window_length(100 * GIB, UINT64_C(1) << 50, 64 * KIB), 256 * MIB);
}

static void a_slow_source_is_asked_for_what_it_brings_in_eight_seconds(void **state)
{
	(void)state;
	assert_int_equal(window_length(GIB, 10 * MIB, 64 * KIB), 40 * MIB);
	assert_int_equal(window_length(GIB, 0, 64 * KIB), 8 * MIB);
	assert_int_equal(window_length(GIB, 0, 16 * MIB), 16 * MIB);
	assert_int_equal(window_length(MIB, 0, 16 * MIB), 4 * MIB);
}

static void what_is_near_comes_in_sixteenths_of_the_window(void **state)
{
	(void)state;
	assert_int_equal(window_request(MIB, 0, GIB), 256 * KIB);
	assert_int_equal(window_request(32 * MIB, 0, GIB), 2 * MIB);
	assert_int_equal(window_request(256 * MIB, 0, GIB), 4 * MIB);
}

static void what_is_far_comes_in_sixteenths_of_its_distance(void **state)
{
	(void)state;
	assert_int_equal(window_request(256 * MIB, 64 * MIB, 4 * GIB), 4 * MIB);
	assert_int_equal(window_request(256 * MIB, 128 * MIB, 4 * GIB), 8 * MIB);
	assert_int_equal(window_request(256 * MIB, 250 * MIB, 4 * GIB), 250 * MIB / 16);
	assert_int_equal(window_request(256 * MIB, GIB, 4 * GIB), WINDOW_REQUEST_MAX);
}

/* With sixteen connections that are equally fast, each request of a full window is over before the
 * reader, who goes on as fast as all of them bring, has come to its end. */
static void a_reader_at_full_speed_waits_for_none(void **state)
{
	(void)state;
	for (uint64_t distance = 64 * MIB; distance < 256 * MIB; distance += MIB) {
		uint64_t length = window_request(256 * MIB, distance, 4 * GIB);

		assert_true(16 * length <= distance + length);
	}
}

/* All that is left is asked for in ever shorter ones, each a sixteenth of it. */
static void the_last_requests_are_short(void **state)
{
	uint64_t rest = 256 * MIB;
	uint64_t before = UINT64_MAX;
	unsigned int nr = 0;

	(void)state;
	while (rest > 2 * MIB) {
		uint64_t length = window_request(256 * MIB, 256 * MIB, rest);

		assert_true(length <= before);
		assert_true(length <= rest / 16 || length == 2 * MIB);
		before = length;
		rest -= length;
		nr++;
	}
	assert_int_equal(window_request(256 * MIB, 256 * MIB, rest), 2 * MIB);
	assert_in_range(nr, 30, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_first_mebibyte_asks_for_four_times_as_much),
	        cmocka_unit_test(behind_it_a_fast_source_is_asked_for_sixteen_times_as_much),
	        cmocka_unit_test(more_than_four_times_is_no_more_than_half_a_second_brings),
	        cmocka_unit_test(
	                it_is_bounded_and_a_source_that_fills_more_in_half_a_second_has_more),
	        cmocka_unit_test(a_slow_source_is_asked_for_what_it_brings_in_eight_seconds),
	        cmocka_unit_test(what_is_near_comes_in_sixteenths_of_the_window),
	        cmocka_unit_test(what_is_far_comes_in_sixteenths_of_its_distance),
	        cmocka_unit_test(a_reader_at_full_speed_waits_for_none),
	        cmocka_unit_test(the_last_requests_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
