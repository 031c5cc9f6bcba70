#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "backends/http_url.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void userinfo_and_query_are_moved_out_of_sight(void **state)
{
	static const struct {
		const char *url, *text, *shown, *origin, *user, *password;
	} cases[] = {
	        {"http://h/d.raw", "http://h/d.raw", "http://h/d.raw", "http://h:80", NULL, NULL},
	        {"https://H.Example:443/d", "https://H.Example:443/d", "https://H.Example:443/d",
	         "https://h.example:443", NULL, NULL},
	        {"http://u:p@h/d", "http://h/d", "http://h/d", "http://h:80", "u", "p"},
	        {"http://u:p%40%2f@h/d", "http://h/d", "http://h/d", "http://h:80", "u", "p@/"},
	        {"http://u@h/d", "http://h/d", "http://h/d", "http://h:80", "u", NULL},
	        {"http://:p@h/d", "http://h/d", "http://h/d", "http://h:80", "", "p"},
	        {"http://h/d?X-Amz-Signature=secret", "http://h/d?X-Amz-Signature=secret",
	         "http://h/d?...", "http://h:80", NULL, NULL},
	        {"http://u:p@h/d?q#frag", "http://h/d?q", "http://h/d?...", "http://h:80", "u",
	         "p"},
	        {"HTTP://h/d", "http://h/d", "http://h/d", "http://h:80", NULL, NULL},
	        {"http://h/a b", "http://h/a%20b", "http://h/a%20b", "http://h:80", NULL, NULL},
	        {"http://[::1]:8080/d", "http://[::1]:8080/d", "http://[::1]:8080/d",
	         "http://[::1]:8080", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_url *url;
		struct cf_error err = {0};

		if (http_url_parse(cases[i].url, &url, &err) < 0)
			fail_msg("%s: %s", cases[i].url, err.text);
		assert_string_equal(url->text, cases[i].text);
		assert_string_equal(url->shown, cases[i].shown);
		assert_string_equal(url->origin, cases[i].origin);
		assert_int_equal(!url->user, !cases[i].user);
		if (url->user)
			assert_string_equal(url->user, cases[i].user);
		assert_int_equal(!url->password, !cases[i].password);
		if (url->password)
			assert_string_equal(url->password, cases[i].password);
		http_url_unref(url);
	}
}

static void a_refusal_does_not_repeat_the_url(void **state)
{
	static const char *const cases[] = {
	        "http://u:geheim@/d",     "http://u:geheim@h:99999/d", "http://u:geheim@h:x/d",
	        "http://u:geheim@[::1/d", "ftp://u:geheim@h/d",        "http:///u:geheim@",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_url *url = NULL;
		struct cf_error err = {0};

		if (http_url_parse(cases[i], &url, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_null(strstr(err.text, "geheim"));
		assert_true(strlen(err.text) > 10);
	}
}

static void redirects_lead_only_to_http_and_not_down(void **state)
{
	static const struct {
		const char *base, *location, *text; /* NULL: refused */
	} cases[] = {
	        {"http://h/a/b?q", "/c", "http://h/c"},
	        {"http://h/a/b?q", "c", "http://h/a/c"},
	        {"http://h/a/b?q", "?r", "http://h/a/b?r"},
	        {"http://h/a/b", "../c", "http://h/c"},
	        {"http://h/a", "//other/c", "http://other/c"},
	        {"https://h/a", "//other/c", "https://other/c"},
	        {"http://h/a", "http://other:8080/c?sig=1", "http://other:8080/c?sig=1"},
	        {"http://h/a", "https://other/c", "https://other/c"},
	        {"http://h/a", "http://u:p@other/c", "http://other/c"},
	        {"http://h/a", "/with space", "http://h/with%20space"},
	        {"https://h/a", "http://h/a", NULL},
	        {"http://h/a", "file:///etc/passwd", NULL},
	        {"http://h/a", "ftp://h/a", NULL},
	        {"http://h/a", "gopher://h/a", NULL},
	        {"http://h/a", "javascript:alert(1)", NULL},
	        {"http://h/a", "http://h:99999/", NULL},
	        {"http://h/a", "http://", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_url *base, *url = NULL;
		struct cf_error err = {0};
		int r;

		assert_int_equal(http_url_parse(cases[i].base, &base, &err), 0);
		r = http_url_redirect(base, cases[i].location, false, &url, &err);
		if (cases[i].text) {
			if (r < 0)
				fail_msg("%s: %s", cases[i].location, err.text);
			assert_string_equal(url->text, cases[i].text);
			assert_null(url->user);
			assert_null(url->password);
		} else if (r == 0) {
			/* What is taken as a relative path stays with the server that said so. */
			if (!http_url_same_origin(base, url))
				fail_msg("followed: %s to %s", cases[i].location, url->text);
		}
		http_url_unref(url);
		http_url_unref(base);
	}
}

static void who_asks_for_it_is_led_down_to_http_and_nowhere_else(void **state)
{
	struct http_url *base, *url = NULL;
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(http_url_parse("https://h/a", &base, &err), 0);
	assert_int_equal(http_url_redirect(base, "http://u:p@h/a", true, &url, &err), 0);
	assert_string_equal(url->text, "http://h/a");
	assert_null(url->user);
	assert_false(http_url_same_origin(base, url));
	http_url_unref(url);
	assert_int_equal(http_url_redirect(base, "file:///etc/passwd", true, &url, &err), -EINVAL);
	http_url_unref(base);
}

static void origins_are_scheme_host_and_port(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
	        {"http://h/a", "http://h:80/b", true},   {"http://h/a", "http://H/b", true},
	        {"https://h/a", "https://h:443/", true}, {"http://h/a", "https://h/a", false},
	        {"http://h/a", "http://h:81/a", false},  {"http://h/a", "http://h.x/a", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_url *a, *b;

		assert_int_equal(http_url_parse(cases[i].a, &a, NULL), 0);
		assert_int_equal(http_url_parse(cases[i].b, &b, NULL), 0);
		assert_int_equal(http_url_same_origin(a, b), cases[i].same);
		http_url_unref(a);
		http_url_unref(b);
	}
}

static void proxies_are_http_unless_they_say_otherwise(void **state)
{
	static const struct {
		const char *given, *text, *user;
	} cases[] = {
	        {"proxy:3128", "http://proxy:3128/", NULL},
	        {"ftp.corp.example:3128", "http://ftp.corp.example:3128/", NULL},
	        {"name:geheim@imap.corp.example:3128", "http://imap.corp.example:3128/", "name"},
	        {"https://proxy:3128", "https://proxy:3128/", NULL},
	        {"socks5h://name:geheim@proxy:1080", "socks5h://proxy:1080/", "name"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cf_error err = {0};
		struct http_url *url;

		assert_int_equal(http_url_parse_proxy(cases[i].given, &url, &err), 0);
		assert_string_equal(url->text, cases[i].text);
		if (cases[i].user)
			assert_string_equal(url->user, cases[i].user);
		else
			assert_null(url->user);
		http_url_unref(url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(proxies_are_http_unless_they_say_otherwise),
	        cmocka_unit_test(userinfo_and_query_are_moved_out_of_sight),
	        cmocka_unit_test(a_refusal_does_not_repeat_the_url),
	        cmocka_unit_test(redirects_lead_only_to_http_and_not_down),
	        cmocka_unit_test(who_asks_for_it_is_led_down_to_http_and_nowhere_else),
	        cmocka_unit_test(origins_are_scheme_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
