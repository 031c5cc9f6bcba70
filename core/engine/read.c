/*
 * A read that hits goes straight to the destination. Otherwise it is cut into parts, one for each
 * piece, and each part goes where its bytes are: to the destination (LOCAL), or to the piece of an
 * entry, made if there is none (WAITING). The source is asked before the local parts are read.
 */
#include "core/engine/read.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/mode.h"
#include "core/engine/outage.h"
#include "core/engine/partial.h"
#include "core/engine/readahead.h"
#include "core/engine/request.h"
#include "core/engine/valid_sectors.h"
#include "core/engine/writers.h"

static uint64_t nr_regions_of(const struct image *img, uint64_t offset, uint64_t length)
{
	return geometry_region_of(&img->geo, offset + length - 1) -
	       geometry_region_of(&img->geo, offset) + 1;
}

static int destination_failed(struct image *img, int r)
{
	if (r == -ENODATA) {
		image_lock(img);
		mode_fail_locked(img, "the destination is shorter than it must be");
		image_unlock(img);
	}
	return -EIO;
}

/* May a hydrated read begin? 0: yes, and in *ret_epoch what is_current() wants to hear. */
static int begin_hydrated(struct image *img, size_t length, uint64_t offset,
                          unsigned int *ret_epoch)
{
	unsigned int epoch = atomic_load_explicit(&img->epoch, memory_order_acquire);
	uint64_t first = geometry_region_of(&img->geo, offset);
	uint64_t nr = nr_regions_of(img, offset, length);
	enum image_mode mode = image_mode(img);

	assert(length && offset + length <= img->geo.size);
	if (image_is_stopped(img) || mode == IMAGE_FAIL)
		return -EIO;
	if (mode == IMAGE_RO) {
		/* Who sees ro sees that epoch was odd; even now: the lost set stays as it is. */
		epoch = atomic_load_explicit(&img->epoch, memory_order_acquire);
		if (!(epoch & 1) && mode_is_lost(img, first, nr))
			return -EIO;
	}
	if ((epoch & 1) || !metadata_is_range_hydrated(img->metadata, first, nr))
		return -EAGAIN;
	*ret_epoch = epoch;
	return 0;
}

/* What was read since begin_hydrated() was hydrated all the time. */
static bool is_current(struct image *img, unsigned int epoch)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&img->epoch, memory_order_relaxed) == epoch;
}

int image_read_hydrated(struct image *img, void *buf, size_t length, uint64_t offset)
{
	unsigned int epoch;
	int r = begin_hydrated(img, length, offset, &epoch);

	if (r < 0)
		return r;
	r = store_read(&img->store, buf, length, offset);
	if (r < 0)
		return destination_failed(img, r);
	if (!is_current(img, epoch))
		return -EAGAIN;
	readahead_hit(img, offset, length);
	return 0;
}

int image_splice_hydrated(struct image *img, int pipe, size_t length, uint64_t offset)
{
	unsigned int epoch;
	int r = begin_hydrated(img, length, offset, &epoch);

	if (r < 0)
		return r;
	/* Reading it again tells what its errors mean. */
	if (store_splice(&img->store, pipe, length, offset) < 0)
		return -EOPNOTSUPP;
	if (!is_current(img, epoch))
		return -EAGAIN;
	readahead_hit(img, offset, length);
	return 0;
}

/* ---- placing parts ---- */

/* May the bytes of @part, in a region with @entry (NULL: none), be waited for? */
static int admit(struct image *img, const struct entry *entry, const struct read_part *part,
                 uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t start, need;

	if (entry) {
		start = geometry_region_start(&img->geo, entry->region);
		need = inflight_need_locked(img, entry,
		                            (uint32_t)((part->offset - start) / img->piece_size));
		if (entry->owner || (entry->keep && need >= part->offset + part->length) ||
		    inflight_has_locally_locked(img, entry, part))
			return 0;
		if (img->outage.state != SOURCE_STATE_CHANGED && fetch_find_locked(img, need))
			return 0;
	}
	return outage_admit_locked(img, now_ns);
}

/* Sends @part where its bytes are or will be. -EIO, -ESTALE, -ENOMEM: the read fails. */
static int place(struct image *img, struct read_part *part, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, part->offset);
	struct entry *entry;
	int r;

	if (img->stopping || image_mode(img) == IMAGE_FAIL || mode_is_lost(img, region, 1))
		return -EIO;
	if (metadata_is_region_hydrated(img->metadata, region)) {
		part->state = PART_LOCAL;
		return 0;
	}
	entry = inflight_find_locked(img, region);
	r = admit(img, entry, part, now_ns);
	if (r < 0)
		return r;
	if (!entry) {
		entry = inflight_add_locked(img, region, hydrator_keeps_locked(img, now_ns));
		if (!entry)
			return -ENOMEM;
		entry->cursor = part->offset / img->piece_size * img->piece_size;
	}
	inflight_set_background_locked(img, entry, false);
	inflight_attach_locked(img, entry, part);
	return 0;
}

/* All of a region comes with the reader's bytes, unless that would make him wait. */
#define LEAD_MAX (UINT64_C(256) << 10)

static void ask(struct image *img, uint64_t offset, uint64_t length) CF_IMAGE_LOCKED
{
	uint64_t first = geometry_region_of(&img->geo, offset);
	uint64_t last = geometry_region_of(&img->geo, offset + length - 1);
	uint64_t from = geometry_region_start(&img->geo, first);
	uint64_t to = geometry_region_end(&img->geo, last);

	if (offset - from > LEAD_MAX)
		from = offset / img->piece_size * img->piece_size;
	to = min_u64(to, offset + length + FETCH_LENGTH_MAX);
	cover_range_locked(img, from, to, SOURCE_FOREGROUND, FETCH_LENGTH_MAX, UINT32_MAX);
	if (geometry_region_size(&img->geo) > LEAD_MAX)
		inflight_settle_range_locked(img, offset, offset + length, true);
}

/* Places the parts that are nowhere, and asks for what they miss. */
static void place_parts(struct image *img, struct image_request *req) CF_IMAGE_LOCKED
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t from = UINT64_MAX;
	uint64_t to = 0;

	mode_wait_reload_locked(img);
	for (uint32_t i = 0; i < req->nr_parts && !req->ended; i++) {
		struct read_part *part = &req->parts[i];
		int r;

		if (part->state != PART_WAITING || part->piece)
			continue;
		r = place(img, part, now_ns);
		if (r < 0)
			request_end_locked(img, req, r);
		if (part->state != PART_WAITING || !part->piece)
			continue;
		from = min_u64(from, part->offset);
		to = part->offset + part->length;
	}
	if (from < to) {
		request_wait_locked(img, req);
		ask(img, from, to - from);
		fetch_dispatch_locked(img, now_ns);
	}
}

/* ---- local parts ---- */

/* The next run of adjacent LOCAL parts, marked as READING; returns its length in parts. */
static uint32_t next_local(struct image_request *req, uint32_t *ret_first, uint64_t *ret_length)
{
	uint32_t first = 0;
	uint32_t nr = 0;

	while (first < req->nr_parts && req->parts[first].state != PART_LOCAL)
		first++;
	*ret_first = first;
	*ret_length = 0;
	while (first + nr < req->nr_parts && req->parts[first + nr].state == PART_LOCAL) {
		req->parts[first + nr].state = PART_READING;
		*ret_length += req->parts[first + nr++].length;
	}
	return nr;
}

/* What was read of @part is still what the destination holds for the image. */
static bool is_valid(struct image *img, const struct read_part *part) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, part->offset);
	const struct entry *entry;

	if (mode_is_lost(img, region, 1))
		return false;
	if (metadata_is_region_hydrated(img->metadata, region))
		return true;
	entry = inflight_find_locked(img, region);
	return entry && inflight_has_locally_locked(img, entry, part);
}

static void local_read(struct image *img, struct image_request *req, uint32_t first, uint32_t nr,
                       bool same_epoch) CF_IMAGE_LOCKED
{
	for (uint32_t i = first; i < first + nr && !req->ended; i++) {
		struct read_part *part = &req->parts[i];

		if (same_epoch && is_valid(img, part)) {
			part->state = PART_DONE;
			request_part_done_locked(img, req);
		} else {
			part->state = PART_WAITING;
			part->got = 0;
		}
	}
}

/* ---- mixed parts: P5 in partial.h ---- */

/* The valid sectors of one piece, as they were when the lock was let go. */
struct overlay {
	uint64_t words[PIECE_SIZE_MAX / VALID_SECTOR_SIZE / 64];
	uint32_t first, end; /* the sectors that a part touches */
	uint64_t start;      /* where the piece begins */
};

static struct read_part *next_mixed(struct image_request *req)
{
	for (uint32_t i = 0; i < req->nr_parts; i++) {
		if (req->parts[i].state == PART_MIXED)
			return &req->parts[i];
	}
	return NULL;
}

/* False: its region is not partial any more. */
static bool note_overlay(struct image *img, const struct read_part *part,
                         struct overlay *overlay) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, part->offset);
	const struct entry *entry = inflight_find_locked(img, region);
	uint64_t in_region = part->offset - geometry_region_start(&img->geo, region);
	uint32_t index = (uint32_t)(in_region / img->piece_size);
	uint64_t in_piece = in_region - (uint64_t)index * img->piece_size;

	if (!entry || !entry->valid || metadata_is_region_hydrated(img->metadata, region))
		return false;
	overlay->start = part->offset - in_piece;
	overlay->first = (uint32_t)(in_piece / VALID_SECTOR_SIZE);
	overlay->end = (uint32_t)((in_piece + part->length - 1) / VALID_SECTOR_SIZE + 1);
	memcpy(overlay->words, partial_piece_words(img, entry, index),
	       valid_sectors_nr_words(overlay->end) * sizeof(overlay->words[0]));
	return true;
}

/* Reads the valid sectors of @part over what came from the source. */
static int read_overlay(struct image *img, const struct read_part *part,
                        const struct overlay *overlay)
{
	uint64_t part_end = part->offset + part->length;
	uint32_t next;
	int r = 0;

	for (uint32_t sector = overlay->first; sector < overlay->end && r == 0; sector = next) {
		uint64_t from = overlay->start + (uint64_t)sector * VALID_SECTOR_SIZE;
		uint64_t to;
		bool valid;

		next = valid_sectors_run(overlay->words, sector, overlay->end, &valid);
		from = max_u64(from, part->offset);
		to = min_u64(overlay->start + (uint64_t)next * VALID_SECTOR_SIZE, part_end);
		if (valid)
			r = store_read(&img->store, part->req->buf + (from - part->req->offset),
			               to - from, from);
	}
	return r;
}

static void do_mixed(struct image *img, struct image_request *req,
                     struct read_part *part) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, part->offset);
	unsigned int epoch = atomic_load(&img->epoch);
	const struct entry *entry;
	struct overlay overlay;
	bool valid;
	int r;

	part->state = PART_WAITING;
	part->got = 0;
	if (!note_overlay(img, part, &overlay)) {
		place_parts(img, req);
		return;
	}
	part->state = PART_READING;
	image_unlock(img);
	r = read_overlay(img, part, &overlay);
	if (r < 0)
		r = destination_failed(img, r);
	image_lock(img);
	mode_wait_reload_locked(img);
	if (r < 0)
		request_end_locked(img, req, r);
	if (req->ended)
		return;
	entry = inflight_find_locked(img, region);
	valid = epoch == atomic_load(&img->epoch) && !mode_is_lost(img, region, 1) &&
	        ((entry && entry->valid) || metadata_is_region_hydrated(img->metadata, region));
	part->state = valid ? PART_DONE : PART_WAITING;
	if (valid)
		request_part_done_locked(img, req);
	else
		place_parts(img, req);
}

void read_local_parts_locked(struct image *img, struct image_request *req)
{
	for (;;) {
		unsigned int epoch = atomic_load(&img->epoch);
		uint64_t length;
		uint32_t first;
		uint32_t nr = req->ended ? 0 : next_local(req, &first, &length);
		struct read_part *mixed = nr || req->ended ? NULL : next_mixed(req);
		unsigned char *to;
		int r;

		if (mixed) {
			do_mixed(img, req, mixed);
			continue;
		}
		if (!nr)
			break;
		r = request_reply_locked(img, req);
		if (r < 0) {
			request_end_locked(img, req, r);
			break;
		}
		to = req->buf + (req->parts[first].offset - req->offset);
		image_unlock(img);
		r = store_read(&img->store, to, length, req->parts[first].offset);
		if (r < 0)
			r = destination_failed(img, r);
		image_lock(img);
		mode_wait_reload_locked(img);
		if (r < 0)
			request_end_locked(img, req, r);
		else
			local_read(img, req, first, nr, epoch == atomic_load(&img->epoch));
		place_parts(img, req);
	}
	req->local_busy = false;
	request_release_locked(img, req);
}

/* ---- image_read() ---- */

static struct image_request *make(struct image *img, uint64_t offset, size_t length,
                                  image_done_fn *done, void *user)
{
	uint64_t first = offset / img->piece_size;
	uint64_t last = (offset + length - 1) / img->piece_size;
	struct image_request *req =
	        request_new(img, REQUEST_READ, (uint32_t)(last - first + 1), done, user);

	if (!req)
		return NULL;
	req->offset = offset;
	req->length = length;
	req->open = req->nr_parts;
	for (uint32_t i = 0; i < req->nr_parts; i++) {
		uint64_t from = max_u64(offset, (first + i) * img->piece_size);
		uint64_t to = min_u64(offset + length, (first + i + 1) * img->piece_size);

		req->parts[i].offset = from;
		req->parts[i].length = (uint32_t)(to - from);
	}
	return req;
}

struct image_request *image_read(struct image *img, uint64_t offset, size_t length,
                                 image_done_fn *done, void *user)
{
	struct image_request *req;

	assert(length && offset + length <= img->geo.size);
	req = make(img, offset, length, done, user);
	if (!req)
		return NULL;
	image_lock(img);
	req->local_busy = true;
	request_hold_locked(img, req);
	place_parts(img, req);
	if (!req->error)
		readahead_read_locked(img, offset, length);
	read_local_parts_locked(img, req);
	image_unlock(img);
	return req;
}
