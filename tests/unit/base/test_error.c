#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/base/error.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static void a_sentence_carries_its_code(void **state)
{
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(cf_error_set(&err, -ESTALE, "%s: expected %d, found %d", "x", 1, 2),
	                 -ESTALE);
	assert_int_equal(err.code, -ESTALE);
	assert_string_equal(err.text, "x: expected 1, found 2");
}

static void an_errno_is_named_behind_the_sentence(void **state)
{
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(cf_error_errno(&err, -ENOENT, "%s cannot be opened", "/x"), -ENOENT);
	assert_string_equal(err.text, "/x cannot be opened: No such file or directory");
}

static void a_prefix_comes_in_front_and_keeps_the_code(void **state)
{
	struct cf_error err = {0};

	(void)state;
	(void)cf_error_set(&err, -EIO, "block %d is damaged", 7);
	assert_int_equal(cf_error_prefix(&err, "metadata %s", "/m"), -EIO);
	assert_int_equal(err.code, -EIO);
	assert_string_equal(err.text, "metadata /m: block 7 is damaged");
}

static void nobody_needs_to_want_the_sentence(void **state)
{
	(void)state;
	assert_int_equal(cf_error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(cf_error_errno(NULL, -EIO, "x"), -EIO);
	(void)cf_error_prefix(NULL, "x");
}

static void the_old_sentence_may_be_part_of_the_new_one(void **state)
{
	struct cf_error err = {0};

	(void)state;
	(void)cf_error_set(&err, -EIO, "inner");
	(void)cf_error_set(&err, -EUCLEAN, "outer (%s)", err.text);
	assert_string_equal(err.text, "outer (inner)");
}

/* Each length around the limit, with a character of @width bytes across every cut. */
static void check_cut(const char *character)
{
	size_t width = strlen(character);

	for (size_t pad = 0; pad < 2 * width; pad++) {
		char text[3 * CF_ERROR_TEXT_MAX] = "";
		struct cf_error err = {0};
		size_t kept;

		memset(text, 'a', pad);
		for (size_t i = pad; i + width < 2 * CF_ERROR_TEXT_MAX; i += width)
			memcpy(text + i, character, width);
		(void)cf_error_set(&err, -EIO, "%s", text);
		kept = strlen(err.text);
		assert_true(kept < CF_ERROR_TEXT_MAX);
		assert_true(kept > CF_ERROR_TEXT_MAX - 16);
		assert_string_equal(err.text + kept - 3, "...");
		assert_memory_equal(err.text, text, kept - 3);
		assert_int_equal((kept - 3 - pad) % width, 0);
	}
}

static void a_long_sentence_is_cut_between_characters(void **state)
{
	(void)state;
	check_cut("a");
	check_cut("\xc3\xa4");
	check_cut("\xe2\x82\xac");
	check_cut("\xf0\x9f\x92\xbe");
}

static void what_just_fits_is_not_cut(void **state)
{
	char text[CF_ERROR_TEXT_MAX + 1];
	struct cf_error err = {0};

	(void)state;
	memset(text, 'x', sizeof(text));
	text[CF_ERROR_TEXT_MAX - 1] = '\0';
	(void)cf_error_set(&err, -EIO, "%s", text);
	assert_string_equal(err.text, text);
	text[CF_ERROR_TEXT_MAX - 1] = 'x';
	text[CF_ERROR_TEXT_MAX] = '\0';
	(void)cf_error_set(&err, -EIO, "%s", text);
	assert_string_equal(err.text + strlen(err.text) - 4, "x...");
}

static void prefixes_and_errnos_are_cut_too(void **state)
{
	char text[2 * CF_ERROR_TEXT_MAX];
	struct cf_error err = {0};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)cf_error_errno(&err, -EIO, "%s", text);
	assert_string_equal(err.text + strlen(err.text) - 4, "x...");
	(void)cf_error_prefix(&err, "%s", "front");
	assert_memory_equal(err.text, "front: xxx", 10);
	assert_string_equal(err.text + strlen(err.text) - 4, "x...");
	assert_true(strlen(err.text) < CF_ERROR_TEXT_MAX);
}

static void what_could_drive_a_terminal_becomes_question_marks(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
	        {"plain text ~", "plain text ~"},
	        {"a\nb\tc\rd", "a?b?c?d"},
	        {"\x1b[31mred\x07", "?[31mred?"},
	        {"\x7f", "?"},
	        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xbe"},
	        {"\xc2\x9b.", "??."},         /* C1 in two bytes */
	        {"\xc2\xa0", "\xc2\xa0"},     /* the first one behind C1 */
	        {"\x9b.", "?."},              /* C1 in one byte */
	        {"\xc0\x9b", "??"},           /* longer than needed */
	        {"\xe0\x82\x9b", "???"},      /* longer than needed */
	        {"\xf0\x80\x80\x9b", "????"}, /* longer than needed */
	        {"\xed\xa0\x80", "???"},      /* surrogate */
	        {"\xf4\x90\x80\x80", "????"}, /* behind U+10FFFF */
	        {"\xf5\x80\x80\x80", "????"},
	        {"\xff", "?"},
	        {"\xe2\x82", "??"}, /* cut off */
	        {"\xe2"
	         "a",
	         "?a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cf_error err = {0};

		(void)cf_error_set(&err, -EIO, "%s", cases[i].text);
		assert_string_equal(err.text, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_sentence_carries_its_code),
	        cmocka_unit_test(an_errno_is_named_behind_the_sentence),
	        cmocka_unit_test(a_prefix_comes_in_front_and_keeps_the_code),
	        cmocka_unit_test(nobody_needs_to_want_the_sentence),
	        cmocka_unit_test(the_old_sentence_may_be_part_of_the_new_one),
	        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
	        cmocka_unit_test(what_just_fits_is_not_cut),
	        cmocka_unit_test(prefixes_and_errnos_are_cut_too),
	        cmocka_unit_test(what_could_drive_a_terminal_becomes_question_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
