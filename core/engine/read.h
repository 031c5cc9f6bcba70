/* Reads: image_read_hydrated() and image_read() of image.h. */
#ifndef CLONEFS_ENGINE_READ_H
#define CLONEFS_ENGINE_READ_H

#include "core/engine/engine_internal.h"

/*
 * Reads the LOCAL parts of @req from the destination; the lock is let go meanwhile. The caller has
 * set local_busy and holds @req; both are given up.
 */
void read_local_parts_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

#endif
