/* Requests that go well: bytes, connections, order, redirects, logins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void ranges_arrive_whole_and_right(void **state)
{
	static const uint64_t ranges[][2] = {
	        {0, 64 * KIB},
	        {1000001, 2 * MIB},
	        {3 * MIB + 776, 1},
	        {0, 3 * MIB + 777},
	};
	struct collector *c[COUNT(ranges)];
	struct source *source;

	(void)state;
	source = fixture_serve("ranges", 3 * MIB + 777, NULL);
	for (size_t i = 0; i < COUNT(ranges); i++) {
		c[i] = collector_new(source, ranges[i][0], ranges[i][1]);
		collector_submit(c[i]);
	}
	for (size_t i = 0; i < COUNT(ranges); i++) {
		if (collector_wait(c[i]) != SOURCE_OK)
			fail_msg("%s", c[i]->outcome.error.text);
		assert_int_equal(c[i]->length, ranges[i][1]);
		collector_assert_pattern(c[i], 1);
		collector_free(c[i]);
	}
	fixture_close(source);
}

static void one_after_the_other_uses_one_connection(void **state)
{
	int64_t before;
	struct source *source;

	(void)state;
	fixture_image(http_server, "kept", MIB);
	before = server_state(http_server, "connections_ever");
	source = fixture_pinned(http_server, "kept", NULL);
	for (int i = 0; i < 50; i++)
		fixture_expect_range(source, (uint64_t)i * 1000, 1000);
	assert_int_equal(server_state(http_server, "connections_ever") - before, 1);
	fixture_close(source);
}

static void a_fresh_connection_is_one(void **state)
{
	struct collector *c;
	struct source *source;
	int64_t before;

	(void)state;
	source = fixture_serve("fresh", MIB, NULL);
	before = server_state(http_server, "connections_ever");
	c = collector_new(source, 0, 1000);
	c->req.fresh_connection = true;
	assert_int_equal(collector_run(c), SOURCE_OK);
	collector_free(c);
	assert_int_equal(server_state(http_server, "connections_ever") - before, 1);
	fixture_close(source);
}

static void never_more_connections_than_allowed(void **state)
{
	const struct source_options options = {.max_connections = 3, .stall_ms = PATIENT_MS};
	const struct source_limits wider = {.max_connections = 5, .stall_ms = PATIENT_MS};
	struct collector *c[20];
	struct source *source;
	int64_t before;

	(void)state;
	fixture_image(http_server, "limit", MIB);
	before = server_state(http_server, "connections_ever");
	source = fixture_pinned(http_server, "limit", &options);
	server_control(http_server, "{\"paused\":true}");
	for (size_t i = 0; i < COUNT(c); i++) {
		c[i] = collector_new(source, i * 1000, 1000);
		c[i]->req.fresh_connection = i % 2;
		collector_submit(c[i]);
	}
	server_wait_for_state(http_server, "in_flight", 3);
	assert_in_range(server_state(http_server, "connections_ever") - before, 3, 4);
	source->ops->configure(source, &wider);
	server_wait_for_state(http_server, "in_flight", 5);
	/* The control connection is one more. */
	server_wait_for_state(http_server, "connections", 6);
	server_control(http_server, "{\"paused\":false}");
	for (size_t i = 0; i < COUNT(c); i++) {
		assert_int_equal(collector_wait(c[i]), SOURCE_OK);
		collector_assert_pattern(c[i], 1);
		collector_free(c[i]);
	}
	fixture_close(source);
}

static atomic_uint next_place;

static void note_place(struct collector *c)
{
	c->place = atomic_fetch_add(&next_place, 1);
}

static void foreground_goes_before_read_ahead_before_background(void **state)
{
	const struct source_options options = {.max_connections = 1, .stall_ms = PATIENT_MS};
	static const struct {
		enum source_class class;
		unsigned int place;
	} cases[] = {
	        {SOURCE_BACKGROUND, 0}, {SOURCE_BACKGROUND, 5}, {SOURCE_READAHEAD, 3},
	        {SOURCE_FOREGROUND, 1}, {SOURCE_READAHEAD, 4},  {SOURCE_FOREGROUND, 2},
	};
	struct collector *c[COUNT(cases)];
	struct source *source;

	(void)state;
	source = fixture_serve("order", MIB, &options);
	atomic_store(&next_place, 0);
	server_control(http_server, "{\"paused\":true}");
	for (size_t i = 0; i < COUNT(cases); i++) {
		c[i] = collector_new(source, i * 1000, 1000);
		c[i]->req.class = cases[i].class;
		c[i]->on_done = note_place;
		collector_submit(c[i]);
		/* The first has the connection before the others come. */
		server_wait_for_state(http_server, "in_flight", 1);
	}
	server_control(http_server, "{\"paused\":false}");
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(collector_wait(c[i]), SOURCE_OK);
		assert_int_equal(c[i]->place, cases[i].place);
		collector_free(c[i]);
	}
	fixture_close(source);
}

static void redirect(struct server *from, const char *path, const char *to, int status)
{
	server_control(from,
	               "{\"faults\":[{\"fault\":\"redirect\",\"path\":\"/%s\",\"location\":\"%s\","
	               "\"status\":%d}]}",
	               path, to, status);
}

static void redirects_are_followed_and_where_they_lead_is_remembered(void **state)
{
	struct source *source;

	(void)state;
	fixture_image(http_server, "moved", MIB);
	fixture_image(http_server, "moved-1", MIB);
	fixture_image(http_server, "moved-2", MIB);
	redirect(http_server, "moved", "/moved-1", 301);
	redirect(http_server, "moved-1", "moved-2?signature=geheim", 307);
	source = fixture_pinned(http_server, "moved", NULL);
	for (int i = 0; i < 5; i++)
		fixture_expect_range(source, (uint64_t)i * 1000, 1000);
	assert_int_equal(server_count_requests(http_server, "moved", ""), 1);
	assert_int_equal(server_count_requests(http_server, "moved-1", ""), 1);
	assert_int_equal(server_count_requests(http_server, "moved-2", ""), 6);
	assert_int_equal(server_count_requests(http_server, "moved-2", "\"if-match\""), 5);
	server_control(http_server, "{\"clear\":true}");
	fixture_close(source);
}

static void ten_redirects_are_followed_and_eleven_are_not(void **state)
{
	char url[256];

	(void)state;
	for (int i = 0; i < 11; i++) {
		char from[16], to[16];

		(void)snprintf(from, sizeof(from), "hop-%d", i);
		(void)snprintf(to, sizeof(to), "/hop-%d", i + 1);
		fixture_image(http_server, from, MIB);
		redirect(http_server, from, to, 302);
	}
	fixture_image(http_server, "hop-11", MIB);
	for (int first = 0; first < 2; first++) {
		char name[16];
		struct source_probe probe;
		struct cf_error err = {0};
		struct source *source;

		(void)snprintf(name, sizeof(name), "hop-%d", first);
		source = fixture_open(server_url(http_server, name, url), NULL);
		if (first == 1) {
			assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), 0);
			free(probe.head);
		} else {
			assert_true(source->ops->probe(source, PATIENT_MS, &probe, &err) < 0);
		}
		fixture_close(source);
	}
	server_control(http_server, "{\"clear\":true}");
}

static void an_endless_location_is_not_followed(void **state)
{
	char url[256], to[9000];
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;

	(void)state;
	fixture_image(http_server, "far", MIB);
	(void)snprintf(to, sizeof(to), "/far-%08000d?%0300d", 0, 0);
	redirect(http_server, "far", to, 302);
	source = fixture_open(server_url(http_server, "far", url), NULL);
	assert_true(source->ops->probe(source, PATIENT_MS, &probe, &err) < 0);
	assert_non_null(strstr(err.text, "a URL of more than 8191 bytes"));
	fixture_close(source);
	server_control(http_server, "{\"clear\":true}");
}

static void a_remembered_url_that_refuses_sends_back_to_the_original_once(void **state)
{
	static const int statuses[] = {401, 403, 404, 410};

	(void)state;
	for (size_t i = 0; i < COUNT(statuses); i++) {
		char name[32], first[32], second[32];
		struct collector *c;
		struct source *source;

		(void)snprintf(name, sizeof(name), "signed-%d", statuses[i]);
		(void)snprintf(first, sizeof(first), "signed-%d-a", statuses[i]);
		(void)snprintf(second, sizeof(second), "signed-%d-b", statuses[i]);
		fixture_image(http_server, name, MIB);
		fixture_image(http_server, first, MIB);
		redirect(http_server, name, first, 302);
		source = fixture_pinned(http_server, name, NULL);
		fixture_expect_range(source, 0, 1000);
		/* The signature runs out; the original signs anew. */
		server_control(http_server,
		               "{\"clear\":true,\"faults\":[{\"fault\":\"status\",\"path\":\"/%s\","
		               "\"status\":%d}]}",
		               first, statuses[i]);
		redirect(http_server, name, second, 302);
		{
			char command[256];

			/* The same file, with the same validators. */
			(void)snprintf(command, sizeof(command), "ln '%s/%s' '%s/%s'",
			               server_folder(http_server), first,
			               server_folder(http_server), second);
			assert_int_equal(system(command), 0);
		}
		fixture_expect_range(source, 2000, 1000);
		fixture_expect_range(source, 3000, 1000);
		assert_int_equal(server_count_requests(http_server, first, ""), 3);
		assert_int_equal(server_count_requests(http_server, name, ""), 2);
		assert_int_equal(server_count_requests(http_server, second, ""), 2);
		/* When the original refuses too, that is the answer. */
		server_control(http_server,
		               "{\"clear\":true,\"faults\":[{\"fault\":\"status\",\"status\":%d}]}",
		               statuses[i]);
		c = collector_new(source, 0, 1000);
		assert_int_equal(collector_run(c), SOURCE_DENIED);
		collector_free(c);
		assert_int_equal(server_count_requests(http_server, second, ""), 3);
		assert_int_equal(server_count_requests(http_server, name, ""), 3);
		server_control(http_server, "{\"clear\":true}");
		fixture_close(source);
	}
}

static void a_remembered_url_that_fails_is_forgotten(void **state)
{
	const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	struct server *other = server_start(NULL);
	struct collector *c;
	struct source *source;
	char url[256], path[256];

	(void)state;
	fixture_image(http_server, "mirrored", MIB);
	fixture_image(other, "mirrored", MIB);
	/* Another version for certain: the clock of files is coarse. */
	(void)snprintf(path, sizeof(path), "%s/mirrored", server_folder(other));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	redirect(http_server, "mirrored", server_url(other, "mirrored", url), 302);
	source = fixture_pinned(http_server, "mirrored", NULL);
	fixture_expect_range(source, 0, 1000);
	assert_int_equal(server_count_requests(http_server, "mirrored", ""), 1);
	server_kill(other);
	server_control(http_server, "{\"clear\":true}");
	c = collector_new(source, 0, 1000);
	assert_int_equal(collector_run(c), SOURCE_FAILED);
	/* Asks the original, which answers itself now: as another version, and says so. */
	assert_int_equal(collector_run(c), SOURCE_CHANGED);
	collector_free(c);
	assert_int_equal(server_count_requests(http_server, "mirrored", ""), 2);
	fixture_close(source);
	server_stop(other);
}

static void a_second_opinion_is_asked_of_the_original(void **state)
{
	struct collector *c;
	struct source *source;

	(void)state;
	fixture_image(http_server, "opinion", MIB);
	fixture_image(http_server, "opinion-1", MIB);
	redirect(http_server, "opinion", "/opinion-1", 302);
	source = fixture_pinned(http_server, "opinion", NULL);
	c = collector_new(source, 0, 1000);
	c->req.fresh_connection = true;
	assert_int_equal(collector_run(c), SOURCE_OK);
	collector_free(c);
	assert_int_equal(server_count_requests(http_server, "opinion", ""), 2);
	server_control(http_server, "{\"clear\":true}");
	fixture_close(source);
}

static void a_login_in_the_url_is_used_and_not_shown(void **state)
{
	const struct server_options options = {.user = "user:geheim wort"};
	struct server *locked = server_start(&options);
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	char url[256];

	(void)state;
	fixture_image(locked, "login", MIB);
	(void)snprintf(url, sizeof(url), "http://user:geheim%%20wort@127.0.0.1:%d/login",
	               server_port(locked));
	source = fixture_open(url, NULL);
	(void)fixture_pin(source);
	fixture_expect_range(source, 0, MIB);
	assert_null(strstr(source->shown, "user"));
	assert_null(strstr(source->shown, "geheim"));
	fixture_close(source);
	(void)snprintf(url, sizeof(url), "http://user:falsch@127.0.0.1:%d/login",
	               server_port(locked));
	source = fixture_open(url, NULL);
	assert_true(source->ops->probe(source, PATIENT_MS, &probe, &err) < 0);
	assert_null(strstr(err.text, "user:"));
	assert_null(strstr(err.text, "falsch"));
	fixture_close(source);
	server_stop(locked);
}

static void a_login_does_not_go_to_another_origin(void **state)
{
	struct server *other = server_start(NULL);
	char url[256], to[256];
	struct source *source;

	(void)state;
	fixture_image(http_server, "secret", MIB);
	fixture_image(other, "secret", MIB);
	redirect(http_server, "secret", server_url(other, "secret", to), 302);
	(void)snprintf(url, sizeof(url), "http://user:geheim@127.0.0.1:%d/secret",
	               server_port(http_server));
	source = fixture_open(url, NULL);
	(void)fixture_pin(source);
	fixture_expect_range(source, 0, 1000);
	assert_int_equal(server_count_requests(http_server, "secret", "authorization"), 1);
	assert_int_equal(server_count_requests(other, "secret", ""), 2);
	assert_int_equal(server_count_requests(other, "secret", "authorization"), 0);
	/* Nor does the redirect's own userinfo go anywhere. */
	server_control(http_server, "{\"clear\":true}");
	(void)snprintf(to, sizeof(to), "http://evil:twin@127.0.0.1:%d/secret", server_port(other));
	redirect(http_server, "secret", to, 302);
	fixture_close(source);
	source = fixture_open(url, NULL);
	(void)fixture_pin(source);
	assert_int_equal(server_count_requests(other, "secret", ""), 3);
	assert_int_equal(server_count_requests(other, "secret", "authorization"), 0);
	fixture_close(source);
	server_control(http_server, "{\"clear\":true}");
	server_stop(other);
}

static bool machine_has_ipv6(void)
{
	const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
	                                     .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

	if (fd >= 0)
		(void)close(fd);
	return has;
}

static void ipv6_works(void **state)
{
	const struct server_options options = {.ipv6 = true};
	struct server *six;
	struct source *source;

	(void)state;
	if (!machine_has_ipv6())
		skip();
	six = server_start(&options);
	fixture_image(six, "six", MIB);
	source = fixture_pinned(six, "six", NULL);
	fixture_expect_range(source, 1, 100000);
	fixture_close(source);
	server_stop(six);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ranges_arrive_whole_and_right),
	        cmocka_unit_test(one_after_the_other_uses_one_connection),
	        cmocka_unit_test(a_fresh_connection_is_one),
	        cmocka_unit_test(never_more_connections_than_allowed),
	        cmocka_unit_test(foreground_goes_before_read_ahead_before_background),
	        cmocka_unit_test(redirects_are_followed_and_where_they_lead_is_remembered),
	        cmocka_unit_test(ten_redirects_are_followed_and_eleven_are_not),
	        cmocka_unit_test(an_endless_location_is_not_followed),
	        cmocka_unit_test(a_remembered_url_that_refuses_sends_back_to_the_original_once),
	        cmocka_unit_test(a_remembered_url_that_fails_is_forgotten),
	        cmocka_unit_test(a_second_opinion_is_asked_of_the_original),
	        cmocka_unit_test(a_login_in_the_url_is_used_and_not_shown),
	        cmocka_unit_test(a_login_does_not_go_to_another_origin),
	        cmocka_unit_test(ipv6_works),
	};

	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, fixture_start_server, fixture_stop_server);
}
