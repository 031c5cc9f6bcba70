#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "backends/registry.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void each_kind_of_source_has_its_backend(void **state)
{
	static const struct {
		const char *url, *backend, *shown;
	} cases[] = {
	        {"/images/disk.raw", "file", "/images/disk.raw"},
	        {"disk.raw", "file", "disk.raw"},
	        {"./a:b//c", "file", "./a:b//c"},
	        {"host:/export/disk.raw", "file", "host:/export/disk.raw"},
	        {"file:///images/disk.raw", "file", "/images/disk.raw"},
	        {"FILE://localhost/images/disk.raw", "file", "/images/disk.raw"},
	        {"file:///a%20b%2Fc%25", "file", "/a b/c%"},
	        {"http://h/d", "http", "http://h/d"},
	        {"HTTPS://u:p@h/d?s=1", "http", "https://h/d?..."},
	};
	const struct source_options options = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source;
		struct cf_error err = {0};

		if (source_open(cases[i].url, &options, &source, &err) < 0)
			fail_msg("%s: %s", cases[i].url, err.text);
		assert_string_equal(source->ops->name, cases[i].backend);
		assert_string_equal(source->shown, cases[i].shown);
		assert_true(source->ops->connected == (cases[i].backend[0] == 'h'));
		source->ops->close(source);
	}
}

static void others_are_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *url, *sentence;
	} cases[] = {
	        {"", "empty"},
	        {"ftp://u:geheim@h/d", "ftp://"},
	        {"s3+x-y.z://bucket/d", "s3+x-y.z://"},
	        {"file://", "absolute path"},
	        {"file://server/share/d", "absolute path"},
	        {"file://relative", "absolute path"},
	        {"file:///a%2", "malformed %-sequence"},
	        {"file:///a%zz", "malformed %-sequence"},
	        {"file:///a%00b", "malformed %-sequence"},
	        {"http://", "malformed"},
	        {"http://h:geheim/d", "malformed"},
	        {"http://u:geheim@[/d", "malformed"},
	};
	const struct source_options options = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source = NULL;
		struct cf_error err = {0};

		if (source_open(cases[i].url, &options, &source, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i].url);
		assert_null(source);
		if (!strstr(err.text, cases[i].sentence) || strstr(err.text, "geheim"))
			fail_msg("%s: %s", cases[i].url, err.text);
	}
}

static void a_missing_cacert_is_told_at_once(void **state)
{
	const struct source_options options = {.cacert = "/nowhere/ca.pem"};
	struct source *source = NULL;
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(source_open("https://h/d", &options, &source, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/ca.pem"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_kind_of_source_has_its_backend),
	        cmocka_unit_test(others_are_refused_with_a_sentence),
	        cmocka_unit_test(a_missing_cacert_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
