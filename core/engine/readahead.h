/* Sequential readers get what comes next, ahead of them; random ones exactly what they miss. */
#ifndef CLONEFS_ENGINE_READAHEAD_H
#define CLONEFS_ENGINE_READAHEAD_H

#include "core/engine/engine_internal.h"

void readahead_init(struct readahead *readahead);

/* A read that missed. */
void readahead_read_locked(struct image *img, uint64_t offset, uint64_t length) CF_IMAGE_LOCKED;

/* A sequential reader is near @offset: what comes there was asked for on his account. */
bool readahead_covers_locked(const struct image *img, uint64_t offset) CF_IMAGE_LOCKED;

/* A read that hit: a few loads, unless a stream waits for just this. Takes the lock then. */
void readahead_hit(struct image *img, uint64_t offset, uint64_t length);

#endif
