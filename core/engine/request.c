/*
 * A request ends in two steps: request_end_locked() decides the answer, once, and takes it off
 * every list; the thread that then lets go the lock calls done(). Its buffers live until neither
 * that call nor anybody else (a "hand": a thread reading the destination into the reply, a writer
 * with a parked write) uses them.
 */
#include "core/engine/request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/outage.h"
#include "core/engine/partial.h"

static void release_buffers_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED
{
	if (req->buf)
		budget_put_reply_locked(&img->budget, req->buf, req->length);
	req->buf = NULL;
	for (int i = 0; i < 2; i++) {
		free(req->parked[i].data);
		req->parked[i].data = NULL;
	}
	budget_release_locked(&img->budget, BUDGET_WRITE, req->charged_write);
	req->charged_write = 0;
	fetch_room_again_locked(img);
}

void request_hold_locked(struct image *img, struct image_request *req)
{
	(void)img;
	req->hands++;
}

void request_release_locked(struct image *img, struct image_request *req)
{
	assert(req->hands);
	if (--req->hands || !req->ended)
		return;
	release_buffers_locked(img, req);
	image_request_put(req);
}

/* Calls done() of what ended, without the lock. */
static void answer(struct image *img, struct list *ended)
{
	list_for_each (link, ended) {
		struct image_request *req = list_entry(link, struct image_request, link);
		bool has_data = req->kind == REQUEST_READ && !req->error;

		req->done(req->user, req->error, has_data ? req->buf : NULL,
		          has_data ? req->length : 0);
	}
	cf_lock(&img->lock);
	for (struct list *link; (link = list_pop(ended));)
		request_release_locked(img, list_entry(link, struct image_request, link));
	if (!--img->nr_finishing)
		cf_cond_broadcast(&img->changed);
	cf_unlock(&img->lock);
}

void image_lock(struct image *img)
{
	cf_lock(&img->lock);
}

void image_unlock(struct image *img)
{
	struct list ended = LIST_INIT(ended);
	bool any = !list_is_empty(&img->ended);

	if (any) {
		list_splice_tail(&ended, &img->ended);
		img->nr_finishing++;
	}
	cf_unlock(&img->lock);
	if (any)
		answer(img, &ended);
}

struct image_request *request_new(struct image *img, enum request_kind kind, uint32_t nr_parts,
                                  image_done_fn *done, void *user)
{
	struct image_request *req = calloc(1, sizeof(*req) + nr_parts * sizeof(struct read_part));

	if (!req) {
		done(user, -ENOMEM, NULL, 0);
		return NULL;
	}
	atomic_init(&req->refs, 2);
	req->img = img;
	req->kind = kind;
	req->done = done;
	req->user = user;
	req->nr_parts = nr_parts;
	list_init(&req->link);
	list_init(&req->waiting_link);
	list_init(&req->local_link);
	for (int i = 0; i < 2; i++) {
		list_init(&req->parked[i].link);
		req->parked[i].req = req;
	}
	for (uint32_t i = 0; i < nr_parts; i++) {
		list_init(&req->parts[i].link);
		req->parts[i].req = req;
	}
	req->arrived_ns = clock_monotonic_ns();
	return req;
}

void request_answer(struct image_request *req, int error)
{
	/* Nobody else knows it yet, so `ended` needs no lock. */
	req->ended = true;
	req->error = error;
	req->done(req->user, error, NULL, 0);
	image_request_put(req);
}

void image_request_put(struct image_request *req)
{
	if (req && atomic_fetch_sub_explicit(&req->refs, 1, memory_order_acq_rel) == 1)
		free(req);
}

/* Drops the parked writes that no writer has begun; returns how many have been. */
static unsigned int drop_parked(struct image_request *req)
{
	unsigned int writing = 0;

	for (int i = 0; i < 2; i++) {
		struct parked *parked = &req->parked[i];

		if (parked->state == PARKED_WRITING)
			writing++;
		if (parked->state != PARKED_WAITING && parked->state != PARKED_READY)
			continue;
		list_remove(&parked->link);
		parked->state = PARKED_DONE;
	}
	return writing;
}

void request_end_locked(struct image *img, struct image_request *req, int error)
{
	if (req->ended)
		return;
	list_remove(&req->waiting_link);
	/* Whoever is told of a failed write may write again: nothing may come after that. */
	req->open = drop_parked(req);
	if (!req->error)
		req->error = error;
	if (req->open)
		return;
	req->ended = true;
	list_remove(&req->link);
	for (uint32_t i = 0; i < req->nr_parts; i++) {
		if (req->parts[i].state == PART_WAITING && req->parts[i].piece)
			inflight_detach_locked(img, &req->parts[i]);
	}
	request_hold_locked(img, req);
	list_add_tail(&img->ended, &req->link);
}

void request_part_done_locked(struct image *img, struct image_request *req)
{
	assert(req->open);
	if (!--req->open)
		request_end_locked(img, req, req->error);
}

void request_wait_locked(struct image *img, struct image_request *req)
{
	if (req->ended || !list_is_empty(&req->waiting_link))
		return;
	list_add_tail(&img->waiting, &req->waiting_link);
	hydrator_wake_before_locked(img, outage_first_deadline_locked(img, req->arrived_ns));
}

int request_reply_locked(struct image *img, struct image_request *req)
{
	if (req->buf)
		return 0;
	req->buf = budget_get_reply_locked(&img->budget, req->length);
	return req->buf ? 0 : -ENOMEM;
}

bool request_needs_source_locked(struct image *img, const struct image_request *req)
{
	for (uint32_t i = 0; i < req->nr_parts; i++) {
		const struct read_part *part = &req->parts[i];

		if (part->state == PART_WAITING && part->piece && !part->piece->entry->owner)
			return true;
	}
	if (req->flush_seq)
		return partial_flush_needs_source_locked(img, req->flush_seq);
	for (int i = 0; i < 2; i++) {
		if (req->parked[i].state == PARKED_WAITING &&
		    inflight_region_needs_source_locked(
		            img, geometry_region_of(&img->geo, req->parked[i].offset)))
			return true;
	}
	return false;
}

void request_fail_waiting_locked(struct image *img, int error)
{
	list_for_each_safe (link, &img->waiting) {
		struct image_request *req = list_entry(link, struct image_request, waiting_link);

		if (request_needs_source_locked(img, req))
			request_end_locked(img, req, req->flush_seq ? -EIO : error);
	}
}
