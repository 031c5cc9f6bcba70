#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "core/engine/valid_sectors.h"

#define NR 300u

static void sets_are_what_was_put_in(void **state)
{
	static const struct {
		uint32_t first, end;
	} ranges[] = {{0, 1},  {63, 65},   {64, 128},  {100, 100}, {127, 200},
	              {0, 64}, {199, 201}, {299, 300}, {5, 256},   {0, NR}};
	uint64_t words[(NR + 63) / 64] = {0};
	bool expected[NR] = {false};

	(void)state;
	assert_int_equal(valid_sectors_nr_words(NR), 5);
	assert_int_equal(valid_sectors_nr_words(1), 1);
	assert_int_equal(valid_sectors_nr_words(64), 1);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		valid_sectors_set(words, ranges[i].first, ranges[i].end);
		for (uint32_t s = ranges[i].first; s < ranges[i].end; s++)
			expected[s] = true;
		for (uint32_t s = 0; s < NR; s++)
			assert_int_equal(valid_sectors_are_any(words, s, s + 1), expected[s]);
	}
	assert_int_equal(words[4] >> (NR % 64), 0);
}

static void runs_end_where_the_set_changes_and_at_the_end(void **state)
{
	uint64_t words[5] = {0};
	bool valid;

	(void)state;
	assert_int_equal(valid_sectors_run(words, 0, NR, &valid), NR);
	assert_false(valid);
	valid_sectors_set(words, 60, 130);
	valid_sectors_set(words, 192, 193);
	assert_int_equal(valid_sectors_run(words, 0, NR, &valid), 60);
	assert_false(valid);
	assert_int_equal(valid_sectors_run(words, 60, NR, &valid), 130);
	assert_true(valid);
	assert_int_equal(valid_sectors_run(words, 60, 100, &valid), 100);
	assert_true(valid);
	assert_int_equal(valid_sectors_run(words, 130, NR, &valid), 192);
	assert_false(valid);
	assert_int_equal(valid_sectors_run(words, 192, NR, &valid), 193);
	assert_true(valid);
	assert_int_equal(valid_sectors_run(words, 193, NR, &valid), NR);
	assert_false(valid);
}

static void all_and_any_look_at_their_range_only(void **state)
{
	uint64_t words[5] = {0};

	(void)state;
	valid_sectors_set(words, 60, 130);
	assert_true(valid_sectors_are_all(words, 60, 130));
	assert_false(valid_sectors_are_all(words, 59, 130));
	assert_false(valid_sectors_are_all(words, 60, 131));
	assert_false(valid_sectors_are_any(words, 0, 60));
	assert_false(valid_sectors_are_any(words, 130, NR));
	assert_true(valid_sectors_are_any(words, 0, 61));
	assert_true(valid_sectors_are_any(words, 129, NR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sets_are_what_was_put_in),
	        cmocka_unit_test(runs_end_where_the_set_changes_and_at_the_end),
	        cmocka_unit_test(all_and_any_look_at_their_range_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
