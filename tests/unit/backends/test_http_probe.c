#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define IMAGE        (200 * KIB)

static int probe_url(const char *url, uint64_t timeout_ms, struct source_probe *probe,
                     struct cf_error *err)
{
	struct source *source = fixture_open(url, NULL);
	int r = source->ops->probe(source, timeout_ms, probe, err);

	fixture_close(source);
	return r;
}

static void it_brings_identity_and_head_in_one_get(void **state)
{
	struct source_probe probe;
	struct cf_error err = {0};
	char url[256];

	(void)state;
	fixture_image(http_server, "plain", IMAGE);
	assert_int_equal(probe_url(server_url(http_server, "plain", url), PATIENT_MS, &probe, &err),
	                 0);
	assert_int_equal(probe.identity.size, IMAGE);
	assert_true(probe.identity.etag[0] == '"');
	assert_true(probe.identity.last_modified[0] != 0);
	assert_in_range(probe.identity.mtime_ns / 1000000000, time(NULL) - 3600, time(NULL));
	assert_false(probe.weak_validators);
	assert_false(probe.is_device);
	assert_int_equal(probe.head_length, SOURCE_HEAD_MAX);
	for (size_t i = 0; i < probe.head_length; i++)
		assert_int_equal(probe.head[i], pattern_byte(i, 1));
	free(probe.head);
	assert_int_equal(server_count_requests(http_server, "plain", ""), 1);
	assert_int_equal(server_count_requests(http_server, "plain", "\"method\":\"GET\""), 1);
	assert_int_equal(server_count_requests(http_server, "plain", "\"range\":\"bytes=0-65535\""),
	                 1);
}

static void it_asks_for_no_more_of_the_head_than_is_wanted(void **state)
{
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	char url[256];

	(void)state;
	fixture_image(http_server, "wanted", IMAGE);
	source = fixture_open(server_url(http_server, "wanted", url), NULL);
	source->probe_length = 1;
	assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), 0);
	assert_int_equal(probe.identity.size, IMAGE);
	assert_int_equal(probe.head_length, 1);
	free(probe.head);
	fixture_close(source);
	assert_int_equal(server_count_requests(http_server, "wanted", "\"range\":\"bytes=0-0\""),
	                 1);
}

static void the_head_of_a_small_image_is_all_of_it(void **state)
{
	static const uint64_t sizes[] = {1, 511, 65535, 65536, 65537};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct source_probe probe;
		struct cf_error err = {0};
		char name[32], url[256];
		uint64_t head = sizes[i] < SOURCE_HEAD_MAX ? sizes[i] : SOURCE_HEAD_MAX;

		(void)snprintf(name, sizeof(name), "small-%zu", i);
		fixture_image(http_server, name, sizes[i]);
		assert_int_equal(
		        probe_url(server_url(http_server, name, url), PATIENT_MS, &probe, &err), 0);
		assert_int_equal(probe.identity.size, sizes[i]);
		assert_int_equal(probe.head_length, head);
		free(probe.head);
	}
}

/* A fault without its braces and path, with ' for ", or NULL for an image that is missing. */
static const struct refusal {
	const char *name;
	const char *fault;
	uint64_t size;
	int result;
	const char *sentence;
} refusals[] = {
        {"ranges", "'fault':'whole_file'", IMAGE, -EINVAL,
         "the server does not support range requests (it answered 200 to one): "},
        {"total", "'fault':'unknown_total'", IMAGE, -EINVAL,
         "does not say how large the source is"},
        {"empty", "'fault':'close_after'", 0, -EINVAL, "the source is empty (0 bytes)"},
        {"empty-200", "'fault':'whole_file'", 0, -EINVAL, "the source is empty (0 bytes)"},
        {"missing", NULL, 0, -ENOENT, "the server has no such file (404 Not Found)"},
        {"gone", "'fault':'status','status':410", IMAGE, -ENOENT, "410"},
        {"login", "'fault':'status','status':401", IMAGE, -EACCES,
         "the server denies access (401 Unauthorized)"},
        {"forbidden", "'fault':'status','status':403", IMAGE, -EACCES, "403"},
        {"broken", "'fault':'status','status':500", IMAGE, -EAGAIN, "the server answered 500"},
        {"busy", "'fault':'status','status':503,'retry_after':5", IMAGE, -EAGAIN, "503"},
        {"refused", "'fault':'status','status':416", IMAGE, -EINVAL, "416"},
        {"teapot", "'fault':'status','status':418", IMAGE, -EINVAL, "418"},
        {"start", "'fault':'wrong_start'", IMAGE, -EINVAL, "byte 4096 instead of 0"},
        {"gzip", "'fault':'gzip_encoding'", IMAGE, -EINVAL, "compressed"},
        {"parts", "'fault':'multipart'", IMAGE, -EINVAL, "several parts"},
        {"spam", "'fault':'garbage_status_line'", IMAGE, -EIO, "not HTTP"},
        {"header", "'fault':'huge_header'", IMAGE, -EIO, "longer than 65536"},
        {"loop", "'fault':'redirect'", IMAGE, -EIO, "more than 10 times"},
        {"portal", "'fault':'captive_portal'", IMAGE, -EINVAL, "does not support range requests"},
        {"reset", "'fault':'reset_before'", IMAGE, -EAGAIN, "connection"},
        {"length", "'fault':'wrong_length','by':1", IMAGE, -EINVAL, "contradicts"},
};

static void each_refusal_is_one_sentence_with_the_sources_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct source_probe probe;
		struct cf_error err = {0};
		char url[256], fault[512];

		if (r->fault) {
			(void)snprintf(fault, sizeof(fault),
			               "{'clear':true,'faults':[{'path':'/%s',%s}]}", r->name,
			               r->fault);
			for (char *c = fault; *c; c++)
				if (*c == '\'')
					*c = '"';
			server_control(http_server, "%s", fault);
			fixture_image(http_server, r->name, r->size);
		}
		server_url(http_server, r->name, url);
		if (probe_url(url, PATIENT_MS, &probe, &err) != r->result)
			fail_msg("%s: %d: %s", r->name, err.code, err.text);
		if (!strstr(err.text, r->sentence))
			fail_msg("%s: the sentence is '%s'", r->name, err.text);
		if (strncmp(err.text, url, strlen(url)) != 0)
			fail_msg("%s: no name in '%s'", r->name, err.text);
		server_control(http_server, "{\"clear\":true}");
	}
}

static void validators_are_weak_when_they_cannot_tell_versions_apart(void **state)
{
	static const struct {
		const char *etag; /* JSON */
		int age;          /* seconds of Last-Modified before Date; -1: none */
		bool weak;
	} cases[] = {
	        {"\"\\\"x\\\"\"", 0, false},
	        {"\"\\\"x\\\"\"", -1, false},
	        {"null", 3600, false},
	        {"null", 5, true},
	        {"null", -1, true},
	        {"\"W/\\\"x\\\"\"", 3600, false},
	        {"\"W/\\\"x\\\"\"", 5, true},
	        {"\"W/\\\"x\\\"\"", -1, true},
	        {"\"unquoted\"", 3600, false},
	        {"\"unquoted\"", -1, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source_probe probe;
		struct cf_error err = {0};
		char name[32], url[256], modified[32] = "null";

		(void)snprintf(name, sizeof(name), "weak-%zu", i);
		fixture_image(http_server, name, IMAGE);
		if (cases[i].age >= 0)
			(void)snprintf(modified, sizeof(modified), "%lld",
			               (long long)(time(NULL) - cases[i].age));
		server_control(http_server,
		               "{\"clear\":true,\"faults\":["
		               "{\"fault\":\"etag\",\"path\":\"/%s\",\"value\":%s},"
		               "{\"fault\":\"last_modified\",\"path\":\"/%s\",\"value\":%s}]}",
		               name, cases[i].etag, name, modified);
		assert_int_equal(
		        probe_url(server_url(http_server, name, url), PATIENT_MS, &probe, &err), 0);
		if (probe.weak_validators != cases[i].weak)
			fail_msg("case %zu: %d", i, probe.weak_validators);
		free(probe.head);
		server_control(http_server, "{\"clear\":true}");
	}
}

static void a_head_that_stays_away_is_no_failure(void **state)
{
	struct source_options hasty = {.stall_ms = 300};
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	char url[256];

	(void)state;
	fixture_image(http_server, "headless", IMAGE);
	server_control(http_server,
	               "{\"faults\":[{\"fault\":\"stall\",\"path\":\"/headless\",\"at\":100}]}");
	source = fixture_open(server_url(http_server, "headless", url), &hasty);
	/* Under load even the header may be late: then it is a failure, and asked again. */
	while (source->ops->probe(source, PATIENT_MS, &probe, &err) < 0)
		assert_non_null(strstr(err.text, "300 ms"));
	assert_int_equal(probe.identity.size, IMAGE);
	assert_in_range(probe.head_length, 0, 100);
	assert_int_equal(!probe.head, !probe.head_length);
	for (size_t i = 0; i < probe.head_length; i++)
		assert_int_equal(probe.head[i], pattern_byte(i, 1));
	free(probe.head);
	fixture_close(source);
	server_control(http_server, "{\"clear\":true,\"release\":true}");
}

static void it_ends_when_its_time_is_up(void **state)
{
	struct source_probe probe;
	struct cf_error err = {0};
	char url[256];

	(void)state;
	fixture_image(http_server, "silent", IMAGE);
	server_control(http_server,
	               "{\"faults\":[{\"fault\":\"no_answer\",\"path\":\"/silent\"}]}");
	assert_int_equal(probe_url(server_url(http_server, "silent", url), 200, &probe, &err),
	                 -EAGAIN);
	assert_non_null(strstr(err.text, "did not answer within 200 ms"));
	server_control(http_server, "{\"clear\":true,\"release\":true}");
}

static void an_unknown_host_is_named_as_that(void **state)
{
	struct source_probe probe;
	struct cf_error err = {0};

	(void)state;
	/* RFC 6761: never resolves. The sentence keeps userinfo and query out. */
	assert_int_equal(
	        probe_url("http://u:geheim@disk.invalid/d?sig=geheim", PATIENT_MS, &probe, &err),
	        -EIO);
	assert_non_null(strstr(err.text, "http://disk.invalid/d?...: "));
	assert_non_null(strstr(err.text, "cannot be resolved"));
	assert_null(strstr(err.text, "geheim"));
}

static void a_refused_connection_is_named_as_that(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	struct source_probe probe;
	struct cf_error err = {0};
	char url[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	/* Bound, so that nobody else has the port, but not listening. */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/d", ntohs(address.sin_port));
	assert_int_equal(probe_url(url, PATIENT_MS, &probe, &err), -EIO);
	assert_non_null(strstr(err.text, "cannot be connected to: Connection refused"));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_brings_identity_and_head_in_one_get),
	        cmocka_unit_test(it_asks_for_no_more_of_the_head_than_is_wanted),
	        cmocka_unit_test(the_head_of_a_small_image_is_all_of_it),
	        cmocka_unit_test(each_refusal_is_one_sentence_with_the_sources_name),
	        cmocka_unit_test(validators_are_weak_when_they_cannot_tell_versions_apart),
	        cmocka_unit_test(a_head_that_stays_away_is_no_failure),
	        cmocka_unit_test(it_ends_when_its_time_is_up),
	        cmocka_unit_test(an_unknown_host_is_named_as_that),
	        cmocka_unit_test(a_refused_connection_is_named_as_that),
	};

	/* The machine's own proxy is no part of these tests. */
	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, fixture_start_server, fixture_stop_server);
}
