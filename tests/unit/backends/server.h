/*
 * The misbehaving range server of tests/support, for unit tests: started once for a test program,
 * told what to do wrong through its control URL, ended with the program.
 *
 * A log line of one test never counts for another: each test serves a file of its own name, and
 * looks only at requests for that.
 */
#ifndef CLONEFS_TESTS_BACKENDS_SERVER_H
#define CLONEFS_TESTS_BACKENDS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct server;

struct server_options {
	const char *cert, *key; /* TLS */
	const char *user;       /* NAME:PASSWORD of a Basic login */
	bool ipv6;
};

/* Serves a new private folder. Returns when it listens. NULL options: plain HTTP. */
struct server *server_start(const struct server_options *options);
/* Ends the process, removes the folder. */
void server_stop(struct server *server);
/* Ends the process only, as a crash would: the port refuses from then on. */
void server_kill(struct server *server);

int server_port(const struct server *server);
const char *server_folder(const struct server *server);

/* "http://127.0.0.1:PORT/NAME" (https with TLS); printed into @buffer of 256 bytes. */
const char *server_url(const struct server *server, const char *name, char *buffer);

/* Posts printf-formatted JSON to the control URL. */
void server_control(struct server *server, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* A number of the state: "connections_ever", "in_flight", ... */
int64_t server_state(struct server *server, const char *name);
/* Waits until that number is @value. */
void server_wait_for_state(struct server *server, const char *name, int64_t value);

/* How many requests for /NAME arrived, and in how many of them @text occurs in the log line. */
unsigned int server_count_requests(struct server *server, const char *name, const char *text);

#endif
