/*
 * When a commit may wait. The sync of what was just fetched, beside a reader who streams faster
 * than a disk writes, costs him a fifth of his rate; all that it buys is that after a crash this is
 * not fetched once more. So while somebody streams from a fast source, and no user has changed
 * anything or asked for a sync of late, commits are further apart, and the kernel writes back when
 * it sees fit. What users change, which cannot be fetched again, has its commit begun in time; that
 * one takes along what has waited.
 *
 * Pure: the caller brings the time (CLOCK_MONOTONIC) and the image's lock, except where it says
 * otherwise. Nothing blocks, nothing fails.
 */
#ifndef CLONEFS_ENGINE_PATIENCE_H
#define CLONEFS_ENGINE_PATIENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A commit begins so long after the change then, unless its interval is longer. */
#define PATIENCE_MS UINT64_C(5000)
/* And is not waited with any more once there is so much to it, so that it ends in bounded time. */
#define PATIENCE_BYTES (UINT64_C(2) << 30)
/* patience_holds() is to be asked so often while something waits. */
#define PATIENCE_LOOK_MS UINT64_C(250)

struct patience {
	atomic_bool user;   /* a user changed something or asked for a sync, since the last look */
	uint64_t user_ns;   /* the last look that found that; 0: none */
	uint64_t stream_ns; /* when a fast stream last moved on; 0: none did */
};

void patience_init(struct patience *patience);

/* A user's bytes are in the destination, or his bits set, which may be long after he asked; or he
 * asks for a sync. Any thread, no lock: one load, mostly. */
void patience_user(struct patience *patience);

/* A sequential reader goes on; @bytes: what the source brings in two seconds. */
void patience_stream(struct patience *patience, uint64_t bytes, uint64_t now_ns);

/* Does somebody stream, and has no user changed anything or asked for a sync of late? */
bool patience_is_calm(const struct patience *patience, uint64_t now_ns);

/* May a commit that is due wait, of regions of @uncommitted bytes? A look at patience_user(). */
bool patience_holds(struct patience *patience, uint64_t uncommitted, uint64_t now_ns);

#endif
