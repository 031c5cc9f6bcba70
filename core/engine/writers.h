/*
 * The writers: a few threads for the destination, so that a slow disk never stands in the way of
 * those who bring bytes. They store pieces, do parked writes, and read the destination for readers
 * whose bytes got there by another way.
 */
#ifndef CLONEFS_ENGINE_WRITERS_H
#define CLONEFS_ENGINE_WRITERS_H

#include "core/engine/engine_internal.h"

void writers_init(struct writers *writers);
void writers_fini(struct writers *writers);
int writers_start(struct image *img);
/* Ends the threads when their queues are empty. */
void writers_stop(struct image *img);

/* A piece that is QUEUED. */
void writers_add_piece_locked(struct image *img, struct piece *piece) CF_IMAGE_LOCKED;
/* A parked write whose region is hydrated. */
void writers_add_parked_locked(struct image *img, struct parked *parked) CF_IMAGE_LOCKED;
/* A read that has LOCAL parts; nothing if a thread is at them already. */
void writers_add_local_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

/* Something else than these is there for one of them. */
void writers_wake_locked(struct image *img) CF_IMAGE_LOCKED;

/* Nothing is queued and no thread has anything in hand. */
bool writers_are_idle_locked(const struct image *img) CF_IMAGE_LOCKED;

#endif
