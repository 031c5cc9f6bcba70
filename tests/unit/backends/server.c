#include "server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
	char folder[64];
	char root[80];
	char log[80];
	bool tls;
	bool ipv6;
	pid_t pid; /* 0: ended */
	int port;
	CURL *control;
};

/* In the child. execvp() wants strings it could write to. */
static void launch(struct server *s, const struct server_options *o, int out)
{
	char *argv[24] = {NULL};
	int n = 0;

	argv[n++] = strdup("python3");
	argv[n++] = strdup(RANGE_SERVER);
	argv[n++] = strdup("--with-parent");
	argv[n++] = strdup("--root");
	argv[n++] = s->root;
	argv[n++] = strdup("--log");
	argv[n++] = s->log;
	if (o && o->cert) {
		argv[n++] = strdup("--tls");
		argv[n++] = strdup(o->cert);
		argv[n++] = strdup(o->key);
	}
	if (o && o->user) {
		argv[n++] = strdup("--user");
		argv[n++] = strdup(o->user);
	}
	if (o && o->ipv6)
		argv[n++] = strdup("--ipv6");
	(void)dup2(out, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

static int read_port(int fd)
{
	char line[64] = "";
	size_t used = 0;
	int port = 0;

	while (used < sizeof(line) - 1 && !strchr(line, '\n')) {
		ssize_t n = read(fd, line + used, 1);

		if (n <= 0)
			break;
		used += (size_t)n;
	}
	if (sscanf(line, "PORT %d", &port) != 1)
		fail_msg("the range server did not start: '%s'", line);
	return port;
}

struct server *server_start(const struct server_options *options)
{
	struct server *s = calloc(1, sizeof(*s));
	int out[2];

	assert_non_null(s);
	(void)snprintf(s->folder, sizeof(s->folder), "/tmp/clonefs-backends-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	(void)snprintf(s->root, sizeof(s->root), "%s/www", s->folder);
	(void)snprintf(s->log, sizeof(s->log), "%s/log", s->folder);
	assert_int_equal(mkdir(s->root, 0755), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	s->tls = options && options->cert;
	s->ipv6 = options && options->ipv6;
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid)
		launch(s, options, out[1]);
	(void)close(out[1]);
	s->port = read_port(out[0]);
	(void)close(out[0]);
	s->control = curl_easy_init();
	assert_non_null(s->control);
	return s;
}

void server_kill(struct server *s)
{
	if (!s->pid)
		return;
	(void)kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	s->pid = 0;
}

void server_stop(struct server *s)
{
	char command[160];

	server_kill(s);
	curl_easy_cleanup(s->control);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", s->folder);
	assert_int_equal(system(command), 0);
	free(s);
}

int server_port(const struct server *s)
{
	return s->port;
}

const char *server_folder(const struct server *s)
{
	return s->root;
}

const char *server_url(const struct server *s, const char *name, char *buffer)
{
	(void)snprintf(buffer, 256, "%s://%s:%d/%s", s->tls ? "https" : "http",
	               s->ipv6 ? "[::1]" : "127.0.0.1", s->port, name);
	return buffer;
}

struct answer {
	char text[8192];
	size_t length;
};

static size_t on_answer(char *bytes, size_t size, size_t length, void *user)
{
	struct answer *answer = user;

	(void)size;
	if (answer->length + length >= sizeof(answer->text))
		return 0;
	memcpy(answer->text + answer->length, bytes, length);
	answer->length += length;
	answer->text[answer->length] = 0;
	return length;
}

/* @body: NULL for GET. */
static void exchange(struct server *s, const char *body, struct answer *answer)
{
	char url[256];
	long status = 0;
	CURLcode rc;

	memset(answer, 0, sizeof(*answer));
	curl_easy_reset(s->control);
	curl_easy_setopt(s->control, CURLOPT_URL, server_url(s, "_control", url));
	curl_easy_setopt(s->control, CURLOPT_PROXY, "");
	curl_easy_setopt(s->control, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->control, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(s->control, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(s->control, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(s->control, CURLOPT_WRITEDATA, answer);
	if (body)
		curl_easy_setopt(s->control, CURLOPT_POSTFIELDS, body);
	rc = curl_easy_perform(s->control);
	curl_easy_getinfo(s->control, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK || status != 200)
		fail_msg("control: %s, status %ld: %s", curl_easy_strerror(rc), status,
		         answer->text);
}

void server_control(struct server *s, const char *format, ...)
{
	struct answer answer;
	char body[16384];
	va_list args;

	va_start(args, format);
	assert_in_range(vsnprintf(body, sizeof(body), format, args), 1, sizeof(body) - 1);
	va_end(args);
	exchange(s, body, &answer);
}

int64_t server_state(struct server *s, const char *name)
{
	struct answer answer;
	char key[64];
	const char *found;

	exchange(s, NULL, &answer);
	(void)snprintf(key, sizeof(key), "\"%s\": ", name);
	found = strstr(answer.text, key);
	if (!found)
		fail_msg("the server's state has no %s", name);
	return strtoll(found + strlen(key), NULL, 10);
}

void server_wait_for_state(struct server *s, const char *name, int64_t value)
{
	while (server_state(s, name) != value)
		(void)usleep(2000);
}

unsigned int server_count_requests(struct server *s, const char *name, const char *text)
{
	FILE *log = fopen(s->log, "re");
	unsigned int count = 0;
	char path[128];
	char line[4096];

	assert_non_null(log);
	(void)snprintf(path, sizeof(path), "\"path\":\"/%s\"", name);
	while (fgets(line, sizeof(line), log))
		if (strstr(line, "\"event\":\"start\"") && strstr(line, path) && strstr(line, text))
			count++;
	(void)fclose(log);
	return count;
}
