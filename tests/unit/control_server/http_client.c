#include "http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
	struct reply *reply = user;
	size_t length = size * count;
	size_t room = sizeof(reply->body) - 1 - reply->length;

	memcpy(reply->body + reply->length, data, length < room ? length : room);
	reply->length += length < room ? length : room;
	return length;
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
	struct reply *reply = user;
	char line[128] = "";

	if (size * count < sizeof(line)) {
		memcpy(line, data, size * count);
		(void)sscanf(line, "Allow: %31s", reply->allow);
		(void)sscanf(line, "Content-Type: %63s", reply->type);
	}
	return size * count;
}

void http_request(const char *socket_path, const char *method, const char *path, const char *body,
                  struct reply *ret_reply)
{
	CURL *curl = curl_easy_init();
	char url[256];

	*ret_reply = (struct reply){0};
	(void)snprintf(url, sizeof(url), "http://localhost%s", path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_reply);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_reply->status);
	curl_easy_cleanup(curl);
}

static void *run_client(void *user)
{
	struct client *client = user;

	http_request(client->socket_path, client->method, client->path, client->body,
	             &client->reply);
	return NULL;
}

void client_start(struct client *client, const char *socket_path, const char *method,
                  const char *path, const char *body)
{
	*client = (struct client){
	        .socket_path = socket_path, .method = method, .path = path, .body = body};
	if (pthread_create(&client->thread, NULL, run_client, client) != 0)
		abort();
}

void client_join(struct client *client)
{
	(void)pthread_join(client->thread, NULL);
}

int raw_connect(const char *socket_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

long raw_request(const char *socket_path, const void *bytes, size_t length)
{
	char answer[8192] = "";
	size_t used = 0;
	ssize_t n;
	long status = 0;
	int fd = raw_connect(socket_path);

	for (const char *p = bytes; length; p += n, length -= n) {
		n = send(fd, p, length, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	(void)shutdown(fd, SHUT_WR);
	while (used < sizeof(answer) - 1 &&
	       (n = recv(fd, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
		used += n;
	(void)close(fd);
	(void)sscanf(answer, "HTTP/1.%*d %ld", &status);
	return status;
}
