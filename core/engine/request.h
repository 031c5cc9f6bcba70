/* Requests: how they are made, end exactly once, and let go of their buffers. */
#ifndef CLONEFS_ENGINE_REQUEST_H
#define CLONEFS_ENGINE_REQUEST_H

#include "core/engine/engine_internal.h"

/*
 * Takes and lets go the image's lock. Requests that ended in between are answered by the unlocking
 * thread, after the lock: the way from the source's bytes to the answer has no other thread in it.
 */
void image_lock(struct image *img) CF_ACQUIRE(&img->lock);
void image_unlock(struct image *img) CF_RELEASE(&img->lock);

/*
 * A request with one reference of the caller's and one of the engine's; the latter goes when it
 * has ended and no hand is on it. NULL: no memory; done() was called with -ENOMEM.
 */
struct image_request *request_new(struct image *img, enum request_kind kind, uint32_t nr_parts,
                                  image_done_fn *done, void *user);

/* Decides the answer; only the first call counts. Leaves all lists it is in. */
void request_end_locked(struct image *img, struct image_request *req, int error) CF_IMAGE_LOCKED;

/* The whole life of a request that never had to wait, without the lock: calls done(). */
void request_answer(struct image_request *req, int error);

/* One of its parts is done: the last one ends it. */
void request_part_done_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

/* From now on it depends on the source: deadlines look at it. */
void request_wait_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

/* The buffers stay while a hand is on the request, whatever happens to it. */
void request_hold_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;
void request_release_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

/* Makes sure that there is a reply buffer; -ENOMEM. */
int request_reply_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;

/* Does it wait for bytes of the source (and not just for the local disk)? */
bool request_needs_source_locked(struct image *img,
                                 const struct image_request *req) CF_IMAGE_LOCKED;

/* Ends all requests that do. */
void request_fail_waiting_locked(struct image *img, int error) CF_IMAGE_LOCKED;

#endif
