/* Changes by users: image_write() and image_range() of image.h. */
#ifndef CLONEFS_ENGINE_CHANGE_H
#define CLONEFS_ENGINE_CHANGE_H

#include "core/engine/engine_internal.h"

/* Does a parked write whose region is hydrated now; the lock is let go meanwhile. */
void change_do_parked_locked(struct image *img, struct parked *parked) CF_IMAGE_LOCKED;

#endif
