/* Background's short cut: missing regions become the source's own blocks, without a copy. */
#ifndef CLONEFS_ENGINE_SHARING_H
#define CLONEFS_ENGINE_SHARING_H

#include "core/engine/engine_internal.h"

void sharing_init(struct sharing *sharing, bool possible);

/* Is a batch of regions to be shared, as far as is known? Otherwise it is to be fetched. */
bool sharing_is_next_locked(struct image *img) CF_IMAGE_LOCKED;
/* A batch waits for a writer, or is in its hands. */
bool sharing_is_busy_locked(const struct image *img);

/* Takes @nr missing regions from @first on, which have no entries, and gives them to a writer.
 * False: no memory. */
bool sharing_begin_locked(struct image *img, uint64_t first, uint64_t nr) CF_IMAGE_LOCKED;

/* A writer's part; the lock is let go meanwhile. */
void sharing_do_locked(struct image *img) CF_IMAGE_LOCKED;

#endif
