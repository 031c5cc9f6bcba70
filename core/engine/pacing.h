/* What the connections can do, measured: time to the first byte, rate, and how many requests
 * background may have without slowing readers down, and no more than bring something. */
#ifndef CLONEFS_ENGINE_PACING_H
#define CLONEFS_ENGINE_PACING_H

#include "core/engine/engine_internal.h"

void pacing_init(struct pacing *pacing);

/* A request is about to be sent that somebody waits for, or will soon. It does not run yet. */
void pacing_reader_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;
/* So is the first one after a time without any. */
void pacing_begin_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;
void pacing_first_byte_locked(struct image *img, const struct fetch *fetch,
                              uint64_t now_ns) CF_IMAGE_LOCKED;
void pacing_bytes_locked(struct image *img, size_t length, uint64_t now_ns) CF_IMAGE_LOCKED;
void pacing_fetch_over_locked(struct image *img, const struct fetch *fetch,
                              uint64_t now_ns) CF_IMAGE_LOCKED;
/* The source asked for less, and for some time. */
void pacing_pushback_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Would a request of its own be sooner with bytes @distance behind a running one's position? */
bool pacing_is_far_locked(const struct image *img, uint64_t distance) CF_IMAGE_LOCKED;

/* The most bytes that came in two seconds, one after the other, of the last ten. */
uint64_t pacing_two_seconds_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* The same, or, when requests began less than two seconds ago, what it becomes if they go on so. */
uint64_t pacing_two_seconds_hence_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* Bytes per second over the last ten seconds. */
uint64_t pacing_rate_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

#endif
