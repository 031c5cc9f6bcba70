/*
 * A source that bears few requests (pushback.h): who waits until it has room for one more, and who
 * makes room for whom.
 */
#ifndef CLONEFS_ENGINE_ROOM_H
#define CLONEFS_ENGINE_ROOM_H

#include "core/engine/engine_internal.h"

/*
 * The source refused @fetch, which is not running any more, as too much. True: it serves others, so
 * there is nothing to wait for but the end of one of those, and that was seen to; @fetch may be
 * gone. A reader's goes before read-ahead and background, one of which is cancelled for it. False:
 * the caller sees to it as to any that failed.
 */
bool room_wait_locked(struct image *img, struct fetch *fetch, uint64_t now_ns) CF_IMAGE_LOCKED;

/* One that was served is over: the reader who was refused first need not wait longer. */
void room_again_locked(struct image *img) CF_IMAGE_LOCKED;

/* @fetch was queued again. What a reader waits for is not held back as read-ahead and background
 * are. */
void room_promote_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;

#endif
