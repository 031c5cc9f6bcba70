/* Requests that do not run through: cancelled in every phase, paused, closed, all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void cancel(struct collector *c)
{
	c->source->ops->cancel(c->source, &c->req);
}

static void expect_cancelled(struct collector *c)
{
	cancel(c);
	assert_int_equal(collector_wait(c), SOURCE_CANCELLED);
	collector_free(c);
}

static void nap_ms(long ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&ts, NULL);
}

static void cancelled_while_it_waits_for_a_connection(void **state)
{
	const struct source_options one = {.max_connections = 1, .stall_ms = PATIENT_MS};
	struct collector *first, *second;
	struct source *source;

	(void)state;
	source = fixture_serve("queued", MIB, &one);
	server_control(http_server, "{\"paused\":true}");
	first = collector_new(source, 0, 1000);
	second = collector_new(source, 1000, 1000);
	collector_submit(first);
	server_wait_for_state(http_server, "in_flight", 1);
	collector_submit(second);
	expect_cancelled(second);
	assert_int_equal(server_state(http_server, "in_flight"), 1);
	server_control(http_server, "{\"paused\":false}");
	assert_int_equal(collector_wait(first), SOURCE_OK);
	collector_free(first);
	assert_int_equal(server_count_requests(http_server, "queued", ""), 2);
	fixture_close(source);
}

static void cancelled_at_once(void **state)
{
	struct source *source;

	(void)state;
	source = fixture_serve("at-once", MIB, NULL);
	for (int i = 0; i < 100; i++) {
		struct collector *c = collector_new(source, 0, 1000);

		collector_submit(c);
		cancel(c);
		assert_true((1u << collector_wait(c)) & (1u << SOURCE_CANCELLED | 1u << SOURCE_OK));
		collector_free(c);
	}
	fixture_expect_range(source, 0, MIB);
	fixture_close(source);
}

static void cancelled_before_the_first_byte(void **state)
{
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("waiting", MIB, NULL);
	server_control(http_server,
	               "{\"faults\":[{\"fault\":\"no_answer\",\"path\":\"/waiting\"}]}");
	c = collector_new(source, 0, 1000);
	collector_submit(c);
	server_wait_for_state(http_server, "held", 1);
	expect_cancelled(c);
	/* The connection of an answer that nobody waits for is closed. */
	server_wait_for_state(http_server, "held", 0);
	server_control(http_server, "{\"clear\":true}");
	fixture_expect_range(source, 0, 1000);
	fixture_close(source);
}

static void cancelled_inside_the_body(void **state)
{
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("body", MIB, NULL);
	server_control(http_server,
	               "{\"faults\":[{\"fault\":\"stall\",\"path\":\"/body\",\"at\":500000}]}");
	c = collector_new(source, 0, MIB);
	collector_submit(c);
	collector_wait_for_bytes(c, 500000);
	cancel(c);
	assert_int_equal(collector_wait(c), SOURCE_CANCELLED);
	assert_int_equal(c->length, 500000);
	collector_assert_pattern(c, 1);
	collector_free(c);
	server_control(http_server, "{\"clear\":true,\"release\":true}");
	fixture_expect_range(source, 0, MIB);
	fixture_close(source);
}

static void cancelled_while_paused(void **state)
{
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("paused", MIB, NULL);
	c = collector_new(source, 0, MIB);
	c->refuse_at = 100000;
	collector_submit(c);
	collector_wait_for_refusals(c, 1);
	expect_cancelled(c);
	fixture_expect_range(source, 0, MIB);
	fixture_close(source);
}

static void cancel_from_within(struct collector *c)
{
	cancel(c);
}

static void cancelled_from_within_the_sink(void **state)
{
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("within", MIB, NULL);
	c = collector_new(source, 0, MIB);
	c->refuse_at = 1;
	c->on_data = cancel_from_within;
	assert_int_equal(collector_run(c), SOURCE_CANCELLED);
	collector_free(c);
	fixture_close(source);
}

/* A listening socket whose queue is full: further connections are neither made nor refused. */
static int deaf_listener(int *clients, size_t nr_clients)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	for (size_t i = 0; i < nr_clients; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&address, sizeof(address));
	}
	return fd;
}

static void cancelled_while_it_connects(void **state)
{
	const struct source_identity identity = {.size = MIB};
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	struct collector *c;
	struct source *source;
	int clients[8], fd;
	char url[64];

	(void)state;
	fd = deaf_listener(clients, COUNT(clients));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/d", ntohs(address.sin_port));
	source = fixture_open(url, NULL);
	source->ops->pin(source, &identity);
	c = collector_new(source, 0, 1000);
	collector_submit(c);
	nap_ms(50);
	expect_cancelled(c);
	fixture_close(source);
	for (size_t i = 0; i < COUNT(clients); i++)
		(void)close(clients[i]);
	(void)close(fd);
}

static void a_server_that_takes_no_connections_has_failed_in_time(void **state)
{
	const struct source_options hasty = {.stall_ms = 300};
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	int clients[8], fd;
	char url[64];

	(void)state;
	fd = deaf_listener(clients, COUNT(clients));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/d", ntohs(address.sin_port));
	source = fixture_open(url, &hasty);
	assert_int_equal(source->ops->probe(source, PATIENT_MS, &probe, &err), -EAGAIN);
	assert_true(strstr(err.text, "does not answer") || strstr(err.text, "nothing for 300 ms"));
	fixture_close(source);
	for (size_t i = 0; i < COUNT(clients); i++)
		(void)close(clients[i]);
	(void)close(fd);
}

static void a_pause_keeps_every_byte_in_its_place(void **state)
{
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("pauses", 2 * MIB, NULL);
	c = collector_new(source, 12345, 2 * MIB - 12345);
	c->refuse_at = 1;
	collector_submit(c);
	for (unsigned int i = 1; i <= 40; i++) {
		collector_wait_for_refusals(c, i);
		pthread_mutex_lock(&c->lock);
		assert_int_equal(c->nr_done, 0);
		c->refuse_at = c->length + 30011;
		pthread_mutex_unlock(&c->lock);
		source->ops->resume(source, &c->req);
	}
	collector_accept(c);
	assert_int_equal(collector_wait(c), SOURCE_OK);
	assert_int_equal(c->length, c->req.length);
	collector_assert_pattern(c, 1);
	collector_free(c);
	fixture_close(source);
}

static void a_pause_is_no_stall(void **state)
{
	const struct source_limits hasty = {.max_connections = 1, .stall_ms = 100};
	const struct source_limits patient = {.max_connections = 1, .stall_ms = PATIENT_MS};
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("pause-long", MIB, NULL);
	c = collector_new(source, 0, MIB);
	c->refuse_at = 1000;
	collector_submit(c);
	collector_wait_for_refusals(c, 1);
	source->ops->configure(source, &hasty);
	nap_ms(400);
	pthread_mutex_lock(&c->lock);
	assert_int_equal(c->nr_done, 0);
	pthread_mutex_unlock(&c->lock);
	source->ops->configure(source, &patient);
	collector_accept(c);
	assert_int_equal(collector_wait(c), SOURCE_OK);
	collector_assert_pattern(c, 1);
	collector_free(c);
	fixture_close(source);
}

static void a_paused_request_stops_the_server(void **state)
{
	struct source *source;
	struct collector *c;
	int64_t before;

	(void)state;
	source = fixture_serve("pressure", 64 * MIB, NULL);
	server_wait_for_state(http_server, "in_flight", 0);
	before = server_state(http_server, "bytes_sent");
	c = collector_new(source, 0, 64 * MIB);
	c->refuse_at = 1;
	collector_submit(c);
	collector_wait_for_refusals(c, 1);
	/* Time to send all of it, if anybody took it. */
	nap_ms(300);
	expect_cancelled(c);
	server_wait_for_state(http_server, "in_flight", 0);
	/* What the socket buffers of both sides hold, and not the whole. */
	assert_in_range(server_state(http_server, "bytes_sent") - before, 1, 32 * MIB);
	fixture_close(source);
}

static void resume_is_harmless_at_any_time(void **state)
{
	const struct source_options one = {.max_connections = 1, .stall_ms = PATIENT_MS};
	struct collector *first, *second;
	struct source *source;

	(void)state;
	source = fixture_serve("harmless", MIB, &one);
	server_control(http_server, "{\"paused\":true}");
	first = collector_new(source, 0, 1000);
	second = collector_new(source, 0, 1000);
	collector_submit(first);
	source->ops->resume(source, &first->req);
	collector_submit(second);
	source->ops->resume(source, &second->req);
	server_wait_for_state(http_server, "in_flight", 1);
	source->ops->resume(source, &first->req);
	source->ops->resume(source, &second->req);
	server_control(http_server, "{\"paused\":false}");
	assert_int_equal(collector_wait(first), SOURCE_OK);
	assert_int_equal(collector_wait(second), SOURCE_OK);
	source->ops->resume(source, &first->req);
	source->ops->cancel(source, &first->req);
	collector_free(first);
	collector_free(second);
	fixture_close(source);
}

/* What an engine does that retries at once; c->next is waited for and freed by the test. */
static void submit_another(struct collector *c)
{
	c->next = collector_new(c->source, 0, 1000);
	collector_submit(c->next);
}

static void close_ends_requests_of_every_phase(void **state)
{
	const struct source_options few = {.max_connections = 4, .stall_ms = PATIENT_MS};
	struct collector *c[12];
	struct source *source;

	(void)state;
	fixture_image(http_server, "closing", MIB);
	for (int round = 0; round < 5; round++) {
		source = fixture_pinned(http_server, "closing", &few);
		server_control(http_server, "{\"clear\":true,\"faults\":["
		                            "{\"fault\":\"stall\",\"path\":\"/closing\",\"at\":100,"
		                            "\"overlaps\":[0,0]},"
		                            "{\"fault\":\"no_answer\",\"path\":\"/closing\","
		                            "\"overlaps\":[1000,1000]}]}");
		for (size_t i = 0; i < COUNT(c); i++) {
			c[i] = collector_new(source, i % 3 * 1000, i % 3 == 2 ? 500000 : 900);
			c[i]->req.class = (unsigned int)i / 4;
			if (i % 3 == 2)
				c[i]->refuse_at = 1;
			collector_submit(c[i]);
		}
		if (round)
			collector_wait_for_bytes(c[0], 1);
		fixture_close(source);
		for (size_t i = 0; i < COUNT(c); i++) {
			pthread_mutex_lock(&c[i]->lock);
			assert_int_equal(c[i]->nr_done, 1);
			assert_int_equal(c[i]->outcome.result, SOURCE_CANCELLED);
			pthread_mutex_unlock(&c[i]->lock);
			collector_free(c[i]);
		}
		server_control(http_server, "{\"clear\":true,\"release\":true}");
	}
}

static void close_ends_what_is_submitted_meanwhile(void **state)
{
	struct collector *first;
	struct source *source;

	(void)state;
	source = fixture_serve("again", MIB, NULL);
	server_control(http_server, "{\"faults\":[{\"fault\":\"no_answer\",\"path\":\"/again\"}]}");
	first = collector_new(source, 0, 1000);
	first->on_done = submit_another;
	collector_submit(first);
	server_wait_for_state(http_server, "held", 1);
	fixture_close(source);
	assert_int_equal(first->nr_done, 1);
	assert_int_equal(first->outcome.result, SOURCE_CANCELLED);
	assert_int_equal(first->next->nr_done, 1);
	assert_int_equal(first->next->outcome.result, SOURCE_CANCELLED);
	collector_free(first->next);
	collector_free(first);
	server_control(http_server, "{\"clear\":true}");
}

#define STORM_THREADS  4
#define STORM_REQUESTS 150

struct storm {
	struct source *source;
	unsigned int seed;
	unsigned int nr_ok;
};

/* Submits, cancels, pauses and resumes by a seed; what arrives must be right. */
static void *storm_main(void *user)
{
	struct storm *storm = user;

	for (int i = 0; i < STORM_REQUESTS; i++) {
		unsigned int dice = (unsigned int)rand_r(&storm->seed);
		struct collector *c =
		        collector_new(storm->source, dice % 1000 * 1000, 1 + dice % 100000);

		c->req.class = dice % 3;
		c->req.fresh_connection = dice % 7 == 0;
		c->refuse_at = dice % 5 == 0 ? 1 + dice % 50000 : 0;
		collector_submit(c);
		if (dice % 4 == 0)
			cancel(c);
		if (c->refuse_at)
			collector_wait_for_refusals(c, 1);
		if (dice % 8 == 1)
			cancel(c);
		collector_accept(c);
		switch (collector_wait(c)) {
		case SOURCE_OK:
			assert_int_equal(c->length, c->req.length);
			storm->nr_ok++;
			break;
		case SOURCE_CANCELLED:
			assert_true(dice % 4 == 0 || dice % 8 == 1);
			break;
		default:
			fail_msg("%s", c->outcome.error.text);
		}
		collector_assert_pattern(c, 1);
		collector_free(c);
	}
	return NULL;
}

static void many_threads_may_call_at_once(void **state)
{
	const struct source_options few = {.max_connections = 6, .stall_ms = PATIENT_MS};
	pthread_t threads[STORM_THREADS];
	struct storm storms[STORM_THREADS];
	struct source *source;

	(void)state;
	source = fixture_serve("storm", 2 * MIB, &few);
	for (unsigned int i = 0; i < STORM_THREADS; i++) {
		storms[i] = (struct storm){.source = source, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, storm_main, &storms[i]), 0);
	}
	for (int i = 0; i < STORM_THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_true(storms[i].nr_ok > STORM_REQUESTS / 4);
	}
	fixture_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(cancelled_while_it_waits_for_a_connection),
	        cmocka_unit_test(cancelled_at_once),
	        cmocka_unit_test(cancelled_before_the_first_byte),
	        cmocka_unit_test(cancelled_inside_the_body),
	        cmocka_unit_test(cancelled_while_paused),
	        cmocka_unit_test(cancelled_from_within_the_sink),
	        cmocka_unit_test(cancelled_while_it_connects),
	        cmocka_unit_test(a_server_that_takes_no_connections_has_failed_in_time),
	        cmocka_unit_test(a_pause_keeps_every_byte_in_its_place),
	        cmocka_unit_test(a_pause_is_no_stall),
	        cmocka_unit_test(a_paused_request_stops_the_server),
	        cmocka_unit_test(resume_is_harmless_at_any_time),
	        cmocka_unit_test(close_ends_requests_of_every_phase),
	        cmocka_unit_test(close_ends_what_is_submitted_meanwhile),
	        cmocka_unit_test(many_threads_may_call_at_once),
	};

	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, fixture_start_server, fixture_stop_server);
}
