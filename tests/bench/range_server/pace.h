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

/* When length bytes that are given to both at the time now, and should have been when they were
 * due, have arrived, which may be before now; takes that time of both. Lateness is caught up with,
 * up to 10 ms of it and on a connection a chunk. Neither has saved anything up while it was idle;
 * but the time to the first byte is the connection's: one that was idle until then, for as long as
 * a chunk takes at least, has the first chunk of an answer when it is due. */
double pace_take(struct pace *connection, struct pace *link, double due, double now,
                 uint64_t length);

/* When length more bytes will have arrived, if nothing holds them up; 0 without a limit. */
double pace_end(const struct pace *connection, uint64_t length);
