/* Logins and headers from files: used for the source's own origin only, and read again in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* base64 of "user:geheim" and "user:neu" */
#define GEHEIM "Authorization: Basic dXNlcjpnZWhlaW0=\n"
#define NEU    "Authorization: Basic dXNlcjpuZXU=\n"

static struct server *locked; /* wants user:geheim */
static struct server *other;  /* wants nothing */
static char file[64];         /* for the test's secrets */

static void write_secret(const char *text)
{
	char next[80];
	FILE *out;

	(void)snprintf(next, sizeof(next), "%s.next", file);
	out = fopen(next, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(rename(next, file), 0);
}

static void each_way_to_log_in_is_one(void **state)
{
	const struct {
		const char *url_login, *text;
		struct source_options options;
	} cases[] = {
	        {"", "user:geheim\n", {.user_file = file, .stall_ms = PATIENT_MS}},
	        {"user:falsch@", "user:geheim", {.user_file = file, .stall_ms = PATIENT_MS}},
	        {"", GEHEIM, {.header_file = file, .stall_ms = PATIENT_MS}},
	        {"user:falsch@", GEHEIM, {.header_file = file, .stall_ms = PATIENT_MS}},
	        {"",
	         "machine 127.0.0.1 login user password geheim\n",
	         {.netrc = file, .stall_ms = PATIENT_MS}},
	        {"",
	         "default login user password geheim\n",
	         {.netrc = file, .stall_ms = PATIENT_MS}},
	        {"user:geheim@",
	         "default login user password falsch\n",
	         {.netrc = file, .stall_ms = PATIENT_MS}},
	};
	char url[256];

	(void)state;
	fixture_image(locked, "ways", MIB);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source;

		write_secret(cases[i].text);
		(void)snprintf(url, sizeof(url), "http://%s127.0.0.1:%d/ways", cases[i].url_login,
		               server_port(locked));
		source = fixture_open(url, &cases[i].options);
		(void)fixture_pin(source);
		fixture_expect_range(source, 1000, 5000);
		fixture_close(source);
	}
}

static void nothing_goes_to_another_origin(void **state)
{
	const struct {
		const char *text;
		struct source_options options;
	} cases[] = {
	        {"user:geheim", {.user_file = file, .stall_ms = PATIENT_MS}},
	        {GEHEIM, {.header_file = file, .stall_ms = PATIENT_MS}},
	        {"default login user password geheim\n", {.netrc = file, .stall_ms = PATIENT_MS}},
	        {"machine 127.0.0.1 login user password geheim\n",
	         {.netrc = file, .stall_ms = PATIENT_MS}},
	};
	char url[256], to[256];

	(void)state;
	fixture_image(locked, "led", MIB);
	fixture_image(other, "led", MIB);
	server_control(
	        locked,
	        "{\"faults\":[{\"fault\":\"redirect\",\"path\":\"/led\",\"location\":\"%s\"}]}",
	        server_url(other, "led", to));
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned int before = server_count_requests(locked, "led", "authorization");
		struct source *source;

		write_secret(cases[i].text);
		source = fixture_open(server_url(locked, "led", url), &cases[i].options);
		(void)fixture_pin(source);
		fixture_expect_range(source, 0, 1000);
		fixture_close(source);
		assert_int_equal(server_count_requests(locked, "led", "authorization"), before + 1);
		assert_int_equal(server_count_requests(other, "led", ""), 2 * (i + 1));
		assert_int_equal(server_count_requests(other, "led", "authorization"), 0);
	}
	server_control(locked, "{\"clear\":true}");
}

/* Runs one request for the first bytes and returns how it ended. */
static enum source_result ask(struct source *source, struct cf_error *ret_err)
{
	struct collector *c = collector_new(source, 0, 1000);
	enum source_result result = collector_run(c);

	*ret_err = c->outcome.error;
	collector_free(c);
	return result;
}

static void a_renewed_secret_counts_at_once(void **state)
{
	const struct {
		const char *before, *after;
		struct source_options options;
	} cases[] = {
	        {"user:geheim", "user:neu", {.user_file = file, .stall_ms = PATIENT_MS}},
	        {GEHEIM, NEU, {.header_file = file, .stall_ms = PATIENT_MS}},
	        {"default login user password geheim",
	         "default login user password neu",
	         {.netrc = file, .stall_ms = PATIENT_MS}},
	};
	char url[256];

	(void)state;
	fixture_image(locked, "renewed", MIB);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source;
		struct cf_error err;
		unsigned int before;

		write_secret(cases[i].before);
		source = fixture_open(server_url(locked, "renewed", url), &cases[i].options);
		(void)fixture_pin(source);
		server_control(locked, "{\"user\":\"user:neu\"}");
		before = server_count_requests(locked, "renewed", "");
		assert_int_equal(ask(source, &err), SOURCE_DENIED);
		assert_int_equal(server_count_requests(locked, "renewed", ""), before + 1);
		/* What cannot be read, or not be understood, changes nothing and is said. */
		assert_int_equal(unlink(file), 0);
		assert_int_equal(ask(source, &err), SOURCE_DENIED);
		assert_non_null(strstr(err.text, "401"));
		assert_non_null(strstr(err.text, file));
		write_secret("neu neu\nneu");
		assert_int_equal(ask(source, &err), SOURCE_DENIED);
		assert_null(strstr(err.text, "neu neu"));
		write_secret(cases[i].after);
		before = server_count_requests(locked, "renewed", "");
		assert_int_equal(ask(source, &err), SOURCE_OK);
		assert_int_equal(server_count_requests(locked, "renewed", ""), before + 2);
		fixture_expect_range(source, 0, MIB);
		fixture_close(source);
		server_control(locked, "{\"user\":\"user:geheim\"}");
	}
}

static void files_that_cannot_be_used_are_told_at_once(void **state)
{
	const struct {
		const char *text, *sentence;
		struct source_options options;
	} cases[] = {
	        {"geheim",
	         "expected one line, USER:PASSWORD",
	         {.user_file = file, .stall_ms = PATIENT_MS}},
	        {"geheim",
	         "line 1: expected NAME: VALUE",
	         {.header_file = file, .stall_ms = PATIENT_MS}},
	        {"", "/nowhere cannot be read", {.user_file = "/nowhere"}},
	        {"", "/nowhere cannot be read", {.header_file = "/nowhere"}},
	        {"", "/nowhere cannot be read", {.netrc = "/nowhere"}},
	        {"", "/nowhere cannot be read", {.cert = "/nowhere"}},
	        {"", "/nowhere cannot be read", {.cert = file, .key = "/nowhere"}},
	        {"", "another scheme", {.proxy = "ftp://user:geheim@host"}},
	        {"", "malformed", {.proxy = "http://user:geheim@"}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source;
		struct cf_error err = {0};

		write_secret(cases[i].text);
		assert_true(source_open("http://127.0.0.1:1/x", &cases[i].options, &source, &err) <
		            0);
		assert_non_null(strstr(err.text, cases[i].sentence));
		assert_null(strstr(err.text, "geheim"));
	}
}

/* A request that a proxy gets has the whole URL; the range server knows paths only. */
static void requests_go_to_the_proxy(void **state)
{
	struct source_options options = {.stall_ms = PATIENT_MS};
	struct cf_error err = {0};
	struct source_probe probe;
	struct source *source;
	char proxy[256];

	(void)state;
	(void)snprintf(proxy, sizeof(proxy), "http://%s:%s@127.0.0.1:%d", "name", "geheim",
	               server_port(other));
	options.proxy = proxy;
	source = fixture_open("http://host.invalid/disk", &options);
	assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), -ENOENT);
	assert_null(strstr(err.text, "geheim"));
	fixture_close(source);
	/* And with an empty one, whatever the environment says, to the host itself. */
	assert_int_equal(setenv("http_proxy", proxy, 1), 0);
	options.proxy = "";
	source = fixture_open("http://host.invalid/disk", &options);
	assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), -EIO);
	assert_non_null(strstr(err.text, "resolve"));
	fixture_close(source);
	assert_int_equal(unsetenv("http_proxy"), 0);
}

/* curl quotes a proxy that it cannot use. */
static void the_login_of_the_environments_proxy_is_not_told(void **state)
{
	static const char *const proxies[] = {"http://user:ge#heim@127.0.0.1:1",
	                                      "ftp://user:geheim@127.0.0.1:1"};

	(void)state;
	for (size_t i = 0; i < COUNT(proxies); i++) {
		struct source *source = fixture_open("http://host.invalid/disk", NULL);
		struct cf_error err = {0};
		struct source_probe probe;

		assert_int_equal(setenv("http_proxy", proxies[i], 1), 0);
		assert_true(source->ops->probe(source, PATIENT_MS, &probe, &err) < 0);
		assert_int_equal(unsetenv("http_proxy"), 0);
		assert_null(strstr(err.text, "heim"));
		assert_non_null(strstr(err.text, "proxy of the environment"));
		fixture_close(source);
	}
}

static int setup(void **state)
{
	const struct server_options options = {.user = "user:geheim"};

	(void)state;
	locked = server_start(&options);
	other = server_start(NULL);
	(void)snprintf(file, sizeof(file), "/tmp/clonefs-auth-%d", (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	server_stop(locked);
	server_stop(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_way_to_log_in_is_one),
	        cmocka_unit_test(nothing_goes_to_another_origin),
	        cmocka_unit_test(a_renewed_secret_counts_at_once),
	        cmocka_unit_test(files_that_cannot_be_used_are_told_at_once),
	        cmocka_unit_test(requests_go_to_the_proxy),
	        cmocka_unit_test(the_login_of_the_environments_proxy_is_not_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
