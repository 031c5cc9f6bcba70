/* Turns what entries want into requests: which bytes nobody brings yet, in one request or several,
 * joined with what is under way where that is not slower. */
#ifndef CLONEFS_ENGINE_COVER_H
#define CLONEFS_ENGINE_COVER_H

#include "core/engine/engine_internal.h"

/*
 * Asks for what entries in [from, to) want and nobody brings yet, in requests of at most @length
 * bytes (> 0) and at most @max_new of them. Returns how many were made; fetch_dispatch_locked()
 * sends them.
 */
unsigned int cover_range_locked(struct image *img, uint64_t from, uint64_t to,
                                enum source_class class, uint64_t length,
                                unsigned int max_new) CF_IMAGE_LOCKED;

#endif
