/* Files with a login or with header lines: what is taken, what is refused, what is not shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/http_credentials.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_login_is_one_line(void **state)
{
	static const struct {
		const char *text, *user, *password; /* user NULL: refused */
	} cases[] = {
	        {"user:geheim", "user", "geheim"},
	        {"user:geheim\n", "user", "geheim"},
	        {"user:geheim\r\n\n", "user", "geheim"},
	        {"user:with:colons and blanks \n", "user", "with:colons and blanks "},
	        {"user:", "user", ""},
	        {":token", "", "token"},
	        {"", NULL, NULL},
	        {"\nuser:geheim", NULL, NULL},
	        {"geheim", NULL, NULL},
	        {"user:geheim\nother:geheim", NULL, NULL},
	        {"user:ge\001heim", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cf_error err = {0};
		char *user = NULL, *password = NULL;
		int r = http_credentials_parse_login(cases[i].text, "FILE", &user, &password, &err);

		assert_int_equal(r, cases[i].user ? 0 : -EINVAL);
		if (r < 0) {
			assert_string_equal(err.text, "FILE: expected one line, USER:PASSWORD");
			continue;
		}
		assert_string_equal(user, cases[i].user);
		assert_string_equal(password, cases[i].password);
		http_credentials_wipe(user);
		http_credentials_wipe(password);
	}
}

static void header_lines_are_taken_as_they_are(void **state)
{
	struct curl_slist *headers = NULL;

	(void)state;
	assert_int_equal(
	        http_credentials_parse_headers("# a token\r\n\r\nAuthorization: Bearer x\r\n"
	                                       "x-key:1\n#\nX-Tab:\ta\tb",
	                                       "FILE", &headers, NULL),
	        0);
	assert_string_equal(headers->data, "Authorization: Bearer x");
	assert_string_equal(headers->next->data, "x-key:1");
	assert_string_equal(headers->next->next->data, "X-Tab:\ta\tb");
	assert_null(headers->next->next->next);
	http_credentials_wipe_headers(headers);
	assert_int_equal(http_credentials_parse_headers("\n# nothing\n", "FILE", &headers, NULL),
	                 0);
	assert_null(headers);
}

static void other_lines_are_refused_by_number(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
	        {"geheim", "FILE: line 1: expected NAME: VALUE"},
	        {"A: b\n\ngeheim geheim: c", "FILE: line 3: expected NAME: VALUE"},
	        {"A: b\n continued: geheim", "FILE: line 2: expected NAME: VALUE"},
	        {": geheim", "FILE: line 1: expected NAME: VALUE"},
	        {"A:", "FILE: line 1: expected NAME: VALUE"},
	        {"A: \t", "FILE: line 1: expected NAME: VALUE"},
	        {"A\nB: geheim", "FILE: line 1: expected NAME: VALUE"},
	        {"A: ge\033heim", "FILE: line 1: expected NAME: VALUE"},
	        {"A: geheim\rB: geheim", "FILE: line 1: expected NAME: VALUE"},
	        {"range: bytes=0-1", "FILE: line 1: the header range is not for others to set"},
	        {"A: b\nIf-Match: \"geheim\"",
	         "FILE: line 2: the header If-Match is not for others to set"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct curl_slist *headers = NULL;
		struct cf_error err = {0};

		assert_int_equal(
		        http_credentials_parse_headers(cases[i].text, "FILE", &headers, &err),
		        -EINVAL);
		assert_string_equal(err.text, cases[i].sentence);
		assert_null(headers);
	}
}

static void write_file(const char *path, const char *bytes, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void files_are_small_and_text(void **state)
{
	static char large[HTTP_CREDENTIALS_FILE_MAX + 1];
	char folder[] = "/tmp/clonefs-credentials.XXXXXX";
	char path[64];
	struct cf_error err = {0};
	char *text = NULL;

	(void)state;
	memset(large, 'x', sizeof(large));
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	assert_int_equal(http_credentials_read(path, &text, &err), -ENOENT);
	assert_int_equal(http_credentials_read(folder, &text, &err), -EINVAL);
	write_file(path, "a\0b", 3);
	assert_int_equal(http_credentials_read(path, &text, &err), -EINVAL);
	write_file(path, large, sizeof(large));
	assert_int_equal(http_credentials_read(path, &text, &err), -EINVAL);
	write_file(path, large, sizeof(large) - 1);
	assert_int_equal(http_credentials_read(path, &text, &err), 0);
	assert_int_equal(strlen(text), HTTP_CREDENTIALS_FILE_MAX);
	http_credentials_wipe(text);
	assert_int_equal(unlink(path), 0);
	/* Opening a pipe that nobody writes to must not wait. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(http_credentials_read(path, &text, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_login_is_one_line),
	        cmocka_unit_test(header_lines_are_taken_as_they_are),
	        cmocka_unit_test(other_lines_are_refused_by_number),
	        cmocka_unit_test(files_are_small_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
