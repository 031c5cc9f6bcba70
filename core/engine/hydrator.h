/*
 * The hydrator's thread: fills the image in the background and keeps all of the engine's timers
 * (deadlines, backoffs, probes, rate limit). It sleeps until the next of them or until woken.
 */
#ifndef CLONEFS_ENGINE_HYDRATOR_H
#define CLONEFS_ENGINE_HYDRATOR_H

#include "core/engine/engine_internal.h"

/* Stalled fetches are looked at again after so long, whatever happened. */
#define HYDRATOR_STALL_NS (100 * CF_NS_PER_MS)

void hydrator_init(struct hydrator *hydrator, bool paused);
void hydrator_fini(struct hydrator *hydrator);
int hydrator_start(struct image *img);
/* Ends the thread, all events told. */
void hydrator_stop(struct image *img);

void hydrator_wake_locked(struct image *img) CF_IMAGE_LOCKED;
/* Makes sure that it wakes at @ns. */
void hydrator_wake_before_locked(struct image *img, uint64_t ns) CF_IMAGE_LOCKED;

/* A fetch ended; a background region left the table. */
void hydrator_fetch_over_locked(struct image *img) CF_IMAGE_LOCKED;
void hydrator_background_left_locked(struct image *img) CF_IMAGE_LOCKED;
/* Nobody waited for @fetch, which brought nothing: background holds off for a while. */
void hydrator_background_failed_locked(struct image *img, const struct fetch *fetch,
                                       uint64_t now_ns) CF_IMAGE_LOCKED;
/* @fetch brings nothing more; if it is background's, the rate limit does not count what is left. */
void hydrator_refund_locked(struct image *img, const struct fetch *fetch) CF_IMAGE_LOCKED;

/* Background would run if only the source were there. */
bool hydrator_wants_source_locked(const struct image *img) CF_IMAGE_LOCKED;

/* The destination refused a piece; it took one (zeros, which need no space, do not count). */
void hydrator_no_space_locked(struct image *img, int error) CF_IMAGE_LOCKED;
void hydrator_took_data_locked(struct image *img) CF_IMAGE_LOCKED;
/* Is a region fetched now to be kept? Counts as the try when there was no space. */
bool hydrator_keeps_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Background ends: what nobody waits for is cancelled. */
void hydrator_end_background_locked(struct image *img) CF_IMAGE_LOCKED;

/* The state for status, and one sentence why ("" for running and done). */
enum image_hydration hydrator_state_locked(struct image *img, char *reason,
                                           size_t reason_size) CF_IMAGE_LOCKED;

#endif
