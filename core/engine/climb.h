/*
 * How many requests background may have, tried step by step while somebody reads: a quarter more as
 * long as that brings more bytes. Where all connections share what is full already, more of them
 * would bring nothing, and make readers wait.
 *
 * A limit is looked at twice. What comes until the first time is not counted: requests of an
 * earlier limit still bring theirs, and a new connection begins slowly.
 *
 * Pure: whoever uses it brings the time and the count of bytes, and the lock.
 */
#ifndef CLONEFS_ENGINE_CLIMB_H
#define CLONEFS_ENGINE_CLIMB_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing is known. */
struct climb {
	uint64_t since_ns; /* when the limit changed; once it counts, when it was first looked at */
	uint64_t since_bytes; /* as many had come by then */
	bool counts;          /* what has come since then is what the limit brings */
	unsigned int from;    /* the limit before the last step up; 0: the last change was none */
	double before;        /* what that brought, bytes per second */
	uint64_t hold_ns;     /* no step up before */
};

/* The limit changed for another reason; @bytes: all that have come so far. */
void climb_begin(struct climb *climb, uint64_t bytes, uint64_t now_ns);

/* The limit that holds from now on: @limit (> 0), more, or again what it was before a step that
 * brought too little. To be called when @limit was used since since_ns, and long enough to show
 * what it brings. */
unsigned int climb_next(struct climb *climb, unsigned int limit, uint64_t bytes, uint64_t now_ns);

#endif
