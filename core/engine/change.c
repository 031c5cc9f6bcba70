/*
 * A change (write, punch, zero-range) has a middle and up to two edges. The middle is regions that
 * it covers whole and edges that are hydrated: done on the calling thread, which takes the missing
 * regions over (R3). An edge that is part of a missing region has two forms. Where partial.h allows
 * it is done in place, on the calling thread as well. Else it is parked until its region is
 * hydrated, and then done by a writer: dm-clone's form, hydrate and then write.
 */
#include "core/engine/change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/mode.h"
#include "core/engine/outage.h"
#include "core/engine/partial.h"
#include "core/engine/request.h"
#include "core/engine/writers.h"

/* Regions that one step takes over: bounds memory and the time others wait. */
#define STEP_REGIONS UINT64_C(1024)

enum change_op { CHANGE_WRITE, CHANGE_PUNCH };

struct change {
	enum change_op op;
	uint64_t offset, length;
	const unsigned char *data; /* CHANGE_WRITE */
};

/* [from, to) in bytes; empty: from == to. */
struct range {
	uint64_t from, to;
};

/* ---- edges ---- */

/* The first and last region's share where a change covers only part of them; the head holds all
 * of a change within one region. */
static void find_edges(const struct image *img, const struct change *change, struct range edges[2])
{
	uint64_t end = change->offset + change->length;
	uint64_t first = geometry_region_of(&img->geo, change->offset);
	uint64_t last = geometry_region_of(&img->geo, end - 1);
	uint64_t first_end = geometry_region_end(&img->geo, first);
	uint64_t last_start = geometry_region_start(&img->geo, last);
	bool head = change->offset > geometry_region_start(&img->geo, first) || end < first_end;
	bool tail = last > first && end < geometry_region_end(&img->geo, last);

	edges[0] = (struct range){change->offset, head ? min_u64(end, first_end) : change->offset};
	edges[1] = (struct range){tail ? last_start : end, end};
}

static bool is_missing(const struct image *img, const struct range *edge)
{
	return edge->from < edge->to &&
	       !metadata_is_region_hydrated(img->metadata,
	                                    geometry_region_of(&img->geo, edge->from));
}

/* The edge is copied: the caller's data is borrowed for the call only. */
static int copy_edge(struct parked *parked, const struct change *change)
{
	parked->data = malloc(parked->length);
	if (!parked->data)
		return -ENOMEM;
	memcpy(parked->data, change->data + (parked->offset - change->offset), parked->length);
	return 0;
}

/*
 * Decides which edges will be parked, and copies them. Before anything is taken over, and with one
 * wait for all the room it needs: who waits for the budget must own nothing that others wait for.
 * *middle is what is done at once. -ENOMEM; -EIO: the image stops.
 */
static int prepare_edges(struct image *img, struct image_request *req, const struct change *change,
                         struct range *middle) CF_IMAGE_LOCKED
{
	struct range edges[2];
	size_t bytes = 0;
	int r = 0;

	find_edges(img, change, edges);
	*middle = (struct range){change->offset, change->offset + change->length};
	for (int i = 0; i < 2; i++) {
		if (!is_missing(img, &edges[i]))
			continue;
		req->parked[i].offset = edges[i].from;
		req->parked[i].length = edges[i].to - edges[i].from;
		req->open++;
		bytes += req->parked[i].length;
		if (i == 0)
			middle->from = edges[i].to;
		else
			middle->to = edges[i].from;
	}
	if (!bytes || change->op != CHANGE_WRITE)
		return 0;
	if (!budget_wait_write_locked(&img->budget, bytes, &img->lock, &img->stopping))
		return -EIO;
	req->charged_write = bytes;
	for (int i = 0; i < 2 && r == 0; i++) {
		if (req->parked[i].length)
			r = copy_edge(&req->parked[i], change);
	}
	return r;
}

/* The edge's region is hydrated, or waited for from now on. */
static int park(struct image *img, struct image_request *req, struct parked *parked) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, parked->offset);
	uint64_t now_ns = clock_monotonic_ns();
	struct entry *entry;

	if (img->stopping || image_mode(img) != IMAGE_RW)
		return -EIO;
	if (metadata_is_region_hydrated(img->metadata, region)) {
		writers_add_parked_locked(img, parked);
		return 0;
	}
	entry = inflight_find_locked(img, region);
	if (!entry || (inflight_region_needs_source_locked(img, region) &&
	               !fetch_touches_region_locked(img, region))) {
		int r = outage_admit_locked(img, now_ns);

		if (r < 0)
			return r;
	}
	if (!entry)
		entry = inflight_add_locked(img, region, true);
	if (!entry)
		return -ENOMEM;
	inflight_set_background_locked(img, entry, false);
	parked->state = PARKED_WAITING;
	list_add_tail(&entry->parked, &parked->link);
	request_wait_locked(img, req);
	cover_range_locked(img, geometry_region_start(&img->geo, region),
	                   min_u64(geometry_region_end(&img->geo, region),
	                           geometry_region_start(&img->geo, region) + FETCH_LENGTH_MAX),
	                   SOURCE_FOREGROUND, FETCH_LENGTH_MAX, UINT32_MAX);
	inflight_settle_locked(img, entry, true);
	fetch_dispatch_locked(img, now_ns);
	return 0;
}

static int park_edges(struct image *img, struct image_request *req) CF_IMAGE_LOCKED
{
	int r = 0;

	for (int i = 0; i < 2 && r == 0 && !req->ended; i++) {
		if (req->parked[i].length)
			r = park(img, req, &req->parked[i]);
	}
	return r;
}

static int put_parked(struct image *img, const struct parked *parked)
{
	return parked->data ? store_write(&img->store, parked->data, parked->length, parked->offset)
	                    : store_zero(&img->store, parked->offset, parked->length);
}

void change_do_parked_locked(struct image *img, struct parked *parked)
{
	struct image_request *req = parked->req;
	uint64_t region = geometry_region_of(&img->geo, parked->offset);
	int r;

	parked->state = PARKED_WRITING;
	request_hold_locked(img, req);
	image_unlock(img);
	r = image_mode(img) == IMAGE_RW ? put_parked(img, parked) : -EIO;
	if (r == 0)
		r = mode_mark_written(img, region, 1, 0, 0);
	image_lock(img);
	parked->state = PARKED_DONE;
	if (r < 0 && !req->error)
		req->error = r;
	request_part_done_locked(img, req);
	request_release_locked(img, req);
}

static int put_edge(struct image *img, const struct change *change, const struct range *edge)
{
	uint64_t length = edge->to - edge->from;

	return change->op == CHANGE_WRITE
	               ? store_write(&img->store, change->data + (edge->from - change->offset),
	                             length, edge->from)
	               : store_zero(&img->store, edge->from, length);
}

/* ---- the middle ---- */

static int put(struct image *img, const struct change *change, const struct range *range)
{
	uint64_t length = range->to - range->from;

	if (change->op == CHANGE_WRITE)
		return store_write(&img->store, change->data + (range->from - change->offset),
		                   length, range->from);
	return store_punch(&img->store, range->from, length);
}

/* Up to STEP_REGIONS regions of the middle: taken over, written, marked, given back. */
static int do_step(struct image *img, const struct change *change, const struct range *range)
{
	uint64_t first = geometry_region_of(&img->geo, range->from);
	uint64_t nr = geometry_region_of(&img->geo, range->to - 1) - first + 1;
	uint64_t first_whole;
	uint64_t nr_whole = geometry_whole_regions(&img->geo, range->from, range->to - range->from,
	                                           &first_whole);
	bool missing =
	        nr_whole && !metadata_is_range_hydrated(img->metadata, first_whole, nr_whole);
	int r = 0;

	if (missing) {
		image_lock(img);
		r = takeover_begin_locked(img, first_whole, nr_whole, range);
		image_unlock(img);
		if (r < 0)
			return r;
	}
	r = image_mode(img) == IMAGE_RW ? put(img, change, range) : -EIO;
	if (r == 0)
		r = mode_mark_written(img, first, nr, first_whole, missing ? nr_whole : 0);
	if (missing) {
		image_lock(img);
		takeover_end_locked(img, first_whole, nr_whole, range, r);
		image_unlock(img);
	}
	return r;
}

static int do_middle(struct image *img, const struct change *change, struct range middle)
{
	int r = 0;

	while (middle.from < middle.to && r == 0) {
		uint64_t last = geometry_region_of(&img->geo, middle.from) + STEP_REGIONS - 1;
		uint64_t end = last < img->geo.nr_regions ? geometry_region_end(&img->geo, last)
		                                          : img->geo.size;
		struct range step = {middle.from, min_u64(middle.to, end)};

		r = do_step(img, change, &step);
		middle.from = step.to;
	}
	return r;
}

/* ---- the whole ---- */

/* Users have modified the image from here on. */
static int first_modify(struct image *img)
{
	int r = 0;

	if (atomic_load_explicit(&img->modified, memory_order_acquire))
		return 0;
	cf_lock(&img->modify_lock);
	if (!atomic_load_explicit(&img->modified, memory_order_relaxed)) {
		if (img->callbacks.first_modify)
			r = img->callbacks.first_modify(img->callbacks_user);
		if (r == 0)
			atomic_store_explicit(&img->modified, true, memory_order_release);
	}
	cf_unlock(&img->modify_lock);
	return r;
}

int image_expect_changes(struct image *img)
{
	return first_modify(img);
}

static int refuse(const struct image *img)
{
	if (img->read_only)
		return -EROFS;
	return image_is_stopped(img) || image_mode(img) != IMAGE_RW ? -EIO : 0;
}

/*
 * @req->open counts the parked edges and this thread, which is the last to count down when nothing
 * is parked.
 */
static void do_change(struct image *img, struct image_request *req, const struct change *change)
{
	struct range middle;
	int r;

	image_lock(img);
	request_hold_locked(img, req);
	req->open = 1;
	r = prepare_edges(img, req, change, &middle);
	image_unlock(img);
	if (r == 0)
		r = do_middle(img, change, middle);
	image_lock(img);
	if (r == 0)
		r = park_edges(img, req);
	if (r < 0) {
		/* Also ends what was parked; one in a writer's hands is waited for. */
		request_end_locked(img, req, r);
	} else {
		request_part_done_locked(img, req);
	}
	request_release_locked(img, req);
	image_unlock(img);
}

/* ---- edges in place ---- */

/* 1: done; 0: not in this form. */
static int do_in_place(struct image *img, const struct change *change, const struct range *edge)
{
	struct entry *entry = NULL;
	int r;

	image_lock(img);
	r = partial_begin_locked(img, edge->from, edge->to, &entry);
	image_unlock(img);
	if (!entry)
		return r;
	r = put_edge(img, change, edge);
	image_lock(img);
	r = partial_end_locked(img, entry, edge->from, edge->to, r);
	image_unlock(img);
	return r < 0 ? r : 1;
}

/* Does what it can of @change's edges, which is what is left afterwards: perhaps nothing. */
static int do_edges_in_place(struct image *img, struct change *change)
{
	struct range edges[2];
	int head, tail;

	find_edges(img, change, edges);
	head = is_missing(img, &edges[0]) ? do_in_place(img, change, &edges[0]) : 0;
	if (head < 0)
		return head;
	tail = is_missing(img, &edges[1]) ? do_in_place(img, change, &edges[1]) : 0;
	if (tail < 0)
		return tail;
	if (tail)
		change->length = edges[1].from - change->offset;
	if (head) {
		uint64_t n = edges[0].to - edges[0].from;

		change->offset += n;
		change->length -= n;
		if (change->data)
			change->data += n;
	}
	return 0;
}

static bool is_hydrated(const struct image *img, const struct change *change)
{
	uint64_t first = geometry_region_of(&img->geo, change->offset);
	uint64_t last = geometry_region_of(&img->geo, change->offset + change->length - 1);

	return metadata_is_range_hydrated(img->metadata, first, last - first + 1);
}

/* All regions are hydrated. A sync that is expected is to find its bytes on their way: before the
 * answer, because whom that wakes gets the processor at once. */
static int do_hydrated(struct image *img, const struct change *change, const struct range *all,
                       bool expects_sync)
{
	int r = do_middle(img, change, *all);

	if (r == 0 && expects_sync && change->op == CHANGE_WRITE)
		store_write_back(&img->store, change->offset, change->length);
	return r;
}

static struct image_request *submit(struct image *img, const struct change *change,
                                    image_done_fn *done, void *user)
{
	struct image_request *req = request_new(img, REQUEST_CHANGE, 0, done, user);
	const struct range all = {change->offset, change->offset + change->length};
	struct change rest = *change;
	bool expects_sync;
	int r;

	assert(change->length && all.to <= img->geo.size);
	if (!req)
		return NULL;
	expects_sync = sync_habit_changed(&img->sync_habit);
	r = refuse(img);
	if (r == 0)
		r = first_modify(img);
	if (r < 0) {
		request_answer(req, r);
	} else if (is_hydrated(img, change)) {
		request_answer(req, do_hydrated(img, change, &all, expects_sync));
	} else {
		r = do_edges_in_place(img, &rest);
		if (r < 0 || !rest.length)
			request_answer(req, r);
		else
			do_change(img, req, &rest);
	}
	return req;
}

struct image_request *image_write(struct image *img, uint64_t offset, const void *data,
                                  size_t length, image_done_fn *done, void *user)
{
	const struct change change = {
	        .op = CHANGE_WRITE,
	        .offset = offset,
	        .length = length,
	        .data = data,
	};

	return submit(img, &change, done, user);
}

static struct image_request *allocate(struct image *img, uint64_t offset, uint64_t length,
                                      image_done_fn *done, void *user)
{
	struct image_request *req = request_new(img, REQUEST_CHANGE, 0, done, user);
	int r;

	if (!req)
		return NULL;
	r = refuse(img);
	if (r == 0)
		r = store_allocate(&img->store, offset, length);
	request_answer(req, r);
	return req;
}

struct image_request *image_range(struct image *img, enum image_range_op op, uint64_t offset,
                                  uint64_t length, image_done_fn *done, void *user)
{
	/* Zero-range gives the space back, too: an image is thin by nature. */
	const struct change change = {
	        .op = CHANGE_PUNCH,
	        .offset = offset,
	        .length = length,
	};

	if (op == IMAGE_ALLOCATE)
		return allocate(img, offset, length, done, user);
	return submit(img, &change, done, user);
}
