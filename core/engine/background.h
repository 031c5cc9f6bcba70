/* Background hydration: which regions are asked for next, and when. */
#ifndef CLONEFS_ENGINE_BACKGROUND_H
#define CLONEFS_ENGINE_BACKGROUND_H

#include "core/engine/engine_internal.h"

/* Could background ask for a region now, if there were one? */
bool background_may_fill_locked(const struct image *img) CF_IMAGE_LOCKED;

/* Asks for regions up to threshold, slots, budget and rate. Returns when to call again. */
uint64_t background_fill_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* No request and no region of background's is in flight. */
bool background_is_idle_locked(const struct image *img) CF_IMAGE_LOCKED;

#endif
