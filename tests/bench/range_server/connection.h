/*
 * One connection: takes requests off its socket and answers them one after the other.
 *
 * It is told when the socket is ready and when the time it asked for has come, and says what it
 * waits for then. One thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/range_server/image.h"
#include "tests/bench/range_server/pace.h"

struct server_settings {
	struct image image;
	double ttfb; /* seconds */
	double rate; /* bytes a second of each connection, 0: no limit */
	struct pace link;
	uint64_t bytes, requests, connections; /* of the image only, since the start */
	unsigned int open;
};

struct connection;

struct connection_wish {
	enum { CONNECTION_CLOSED, CONNECTION_SOCKET, CONNECTION_SLEEPS } waits_for;
	double until;  /* with CONNECTION_SLEEPS: CLOCK_MONOTONIC in seconds */
	double latest; /* until then it may be put off, but not by more than 10 ms, and neither the
	                  first nor the last byte is late */
};

/* Takes the socket over; NULL: no memory, and it is closed. */
struct connection *connection_new(int fd, struct server_settings *settings);
int connection_fd(const struct connection *connection);

/* It waits for its time: what happens at the socket does not matter until then. */
bool connection_sleeps(const struct connection *connection);

/* Goes on as far as it can at the time now. After CONNECTION_CLOSED it is gone. */
struct connection_wish connection_go_on(struct connection *connection, double now);
