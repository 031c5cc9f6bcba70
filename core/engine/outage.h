/*
 * Is the source there? ok, unreachable (nothing came for too long), changed (another version), and
 * how long requests wait for it. See docs/architecture.md, "Nobody gets stuck".
 */
#ifndef CLONEFS_ENGINE_OUTAGE_H
#define CLONEFS_ENGINE_OUTAGE_H

#include "core/engine/engine_internal.h"

void outage_init(struct image *img, enum image_source_state state, const char *why) CF_IMAGE_LOCKED;

/*
 * May a new miss be fetched? 0, -ESTALE (changed), -EIO (no source, or misses fail at once; one a
 * second is let through to find out).
 */
int outage_admit_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Misses and failed attempts are not waited for any more. */
bool outage_is_failing_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/*
 * Does @fetch take its turn with all others that ask a source which does not answer, one a second?
 * Then not before next_probe_ns, and outage_turn_taken_locked() when it is sent.
 */
bool outage_takes_turns_locked(const struct image *img, const struct fetch *fetch,
                               uint64_t now_ns) CF_IMAGE_LOCKED;
void outage_turn_taken_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Bytes of the image came. */
void outage_byte_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* An attempt brought nothing, @why: what status and events say while the source is away. */
void outage_failed_locked(struct image *img, const char *why) CF_IMAGE_LOCKED;

/* Confirmed: another version. Whoever waits gets ESTALE, fetching stops. */
void outage_changed_locked(struct image *img, const char *why, uint64_t now_ns) CF_IMAGE_LOCKED;

/* A probe was answered with a byte of the pinned version. A short one (silence.h) is no proof that
 * more than a byte comes: one of those who wait for their turn goes at once. */
void outage_probe_answered_locked(struct image *img, bool is_short,
                                  uint64_t now_ns) CF_IMAGE_LOCKED;
/* A probe ended, one way or the other; @is_short as in silence.h. */
void outage_probe_over_locked(struct image *img, bool is_short) CF_IMAGE_LOCKED;

/* Deadlines and probes that are due; returns when to call again. */
uint64_t outage_tick_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Looks at once whether the source is back. */
void outage_ask_now_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* When a request that comes now could be due at the earliest. */
uint64_t outage_first_deadline_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Settings changed: what waits is judged by the new ones. */
void outage_configured_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

#endif
