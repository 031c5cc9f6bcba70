/*
 * How many requests background may have, tried step by step while somebody reads: one more as long
 * as that brings more bytes. Where all connections share what is full already, another one would
 * bring nothing, and make readers wait.
 *
 * Pure: whoever uses it brings the time and the count of bytes, and the lock.
 */
#ifndef CLONEFS_ENGINE_CLIMB_H
#define CLONEFS_ENGINE_CLIMB_H

#include <stdbool.h>
#include <stdint.h>

/* After a step that brought nothing: the next one comes so much later. */
#define CLIMB_HOLD_NS (10 * UINT64_C(1000000000))

/* All zero: nothing is known. */
struct climb {
	uint64_t since_ns;    /* the present limit holds since then */
	uint64_t since_bytes; /* as many had come by then */
	double before;        /* bytes per second before the last step up; 0: it was none */
	uint64_t hold_ns;     /* no step up before */
	bool settled;         /* nothing comes any more of what ran under another limit */
};

/* The limit changed for another reason; @bytes: all that have come so far. */
void climb_begin(struct climb *climb, uint64_t bytes, uint64_t now_ns);

/* The limit that holds from now on, one more or one less than @limit (> 0), or the same. To be
 * called when @limit holds for so long that what it brings shows. */
unsigned int climb_next(struct climb *climb, unsigned int limit, uint64_t bytes, uint64_t now_ns);

#endif
