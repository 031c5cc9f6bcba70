/* In which order the thread of the http source does what it could do, and what it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/http_pump.h"
#include "http_fixture.h"

#define LENGTH      1000
#define CONNECTIONS 3
/* The thread is held for so long only if it has not done what is expected of it. */
#define HELD_MS 10000

/* A server whose every byte the test writes. */
struct script {
	int listener;
	int fds[CONNECTIONS]; /* in the order of their requests */
	char url[64];
};

static void script_open(struct script *s)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, CONNECTIONS), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/d", ntohs(address.sin_port));
}

static void script_close(struct script *s)
{
	for (int i = 0; i < CONNECTIONS; i++)
		(void)close(s->fds[i]);
	(void)close(s->listener);
}

static void read_request(int fd)
{
	char text[4096] = "";
	size_t used = 0;

	while (!strstr(text, "\r\n\r\n")) {
		ssize_t n = read(fd, text + used, sizeof(text) - 1 - used);

		assert_true(n > 0);
		used += (size_t)n;
	}
}

/* The begin of the reply to @c, with so much of its body. */
static void reply(int fd, const struct collector *c, size_t body)
{
	unsigned long long offset = c->req.offset;
	char text[512 + LENGTH];
	int n;

	n = snprintf(text, sizeof(text),
	             "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %llu-%llu/%llu\r\n"
	             "Content-Length: %d\r\n\r\n",
	             offset, offset + LENGTH - 1, (unsigned long long)MIB, LENGTH);
	memset(text + n, 0, body);
	assert_int_equal(write(fd, text, (size_t)n + body), n + (ssize_t)body);
}

static void reply_on(int fd, size_t body)
{
	const char zeros[LENGTH] = "";

	assert_int_equal(write(fd, zeros, body), (ssize_t)body);
}

static void ignore_end(void *user, CURL *easy, CURLcode code)
{
	(void)user;
	(void)easy;
	(void)code;
}

/* Turns until the server has the request that it waits for. */
static void run_until_asked(struct http_pump *pump, struct pollfd *server)
{
	while (poll(server, 1, 0) == 0) {
		http_pump_run_timer(pump);
		http_pump_wait(pump, 0);
		while (http_pump_run_socket(pump))
			;
	}
}

static CURL *ask_on_a_new_connection(struct http_pump *pump, struct script *s, int *ret_fd)
{
	struct pollfd server = {.fd = s->listener, .events = POLLIN};
	CURL *easy = curl_easy_init();

	assert_non_null(easy);
	assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, s->url), CURLE_OK);
	assert_int_equal(http_pump_add(pump, easy), 0);
	run_until_asked(pump, &server);
	*ret_fd = server.fd = accept(s->listener, NULL, NULL);
	run_until_asked(pump, &server);
	return easy;
}

/* Its number may be that of another connection by then. */
static void what_was_found_of_a_closed_socket_is_forgotten(void **state)
{
	struct http_pump pump;
	struct script s;
	CURL *easy[2];
	int fds[2];

	(void)state;
	script_open(&s);
	assert_int_equal(http_pump_init(&pump, ignore_end, NULL), 0);
	for (int i = 0; i < 2; i++)
		easy[i] = ask_on_a_new_connection(&pump, &s, &fds[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(write(fds[i], "HTTP/1.1 ", 9), 9);
	http_pump_wait(&pump, UINT64_MAX);
	while (pump.nr_events < 2)
		http_pump_wait(&pump, 0);
	http_pump_remove(&pump, easy[1]);
	assert_true(http_pump_run_socket(&pump));
	assert_false(http_pump_run_socket(&pump));
	http_pump_remove(&pump, easy[0]);
	for (int i = 0; i < 2; i++) {
		curl_easy_cleanup(easy[i]);
		(void)close(fds[i]);
	}
	http_pump_fini(&pump);
	(void)close(s.listener);
}

static sem_t held, let_go, looked;

static void hold_the_thread(struct collector *c)
{
	if (c->length == LENGTH)
		return;
	(void)sem_post(&held);
	(void)sem_wait(&let_go);
}

static struct script script;
static atomic_int nr_served;
static atomic_bool was_asked;

/* The second to be served looks whether the server has been asked for something meanwhile. */
static void look_at_the_server(struct collector *c)
{
	struct pollfd polled[CONNECTIONS];

	if (c->length < LENGTH || atomic_fetch_add(&nr_served, 1) != 1)
		return;
	for (int i = 0; i < CONNECTIONS; i++)
		polled[i] = (struct pollfd){.fd = script.fds[i], .events = POLLIN};
	atomic_store(&was_asked, poll(polled, CONNECTIONS, HELD_MS) > 0);
	(void)sem_post(&looked);
}

static int connection_with_a_request(void)
{
	struct pollfd polled[CONNECTIONS];

	for (int i = 0; i < CONNECTIONS; i++)
		polled[i] = (struct pollfd){.fd = script.fds[i], .events = POLLIN};
	assert_true(poll(polled, CONNECTIONS, -1) > 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		if (polled[i].revents)
			return script.fds[i];
	}
	return -1;
}

static void expect_ok(struct collector *c)
{
	assert_int_equal(collector_wait(c), SOURCE_OK);
	assert_int_equal(c->length, LENGTH);
	collector_free(c);
}

static void what_may_begin_is_asked_for_before_other_replies_are_read(void **state)
{
	const struct source_options options = {.max_connections = CONNECTIONS,
	                                       .stall_ms = PATIENT_MS};
	const struct source_identity identity = {.size = MIB};
	struct collector *c[CONNECTIONS + 1];
	struct source *source;
	int fd;

	(void)state;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&let_go, 0, 0);
	(void)sem_init(&looked, 0, 0);
	script_open(&script);
	source = fixture_open(script.url, &options);
	source->ops->pin(source, &identity);
	for (unsigned int i = 0; i <= CONNECTIONS; i++) {
		c[i] = collector_new(source, i * LENGTH, LENGTH);
		c[i]->on_data = i == 0 ? hold_the_thread : look_at_the_server;
		collector_submit(c[i]);
		if (i == CONNECTIONS) /* there is none for the last */
			break;
		script.fds[i] = accept(script.listener, NULL, NULL);
		read_request(script.fds[i]);
	}
	/* Two are ready when the thread looks again. */
	reply(script.fds[0], c[0], LENGTH / 2);
	(void)sem_wait(&held);
	reply(script.fds[1], c[1], LENGTH);
	reply(script.fds[2], c[2], LENGTH);
	(void)sem_post(&let_go);
	(void)sem_wait(&looked);
	fd = connection_with_a_request();
	read_request(fd);
	reply(fd, c[CONNECTIONS], LENGTH);
	reply_on(script.fds[0], LENGTH / 2);
	for (int i = 0; i <= CONNECTIONS; i++)
		expect_ok(c[i]);
	assert_true(was_asked);
	fixture_close(source);
	script_close(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_may_begin_is_asked_for_before_other_replies_are_read),
	        cmocka_unit_test(what_was_found_of_a_closed_socket_is_forgotten),
	};

	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
