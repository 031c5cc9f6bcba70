/*
 * Space for what long requests bring while somebody streams. Where writes into holes are dear
 * (block_io.holes_are_dear), the space of what is still to come of a request is allocated when the
 * first of its data is stored, a step at a time; the writes that follow find it there.
 *
 * It needs the file system's journal, so it is for times when that is at rest: beside a stream that
 * commits wait for (patience.h), which the caller looks after, and not soon after a call that had
 * to wait. Zeros need no space, and giving it back is dear, too: so only after as much data without
 * any as a step. A destination that refuses is left alone for as long: the bytes themselves may
 * still find space.
 *
 * What was allocated for a request that ended early reads as the hole before it, and is there for
 * whoever brings those bytes. Space that a user gives back in the very moment of the call may be
 * allocated once more: a step at the most, which reads as zeros.
 *
 * Pure: the caller brings the time (CLOCK_MONOTONIC), has the image's lock, and allocates without
 * it. Nothing blocks, nothing fails.
 */
#ifndef CLONEFS_ENGINE_PREALLOC_H
#define CLONEFS_ENGINE_PREALLOC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/clock.h"

/* So much is allocated at once, and so much data without zeros has to come before. */
#define PREALLOC_STEP (UINT64_C(8) << 20)
/* Less is not worth a call, which on ext4 costs an entry of the journal. */
#define PREALLOC_MIN (UINT64_C(2) << 20)
/* Who waited longer than this in a call, waits so many times as long before the next. */
#define PREALLOC_SLOW_NS (5 * CF_NS_PER_MS)
#define PREALLOC_PAUSES  64
/* Requests that are remembered, the last ones: of those that are over, too, whose bytes may still
 * wait to be stored. */
#define PREALLOC_NR_REQUESTS 64

struct prealloc {
	bool pays;            /* constant */
	uint64_t dense_bytes; /* data since the last zeros or refusal */
	uint64_t not_before_ns;
	unsigned int next; /* in requests: the oldest */
	struct prealloc_request {
		uint64_t start, end; /* bytes of the image that came or are coming */
		uint64_t space_end;  /* space was asked for up to here; 0: none */
	} requests[PREALLOC_NR_REQUESTS];
};

/* @pays: the destination's holes are dear. Otherwise nothing is ever wanted. */
void prealloc_init(struct prealloc *prealloc, bool pays);

/* A request for bytes [start, end) of the image was sent. */
void prealloc_sent(struct prealloc *prealloc, uint64_t start, uint64_t end);
/* Of the request that ends at @end nothing more comes from @start on. */
void prealloc_given_up(struct prealloc *prealloc, uint64_t start, uint64_t end);

/* Bytes from @offset on are about to be stored. Returns up to where space may be allocated from
 * there on, if the first of them are no zeros; 0: nowhere. It is not asked for again. */
uint64_t prealloc_wanted(struct prealloc *prealloc, uint64_t offset, uint64_t now_ns);
/* The destination allocated, or refused with @error, after so long. */
void prealloc_answered(struct prealloc *prealloc, int error, uint64_t took_ns, uint64_t now_ns);

/* So many bytes of data were stored; with @zeros, some of zeros as well. */
void prealloc_stored(struct prealloc *prealloc, uint64_t bytes, bool zeros);

#endif
