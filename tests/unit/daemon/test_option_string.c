#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/option_string.h"

/* Each option as NAME=VALUE or NAME, joined by '|'. NULL: refused. */
struct example {
	const char *text;
	const char *words;
};

static const struct example examples[] = {
        {"", ""},
        {",,", ""},
        {"ro", "ro"},
        {"ro,name=a", "ro|name=a"},
        {",ro,,rw,", "ro|rw"},
        {"name=", "name="},
        {"a=b=c", "a=b=c"},
        {"dest=/a\\,b,ro", "dest=/a,b|ro"},
        {"dest=/a\\\\,ro", "dest=/a\\|ro"},
        {"dest=/a\\b", "dest=/a\\b"},
        {"dest=\\\"x", "dest=\"x"},
        {"dest=\"/a,b\",ro", "dest=/a,b|ro"},
        {"dest=\"\"", "dest="},
        {"dest=\"a\\\"b\"", "dest=a\"b"},
        {"dest=\"a\\,b\"", "dest=a,b"},
        {"dest=a\"b", "dest=a\"b"},
        {"dest=\"a", NULL},
        {"dest=\"a\"b", NULL},
        {"dest=\"a\\\"", NULL},
};

static int join_words(const char *text, char *joined, struct cf_error *err)
{
	struct option_word word;
	int r;

	joined[0] = '\0';
	while ((r = option_string_next(&text, &word, err)) > 0) {
		if (joined[0])
			strcat(joined, "|");
		strcat(joined, word.name);
		if (word.value) {
			strcat(joined, "=");
			strcat(joined, word.value);
		}
		option_word_fini(&word);
	}
	return r;
}

static void strings_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct cf_error err = {0};
		char joined[256];
		int r = join_words(examples[i].text, joined, &err);

		if (examples[i].words) {
			assert_int_equal(r, 0);
			assert_string_equal(joined, examples[i].words);
		} else {
			assert_int_equal(r, -EINVAL);
			assert_non_null(strstr(err.text, "dest"));
		}
	}
}

static void what_is_escaped_reads_back(void **state)
{
	static const char *const texts[] = {"", "a", "a,b", "a\\b", "\\,", "http://h/a,b?c\\"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *escaped = option_string_escape(texts[i]);
		char option[128] = "fsname=";
		const char *cursor = option;
		struct option_word word;

		strcat(option, escaped);
		strcat(option, ",ro");
		free(escaped);
		assert_int_equal(option_string_next(&cursor, &word, NULL), 1);
		assert_string_equal(word.value, texts[i]);
		option_word_fini(&word);
		assert_int_equal(option_string_next(&cursor, &word, NULL), 1);
		assert_string_equal(word.name, "ro");
		option_word_fini(&word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(strings_are_taken_apart),
	        cmocka_unit_test(what_is_escaped_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
