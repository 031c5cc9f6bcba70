/* What follows from the way an attempt ended: the engine's policy, in one place. */
#ifndef CLONEFS_ENGINE_RETRY_H
#define CLONEFS_ENGINE_RETRY_H

#include "core/engine/engine_internal.h"

/* Takes @fetch, which the backend has just given back and no list holds. */
void retry_outcome_locked(struct image *img, struct fetch *fetch,
                          const struct source_outcome *outcome, uint64_t now_ns) CF_IMAGE_LOCKED;

#endif
