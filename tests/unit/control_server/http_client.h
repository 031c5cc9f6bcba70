/* Clients of the control server under test: curl, and a bare socket for what curl never says. */
#ifndef CLONEFS_TEST_HTTP_CLIENT_H
#define CLONEFS_TEST_HTTP_CLIENT_H

#include <pthread.h>
#include <stddef.h>

struct reply {
	long status; /* 0: no answer */
	char body[4096];
	size_t length;
	char allow[32]; /* the header */
	char type[64];
};

/* @body NULL: a GET; else sent with @method. */
void http_request(const char *socket_path, const char *method, const char *path, const char *body,
                  struct reply *ret_reply);

/* The same on a thread of its own. */
struct client {
	pthread_t thread;
	const char *socket_path, *method, *path, *body;
	struct reply reply;
};

void client_start(struct client *client, const char *socket_path, const char *method,
                  const char *path, const char *body);
void client_join(struct client *client);

/* Sends @bytes as they are and reads until the server closes; the status, 0: none. */
long raw_request(const char *socket_path, const void *bytes, size_t length);

int raw_connect(const char *socket_path);

#endif
