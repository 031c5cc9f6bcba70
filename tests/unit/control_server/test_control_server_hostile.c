#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/control/message.h"
#include "fake_clone.h"
#include "http_client.h"

#define LONG_MS UINT64_C(600000)

static void assert_alive(struct fake_clone *clone)
{
	struct reply reply;

	http_request(clone->socket_path, "GET", "/v1/status", NULL, &reply);
	assert_int_equal(reply.status, 200);
}

/* What is no request, or half of one, from a client that hangs up behind it. */
static void garbage_is_forgotten(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} rows[] = {
#define ROW(text) {text, sizeof(text) - 1}
	        ROW(""),
	        ROW("\r\n\r\n\r\n"),
	        ROW("GET"),
	        ROW("GET /v1/status"),
	        ROW("\0\0\0\0\r\n\r\n"),
	        ROW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	        ROW("POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}"),
	        ROW("POST /v1/flush HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
	            "chunked\r\n\r\n2\r\n"),
#undef ROW
	};
	struct fake_clone clone;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = raw_connect(clone.socket_path);

		assert_int_equal(send(fd, rows[i].bytes, rows[i].length, MSG_NOSIGNAL),
		                 rows[i].length);
		(void)close(fd);
		assert_alive(&clone);
	}
	assert_int_equal(clone.nr_flushes + clone.nr_pauses, 0);
	fake_clone_end(&clone);
}

/* By libmicrohttpd or by us, with a status or by closing: never done, never the server's end. */
static void wrong_requests_are_refused(void **state)
{
	static const char *const rows[] = {
	        "GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n",
	        "GET /v1/status/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	        "GET /v1/../v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n{",
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\n"
	        "Content-Length: 99999999999999999999999999\r\n\r\n",
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	        "ffffffffffffffffff\r\n",
	};
	struct fake_clone clone;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		long status = raw_request(clone.socket_path, rows[i], strlen(rows[i]));

		assert_true(status == 0 || (status >= 400 && status < 600));
		assert_alive(&clone);
	}
	assert_int_equal(clone.nr_flushes + clone.nr_pauses, 0);
	fake_clone_end(&clone);
}

static void big_bodies_are_refused(void **state)
{
	static const size_t sizes[] = {CONTROL_REQUEST_MAX, CONTROL_REQUEST_MAX + 1,
	                               10 * CONTROL_REQUEST_MAX, (size_t)8 << 20};
	struct fake_clone clone;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *body = calloc(1, sizes[i] + 1);
		struct reply reply;

		memset(body, ' ', sizes[i]);
		memcpy(body, "{}", 2);
		http_request(clone.socket_path, "POST", "/v1/resume", body, &reply);
		if (i == 0)
			assert_int_equal(reply.status, 200);
		else
			assert_true(reply.status == 413 || reply.status == 0);
		free(body);
		assert_alive(&clone);
	}
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 1);
	fake_clone_end(&clone);
}

/* Without a Content-Length nobody knows how much will come. */
static void endless_chunked_body_is_cut_off(void **state)
{
	static const char head[] =
	        "POST /v1/resume HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct fake_clone clone;
	char chunk[1024 + 8];
	int fd;
	int sent = 0;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	fd = raw_connect(clone.socket_path);
	assert_int_equal(write(fd, head, sizeof(head) - 1), sizeof(head) - 1);
	memset(chunk, ' ', sizeof(chunk));
	memcpy(chunk, "400\r\n", 5);
	memcpy(chunk + 5 + 1024, "\r\n", 2);
	/* 64 MiB: far more than any buffer on the way holds. */
	while (sent < 65536 && send(fd, chunk, 5 + 1024 + 2, MSG_NOSIGNAL) == 5 + 1024 + 2)
		sent++;
	assert_true(sent < 65536);
	(void)close(fd);
	assert_alive(&clone);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 0);
	fake_clone_end(&clone);
}

static void too_big_chunked_body_gets_its_413(void **state)
{
	static const char head[] = "POST /v1/resume HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	                           "Transfer-Encoding: chunked\r\n\r\n5000\r\n";
	static const char tail[] = "\r\n0\r\n\r\n";
	char request[sizeof(head) + 0x5000 + sizeof(tail)];
	struct fake_clone clone;
	size_t length = 0;

	(void)state;
	memcpy(request, head, sizeof(head) - 1);
	length += sizeof(head) - 1;
	memset(request + length, ' ', 0x5000);
	length += 0x5000;
	memcpy(request + length, tail, sizeof(tail) - 1);
	length += sizeof(tail) - 1;
	fake_clone_start(&clone, LONG_MS);
	assert_int_equal(raw_request(clone.socket_path, request, length), 413);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 0);
	fake_clone_end(&clone);
}

static void endless_headers_are_refused(void **state)
{
	size_t size = (size_t)1 << 20;
	char *request = malloc(size);
	size_t used = (size_t)snprintf(request, size, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ");
	struct fake_clone clone;

	(void)state;
	memset(request + used, 'a', size - used);
	fake_clone_start(&clone, LONG_MS);
	assert_int_not_equal(raw_request(clone.socket_path, request, size), 200);
	assert_alive(&clone);
	fake_clone_end(&clone);
	free(request);
}

static void idle_connections_do_not_stop_the_server_from_ending(void **state)
{
	enum { NR = 40 };
	struct fake_clone clone;
	int fds[NR];

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (int i = 0; i < NR; i++) {
		fds[i] = raw_connect(clone.socket_path);
		assert_true(fds[i] >= 0);
		assert_int_equal(write(fds[i], "POST /v1/fl", i % 12), i % 12);
	}
	assert_alive(&clone);
	fake_clone_end(&clone);
	for (int i = 0; i < NR; i++)
		(void)close(fds[i]);
}

/* The socket's mode keeps others out; behind it the peer's credentials are asked all the same. */
static void other_users_are_refused(void **state)
{
	struct fake_clone clone;
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	fake_clone_start(&clone, LONG_MS);
	assert_int_equal(chmod(clone.folder, 0755), 0);
	assert_int_equal(chmod(clone.socket_path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		static const char text[] = "POST /v1/resume HTTP/1.1\r\nHost: x\r\n"
		                           "Connection: close\r\nContent-Length: 0\r\n\r\n";
		long got = setgid(65534) || setuid(65534)
		                   ? 0
		                   : raw_request(clone.socket_path, text, sizeof(text) - 1);

		_exit(got == 403 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 0);
	fake_clone_end(&clone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(garbage_is_forgotten),
	        cmocka_unit_test(wrong_requests_are_refused),
	        cmocka_unit_test(big_bodies_are_refused),
	        cmocka_unit_test(endless_chunked_body_is_cut_off),
	        cmocka_unit_test(too_big_chunked_body_gets_its_413),
	        cmocka_unit_test(endless_headers_are_refused),
	        cmocka_unit_test(idle_connections_do_not_stop_the_server_from_ending),
	        cmocka_unit_test(other_users_are_refused),
	};
	int failed;

	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
