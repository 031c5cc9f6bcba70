#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "backends/http_range.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void content_ranges_of_the_grammar_are_understood(void **state)
{
	static const struct {
		const char *text;
		struct http_content_range range;
	} cases[] = {
	        {"bytes 0-0/1", {true, 0, 0, true, 1}},
	        {"bytes 0-65535/2147483648", {true, 0, 65535, true, 2147483648}},
	        {"bytes 100-199/*", {true, 100, 199, false, 0}},
	        {"bytes */1234", {false, 0, 0, true, 1234}},
	        {"bytes */0", {false, 0, 0, true, 0}},
	        {"Bytes 5-6/7", {true, 5, 6, true, 7}},
	        {"BYTES\t5-6/7", {true, 5, 6, true, 7}},
	        {"  bytes   5-6/7  ", {true, 5, 6, true, 7}},
	        {"bytes 007-008/0010", {true, 7, 8, true, 10}},
	        {"bytes 9223372036854775805-9223372036854775806/9223372036854775807",
	         {true, INT64_MAX - 2, INT64_MAX - 1, true, INT64_MAX}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_content_range got;

		if (http_range_parse(cases[i].text, &got) != 0)
			fail_msg("refused: %s", cases[i].text);
		assert_int_equal(got.satisfied, cases[i].range.satisfied);
		assert_int_equal(got.first, cases[i].range.first);
		assert_int_equal(got.last, cases[i].range.last);
		assert_int_equal(got.has_total, cases[i].range.has_total);
		assert_int_equal(got.total, cases[i].range.total);
	}
}

static void other_content_ranges_are_refused(void **state)
{
	static const char *const cases[] = {
	        "",
	        " ",
	        "bytes",
	        "bytes ",
	        "bytes=0-1/2",
	        "bytes: 0-1/2",
	        "bytes0-1/2",
	        "0-1/2",
	        "octets 0-1/2",
	        "bytes 0-1",
	        "bytes 0-1/",
	        "bytes 0-/2",
	        "bytes -1/2",
	        "bytes -1-1/2",
	        "bytes +0-1/2",
	        "bytes 0-1/-2",
	        "bytes 0-1/+2",
	        "bytes 0 - 1/2",
	        "bytes 0-1 /2",
	        "bytes 0-1/ 2",
	        "bytes 0-1/2 x",
	        "bytes 0-1/2,",
	        "bytes 0-1/2, 4-5/6",
	        "bytes 0x0-1/2",
	        "bytes 0-1/2.0",
	        "bytes 0-1/**",
	        "bytes */*",
	        "bytes *",
	        "bytes **/1",
	        "bytes 1-0/2",
	        "bytes 0-2/2",
	        "bytes 5-6/6",
	        "bytes 0-0/0",
	        "bytes 0-9223372036854775808/*",
	        "bytes 0-1/9223372036854775808",
	        "bytes 0-18446744073709551616/*",
	        "bytes 0-1/18446744073709551618",
	        "bytes 99999999999999999999999999999999999999999-1/2",
	        "bytes 0-99999999999999999999999999999999999999999/*",
	        "bytes 0-1/99999999999999999999999999999999999999999",
	        "bytes \xff-1/2",
	        "b\xc3\xbdtes 0-1/2",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_content_range got = {.first = 42};

		if (http_range_parse(cases[i], &got) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(got.first, 42);
	}
}

static void lengths_are_digits_only(void **state)
{
	static const char *const refused[] = {
	        "",
	        " 1",
	        "1 ",
	        "-1",
	        "+1",
	        "1,1",
	        "1.0",
	        "0x10",
	        "1e3",
	        "9223372036854775808",
	        "18446744073709551617",
	        "99999999999999999999999999999999",
	};
	uint64_t length = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (http_range_parse_length(refused[i], &length) != -EINVAL || length != 7)
			fail_msg("accepted: '%s'", refused[i]);
	assert_int_equal(http_range_parse_length("0", &length), 0);
	assert_int_equal(length, 0);
	assert_int_equal(http_range_parse_length("9223372036854775807", &length), 0);
	assert_int_equal(length, INT64_MAX);
}

static void etags_are_told_apart(void **state)
{
	static const struct {
		const char *etag;
		enum http_etag_kind kind;
	} cases[] = {
	        {"", HTTP_ETAG_NONE},
	        {"\"\"", HTTP_ETAG_STRONG},
	        {"\"5e-1f\"", HTTP_ETAG_STRONG},
	        {"\"W/x\"", HTTP_ETAG_STRONG},
	        {"\"\xc3\xa9\"", HTTP_ETAG_STRONG},
	        {"W/\"x\"", HTTP_ETAG_WEAK},
	        {"W/\"\"", HTTP_ETAG_WEAK},
	        {"w/\"x\"", HTTP_ETAG_INVALID},
	        {"x", HTTP_ETAG_INVALID},
	        {"\"", HTTP_ETAG_INVALID},
	        {"\"x", HTTP_ETAG_INVALID},
	        {"x\"", HTTP_ETAG_INVALID},
	        {"W/", HTTP_ETAG_INVALID},
	        {"W/\"", HTTP_ETAG_INVALID},
	        {"W/x", HTTP_ETAG_INVALID},
	        {"\"a\"b\"", HTTP_ETAG_INVALID},
	        {"\"a b\"", HTTP_ETAG_INVALID},
	        {"\"a\", \"b\"", HTTP_ETAG_INVALID},
	        {"\"a\r\nX-Evil: 1\"", HTTP_ETAG_INVALID},
	        {"\"a\x7f\"", HTTP_ETAG_INVALID},
	        {"*", HTTP_ETAG_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (http_range_etag_kind(cases[i].etag) != cases[i].kind)
			fail_msg("wrong kind: %s", cases[i].etag);
	assert_true(http_range_etags_match("\"a\"", "\"a\""));
	assert_true(http_range_etags_match("W/\"a\"", "\"a\""));
	assert_true(http_range_etags_match("\"a\"", "W/\"a\""));
	assert_true(http_range_etags_match("W/\"a\"", "W/\"a\""));
	assert_false(http_range_etags_match("\"a\"", "\"b\""));
	assert_false(http_range_etags_match("\"a\"", "\"A\""));
	assert_false(http_range_etags_match("W/\"a\"", "\"\""));
}

static void dates_of_all_three_forms_are_understood(void **state)
{
	/* Seconds as of `date -u -d ... +%s`. */
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
	        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
	        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
	        {"Sun Nov  6 08:49:37 1994", 784111777},
	        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
	        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
	        {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
	        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
	        {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
	        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
	        {"Wednesday, 01-Jan-20 00:00:00 GMT", 1577836800},
	        {"Wed Jan 11 00:00:00 2023", 1673395200},
	        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t seconds = 42;

		if (http_range_parse_date(cases[i].text, &seconds) != 0)
			fail_msg("refused: %s", cases[i].text);
		assert_int_equal(seconds, cases[i].seconds);
	}
}

static void other_dates_are_refused(void **state)
{
	static const char *const cases[] = {
	        "",
	        "Sun",
	        "Sun, ",
	        ",",
	        "Sun, 06 Nov 1994 08:49:37",
	        "Sun, 06 Nov 1994 08:49:37 UTC",
	        "Sun, 06 Nov 1994 08:49:37 GMT ",
	        " Sun, 06 Nov 1994 08:49:37 GMT",
	        "Sun, 6 Nov 1994 08:49:37 GMT",
	        "Sun, 00 Nov 1994 08:49:37 GMT",
	        "Sun, 32 Nov 1994 08:49:37 GMT",
	        "Sun, 06 Nof 1994 08:49:37 GMT",
	        "Sun, 06 ovD 1994 08:49:37 GMT",
	        "Sun, 06 Nov 0000 08:49:37 GMT",
	        "Sun, 06 Nov 1994 24:49:37 GMT",
	        "Sun, 06 Nov 1994 08:60:37 GMT",
	        "Sun, 06 Nov 1994 08:49:61 GMT",
	        "Sun, 06 Nov -994 08:49:37 GMT",
	        "1994-11-06T08:49:37Z",
	        "784111777",
	        "Sun, 06 Nov 1994 08:49:37 GMT\r\nX: y",
	        "Sunday, 06-Nov-1994 08:49:37 GMT",
	        "Sun Nov 06 08:49:37 94",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t seconds = 42;

		if (http_range_parse_date(cases[i], &seconds) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(seconds, 42);
	}
}

static void retry_after_is_seconds_or_a_date(void **state)
{
	const int64_t now = 784111777;
	static const struct {
		const char *text;
		int result;
		uint64_t ms;
	} cases[] = {
	        {"0", 0, 0},
	        {"7", 0, 7000},
	        {"86400", 0, 86400000},
	        {"86401", 0, 86400000},
	        {"99999999999999999999999999999", 0, 86400000},
	        {"Sun, 06 Nov 1994 08:49:47 GMT", 0, 10000},
	        {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 0},
	        {"Sun, 06 Nov 1994 08:49:07 GMT", 0, 0},
	        {"Fri, 31 Dec 9999 23:59:59 GMT", 0, 86400000},
	        {"", -EINVAL, 42},
	        {"-1", -EINVAL, 42},
	        {"1.5", -EINVAL, 42},
	        {"7s", -EINVAL, 42},
	        {"soon", -EINVAL, 42},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t ms = 42;

		if (http_range_parse_retry_after(cases[i].text, now, &ms) != cases[i].result)
			fail_msg("wrong result: %s", cases[i].text);
		assert_int_equal(ms, cases[i].ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(content_ranges_of_the_grammar_are_understood),
	        cmocka_unit_test(other_content_ranges_are_refused),
	        cmocka_unit_test(lengths_are_digits_only),
	        cmocka_unit_test(etags_are_told_apart),
	        cmocka_unit_test(dates_of_all_three_forms_are_understood),
	        cmocka_unit_test(other_dates_are_refused),
	        cmocka_unit_test(retry_after_is_seconds_or_a_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
