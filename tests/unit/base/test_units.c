#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/units.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define UNTOUCHED     0x5eed

struct number_case {
	const char *text;
	int result;
	uint64_t value; /* when the result is 0 */
};

/* Nothing of these is a SIZE, a TIME, or a plain number. */
static const char *const never_numbers[] = {
        "",     " ",     " 1",   "1 ",    "+1",  "-1",  "0x10", "1.5",  "1,5", "K",   "ms",
        "1e3",  "1 K",   "1\n",  "1KiB",  "1kk", "1KK", "1Kms", "one",  "1_0", "1/2", "\xd9\xa1",
        "1sec", "1days", "1:30", "1h30m", "--1", "0-1", "1-2",  "1\t2", "auto"};

static void check(int (*parse)(const char *, uint64_t *), const struct number_case *cases,
                  size_t nr_cases)
{
	for (size_t i = 0; i < nr_cases; i++) {
		uint64_t value = UNTOUCHED;
		int r = parse(cases[i].text, &value);
		uint64_t expected = cases[i].result ? UNTOUCHED : cases[i].value;

		if (r != cases[i].result || value != expected)
			fail_msg("'%s': result %d value %llu", cases[i].text, r,
			         (unsigned long long)value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(never_numbers); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse(never_numbers[i], &value);

		if (r != -EINVAL || value != UNTOUCHED)
			fail_msg("'%s': result %d", never_numbers[i], r);
	}
}

static void sizes_take_powers_of_1024_and_refuse_overflow(void **state)
{
	static const struct number_case cases[] = {
	        {"0", 0, 0},
	        {"1", 0, 1},
	        {"007", 0, 7},
	        {"512", 0, 512},
	        {"64K", 0, 65536},
	        {"1M", 0, UINT64_C(1) << 20},
	        {"1G", 0, UINT64_C(1) << 30},
	        {"16T", 0, UINT64_C(16) << 40},
	        {"0T", 0, 0},
	        {"18446744073709551615", 0, UINT64_MAX},
	        {"18446744073709551616", -ERANGE, 0},
	        {"18446744073709551620", -ERANGE, 0},
	        {"99999999999999999999999", -ERANGE, 0},
	        {"18014398509481983K", 0, UINT64_C(18014398509481983) << 10},
	        {"18014398509481984K", -ERANGE, 0},
	        {"16777216T", -ERANGE, 0},
	        {"16777215T", 0, UINT64_C(16777215) << 40},
	        {"64k", -EINVAL, 0},
	        {"64B", -EINVAL, 0},
	        {"1P", -EINVAL, 0},
	        {"1s", -EINVAL, 0},
	};

	(void)state;
	check(parse_size, cases, ARRAY_SIZE(cases));
}

static void times_are_seconds_unless_a_unit_is_given(void **state)
{
	static const struct number_case cases[] = {
	        {"0", 0, 0},
	        {"1", 0, 1000},
	        {"30s", 0, 30000},
	        {"250ms", 0, 250},
	        {"2m", 0, 120000},
	        {"3h", 0, 10800000},
	        {"18446744073709551615", -ERANGE, 0},
	        {"18446744073709551616ms", -ERANGE, 0},
	        {"5124095576030431h", -ERANGE, 0},
	        {"1d", -EINVAL, 0},
	        {"1S", -EINVAL, 0},
	        {"1M", -EINVAL, 0},
	        {"1K", -EINVAL, 0},
	};

	(void)state;
	check(parse_time_ms, cases, ARRAY_SIZE(cases));
}

static void the_longest_time_fits_a_deadline_in_nanoseconds(void **state)
{
	char text[32];
	uint64_t ms;
	uint64_t accepted = 1;

	(void)state;
	/* The largest power of ten that is accepted, as a deadline from a clock of 100 years. */
	for (uint64_t value = 1; value < UINT64_MAX / 10; value *= 10) {
		(void)snprintf(text, sizeof(text), "%llums", (unsigned long long)value);
		if (parse_time_ms(text, &ms) == 0)
			accepted = ms;
	}
	assert_true(accepted >= UINT64_C(1000) * 3600 * 24 * 365);
	assert_false(__builtin_mul_overflow(accepted, UINT64_C(1000000), &ms));
	assert_false(__builtin_add_overflow(ms, UINT64_C(3155760000000000000), &ms));
}

static int parse_up_to_100(const char *text, uint64_t *ret_value)
{
	return parse_uint(text, 100, ret_value);
}

static void plain_numbers_have_a_maximum(void **state)
{
	static const struct number_case cases[] = {
	        {"0", 0, 0},         {"100", 0, 100},
	        {"101", -ERANGE, 0}, {"18446744073709551616", -ERANGE, 0},
	        {"1K", -EINVAL, 0},  {"101K", -EINVAL, 0},
	};

	(void)state;
	check(parse_up_to_100, cases, ARRAY_SIZE(cases));
}

static void modes_are_octal(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint32_t value;
	} cases[] = {
	        {"0600", 0, 0600},
	        {"400", 0, 0400},
	        {"0", 0, 0},
	        {"7777", 0, 07777},
	        {"10000", -ERANGE, 0},
	        {"8", -EINVAL, 0},
	        {"0o600", -EINVAL, 0},
	        {"", -EINVAL, 0},
	        {"600 ", -EINVAL, 0},
	        {"u=rw", -EINVAL, 0},
	        {"-600", -EINVAL, 0},
	        {"609", -EINVAL, 0},
	        {"7777777777777777777777777", -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t value = UNTOUCHED;
		int r = parse_octal(cases[i].text, 07777, &value);

		if (r != cases[i].result || value != (r ? UNTOUCHED : cases[i].value))
			fail_msg("'%s': result %d value %o", cases[i].text, r, value);
	}
}

static void people_read_three_digits_and_a_unit(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
	        {0, "0 B"},
	        {1023, "1023 B"},
	        {1024, "1.0 KiB"},
	        {1536, "1.5 KiB"},
	        {UINT64_C(3) << 29, "1.5 GiB"},
	        {UINT64_C(200) << 20, "200 MiB"},
	        {UINT64_MAX, "16.0 EiB"},
	};
	char buf[32];
	char small[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format_size(cases[i].bytes, buf, sizeof(buf)), cases[i].text);
	assert_string_equal(format_size(1023, small, sizeof(small)), "102");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sizes_take_powers_of_1024_and_refuse_overflow),
	        cmocka_unit_test(times_are_seconds_unless_a_unit_is_given),
	        cmocka_unit_test(the_longest_time_fits_a_deadline_in_nanoseconds),
	        cmocka_unit_test(plain_numbers_have_a_maximum),
	        cmocka_unit_test(modes_are_octal),
	        cmocka_unit_test(people_read_three_digits_and_a_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
