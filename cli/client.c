#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/control/message.h"

struct answer {
	char *text; /* owned */
	size_t length;
	bool too_long;
};

static size_t take_bytes(char *data, size_t size, size_t count, void *user)
{
	struct answer *answer = user;
	size_t length = size * count;
	char *text;

	if (length > CONTROL_RESPONSE_MAX - answer->length) {
		answer->too_long = true;
		return 0;
	}
	text = realloc(answer->text, answer->length + length + 1);
	if (!text)
		return 0;
	memcpy(text + answer->length, data, length);
	answer->text = text;
	answer->length += length;
	return length;
}

/*
 * A socket address has 108 bytes, also in curl: a longer path is reached through its folder's
 * descriptor, which *@folder keeps open.
 */
static int short_path(const char *path, char *buf, size_t buf_size, int *folder)
{
	struct sockaddr_un address;
	CF_AUTO_FREE char *name = NULL;
	const char *slash = strrchr(path, '/');
	int n;

	if (strlen(path) < sizeof(address.sun_path) || !slash) {
		n = snprintf(buf, buf_size, "%s", path);
	} else {
		name = strndup(path, (size_t)(slash - path) + 1);
		if (!name)
			return -ENOMEM;
		*folder = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (*folder < 0)
			return -errno;
		n = snprintf(buf, buf_size, "/proc/self/fd/%d%s", *folder, slash);
	}
	return n < (int)sizeof(address.sun_path) ? 0 : -ENAMETOOLONG;
}

static int transfer_error(CURL *curl, CURLcode code, const struct answer *answer,
                          const char *socket_path, struct cf_error *err)
{
	long os_errno = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		if (os_errno == EACCES || os_errno == EPERM)
			return cf_error_set(
			        err, -EACCES,
			        "socket '%s': only root and the clone's user may use it",
			        socket_path);
		return cf_error_set(err, -ECONNREFUSED, "socket '%s': no clone answers there",
		                    socket_path);
	case CURLE_OPERATION_TIMEDOUT:
		return cf_error_set(err, -ETIMEDOUT, "socket '%s': the clone does not answer",
		                    socket_path);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return cf_error_set(err, -ECONNREFUSED,
		                    "socket '%s': the clone ended while it was asked", socket_path);
	case CURLE_OUT_OF_MEMORY:
		return cf_error_set(err, -ENOMEM, "no memory");
	default:
		return cf_error_set(err, -EPROTO, "socket '%s': %s", socket_path,
		                    answer->too_long ? "the answer has no end"
		                                     : curl_easy_strerror(code));
	}
}

static int read_answer(const struct answer *answer, long status, const char *socket_path,
                       json_t **ret_object, struct cf_error *err)
{
	const char *sentence;
	json_t *object = NULL;
	int r = control_parse_object(answer->text ? answer->text : "", answer->length, &object,
	                             NULL);

	if (r == 0 && status == 200) {
		*ret_object = object;
		return 0;
	}
	sentence = control_error_sentence(object);
	if (sentence)
		r = cf_error_set(err, -EREMOTEIO, "%s", sentence);
	else
		r = cf_error_set(err, -EPROTO, "socket '%s': not an answer of a clone (status %ld)",
		                 socket_path, status);
	json_decref(object);
	return r;
}

static CURLcode perform(CURL *curl, const char *socket, const char *url, const char *body,
                        uint64_t timeout_ms, struct answer *answer)
{
	CURLcode code = CURLE_OK;

	code |= curl_easy_setopt(curl, CURLOPT_URL, url);
	code |= curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	code |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
	code |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	code |= curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	code |= curl_easy_setopt(curl, CURLOPT_USERAGENT, "clonectl/" CLONEFS_VERSION);
	code |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	code |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	code |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (body) {
		code |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		code |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	}
	return code == CURLE_OK ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
}

int client_call(const char *socket_path, const char *path, const struct json_t *body,
                uint64_t timeout_ms, struct json_t **ret_object, struct cf_error *err)
{
	CF_AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CF_AUTO_CLOSE int folder = -1;
	struct answer answer = {0};
	CURL *curl = curl_easy_init();
	char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	char url[128];
	long status = 0;
	CURLcode code;
	int r;

	if (!curl || (body && !text)) {
		r = cf_error_set(err, -ENOMEM, "no memory");
		goto out;
	}
	r = short_path(socket_path, socket, sizeof(socket), &folder);
	if (r < 0) {
		(void)cf_error_errno(err, r, "socket '%s'", socket_path);
		goto out;
	}
	(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	code = perform(curl, socket, url, text, timeout_ms, &answer);
	if (code != CURLE_OK) {
		r = transfer_error(curl, code, &answer, socket_path, err);
		goto out;
	}
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	r = read_answer(&answer, status, socket_path, ret_object, err);
out:
	curl_easy_cleanup(curl);
	free(answer.text);
	return r;
}

int client_status(const char *socket_path, struct control_status *ret_status, struct cf_error *err)
{
	json_t *object;
	int r = client_call(socket_path, "/v1/status", NULL, CLIENT_TIMEOUT_MS, &object, err);

	if (r < 0)
		return r;
	r = control_status_from_json(object, ret_status, err);
	if (r < 0 && err)
		(void)cf_error_prefix(err, "socket '%s'", socket_path);
	json_decref(object);
	return r < 0 ? -EPROTO : 0;
}
