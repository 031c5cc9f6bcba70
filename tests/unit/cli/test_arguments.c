#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cli/arguments.h"

static const struct command waits = {
        .name = "waits",
        .usage = "[TARGET] [--timeout TIME]",
        .options = OPTION_JSON | OPTION_TIMEOUT | OPTION_EXIT,
        .max_words = 1,
};

static const struct command checks = {
        .name = "checks", .usage = "METADATA", .min_words = 1, .max_words = 1};

static int parse(const struct command *command, const char *const words[], struct arguments *ret,
                 struct cf_error *err)
{
	static char *argv[16];
	int nr = 0;

	for (; words[nr]; nr++)
		argv[nr] = (char *)(uintptr_t)words[nr];
	return arguments_parse(command, nr, argv, ret, err);
}
#define PARSE(command, ret, err, ...) \
	parse(command, (const char *const[]){__VA_ARGS__, NULL}, ret, err)

static void options_stand_anywhere(void **state)
{
	struct arguments args;

	(void)state;
	assert_int_equal(PARSE(&waits, &args, NULL, "--json", "a", "--timeout", "2m", "--exit"), 0);
	assert_true(args.json && args.exit && args.has_timeout && !args.noflush && !args.help);
	assert_int_equal(args.timeout_ms, 120000);
	assert_int_equal(args.nr_words, 1);
	assert_string_equal(args.words[0], "a");
	assert_int_equal(PARSE(&waits, &args, NULL, "--timeout=500ms"), 0);
	assert_int_equal(args.timeout_ms, 500);
	assert_int_equal(args.nr_words, 0);
}

static void two_dashes_end_the_options(void **state)
{
	struct arguments args;

	(void)state;
	assert_int_equal(PARSE(&waits, &args, NULL, "--", "--json"), 0);
	assert_false(args.json);
	assert_string_equal(args.words[0], "--json");
	assert_int_equal(PARSE(&waits, &args, NULL, "-"), 0);
	assert_string_equal(args.words[0], "-");
}

static void wrong_usage_is_refused_with_the_culprit(void **state)
{
	static const struct {
		const struct command *command;
		const char *words[3];
		const char *culprit;
	} rows[] = {
	        {&waits, {"--noflush"}, "--noflush"},
	        {&waits, {"--js"}, "--js"},
	        {&waits, {"-x"}, "-x"},
	        {&waits, {"--json=1"}, "--json"},
	        {&waits, {"--timeout"}, "--timeout"},
	        {&waits, {"--timeout", "soon"}, "soon"},
	        {&waits, {"--timeout="}, "--timeout"},
	        {&waits, {"a", "b"}, "\"b\""},
	        {&checks, {NULL}, "METADATA"},
	        {&checks, {"--json", "m"}, "--json"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arguments args;
		struct cf_error err = {0};

		assert_int_equal(parse(rows[i].command, rows[i].words, &args, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].culprit));
	}
}

static void help_needs_nothing_else(void **state)
{
	struct arguments args;

	(void)state;
	assert_int_equal(PARSE(&checks, &args, NULL, "--help"), 0);
	assert_true(args.help);
	assert_int_equal(PARSE(&checks, &args, NULL, "a", "b", "-h"), 0);
	assert_true(args.help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(options_stand_anywhere),
	        cmocka_unit_test(two_dashes_end_the_options),
	        cmocka_unit_test(wrong_usage_is_refused_with_the_culprit),
	        cmocka_unit_test(help_needs_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
