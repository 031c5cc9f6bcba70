/*
 * When bytes may leave: a connection of limited bandwidth, and a link that all share. The link
 * serves its connections chunk by chunk in the order they came, as a router with fair queues would.
 */
#pragma once

#include <stdint.h>

#define PACE_CHUNK (64u * 1024u)

struct pace {
	double rate; /* bytes a second, 0: no limit */
	double free_at;
};

/* An answer begins at that time: a chunk of it goes out then, what follows at the rate. A
 * connection that was idle before has saved nothing up. */
void pace_begin(struct pace *connection, double at);

/* When length bytes that are given to both at the time now have arrived; takes that time of both.
 */
double pace_take(struct pace *connection, struct pace *link, double now, uint64_t length);

/* When length more bytes will have arrived, if nothing holds them up; 0 without a limit. */
double pace_end(const struct pace *connection, uint64_t length);
