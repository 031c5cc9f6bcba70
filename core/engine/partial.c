/* Writes in place, what waits for them, and how what they leave out is asked for. The pieces
 * themselves are inflight.c's. */
#include "core/engine/partial.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/engine/committer.h"
#include "core/engine/cover.h"
#include "core/engine/events.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/mode.h"
#include "core/engine/request.h"
#include "core/engine/valid_sectors.h"

/* A region that was written a moment ago may be written whole in the next one. */
#define FILL_DELAY_NS (100 * CF_NS_PER_MS)
#define RANGES_MAX    512

void partial_init(struct partial *partial)
{
	*partial = (struct partial){0};
	list_init(&partial->entries);
	list_init(&partial->todo);
	list_init(&partial->flushes);
}

void partial_fini(struct partial *partial)
{
	if (partial->nr_not_kept)
		written_fini(&partial->not_kept);
}

/* ---- sectors ---- */

static uint64_t start_of(const struct image *img, const struct entry *entry)
{
	return geometry_region_start(&img->geo, entry->region);
}

static uint32_t first_sector(const struct image *img, const struct entry *entry, uint64_t from)
{
	return (uint32_t)((from - start_of(img, entry)) / VALID_SECTOR_SIZE);
}

/* The image's end may be inside its last sector. */
static uint32_t end_sector(const struct image *img, const struct entry *entry, uint64_t to)
{
	return first_sector(img, entry, to + VALID_SECTOR_SIZE - 1);
}

const uint64_t *partial_piece_words(const struct image *img, const struct entry *entry,
                                    uint32_t index)
{
	return entry->valid + (size_t)index * img->piece_size / VALID_SECTOR_SIZE / 64;
}

bool partial_covers(const struct image *img, const struct entry *entry, uint64_t from, uint64_t to)
{
	return entry->valid && valid_sectors_are_all(entry->valid, first_sector(img, entry, from),
	                                             end_sector(img, entry, to));
}

bool partial_touches(const struct image *img, const struct entry *entry, uint64_t from, uint64_t to)
{
	return entry->valid && valid_sectors_are_any(entry->valid, first_sector(img, entry, from),
	                                             end_sector(img, entry, to));
}

/* ---- writes ---- */

/* P8. */
static bool may_begin(const struct image *img, uint64_t region, const struct entry *entry,
                      uint64_t from, uint64_t to) CF_IMAGE_LOCKED
{
	if (from % VALID_SECTOR_SIZE || (to % VALID_SECTOR_SIZE && to != img->geo.size))
		return false;
	if (!img->source || img->outage.state != SOURCE_STATE_OK || img->hydrator.no_space)
		return false;
	if (entry && (entry->owner || !entry->keep))
		return false;
	return (entry && entry->valid) ||
	       img->partial.bytes + geometry_region_length(&img->geo, region) <= PARTIAL_LIMIT;
}

static int become_partial(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	uint64_t length = geometry_region_length(&img->geo, entry->region);
	uint32_t nr_sectors = (uint32_t)((length - 1) / VALID_SECTOR_SIZE + 1);

	entry->valid = calloc(valid_sectors_nr_words(nr_sectors), sizeof(*entry->valid));
	if (!entry->valid)
		return -ENOMEM;
	entry->partial_seq = ++img->partial.last_seq;
	entry->partial_since_ns = clock_monotonic_ns();
	list_add_tail(&img->partial.entries, &entry->partial_link);
	img->partial.bytes += length;
	return 0;
}

int partial_begin_locked(struct image *img, uint64_t from, uint64_t to, struct entry **ret_entry)
{
	uint64_t region = geometry_region_of(&img->geo, from);
	struct entry *entry;

	*ret_entry = NULL;
	for (;;) {
		if (img->stopping || image_mode(img) != IMAGE_RW)
			return -EIO;
		if (metadata_is_region_hydrated(img->metadata, region))
			return 0;
		entry = inflight_find_locked(img, region);
		if (!may_begin(img, region, entry, from, to))
			return 0;
		if (!entry || !inflight_is_being_stored_locked(img, entry, from, to))
			break;
		cf_cond_wait(&img->inflight.owners, &img->lock);
	}
	if (!entry)
		entry = inflight_add_locked(img, region, true);
	if (!entry)
		return -ENOMEM;
	if (!entry->valid && become_partial(img, entry) < 0) {
		inflight_settle_locked(img, entry, false);
		return -ENOMEM;
	}
	inflight_set_background_locked(img, entry, false);
	inflight_write_begins_locked(img, entry, from, to);
	*ret_entry = entry;
	return 0;
}

static bool is_empty(const struct image *img, const struct entry *entry)
{
	return !partial_touches(img, entry, start_of(img, entry),
	                        geometry_region_end(&img->geo, entry->region));
}

int partial_end_locked(struct image *img, struct entry *entry, uint64_t from, uint64_t to,
                       int error)
{
	/* The mode left rw, or the image stopped: what was written is lost, and that was said. */
	if (!error && (!entry->valid || image_mode(img) != IMAGE_RW))
		error = -EIO;
	if (!error)
		valid_sectors_set(entry->valid, first_sector(img, entry, from),
		                  end_sector(img, entry, to));
	else if (entry->valid && entry->nr_writes == 1 && is_empty(img, entry))
		partial_forget_locked(img, entry);
	inflight_write_ended_locked(img, entry, from, to);
	return error;
}

/* ---- flushes ---- */

static const struct entry *oldest(const struct image *img) CF_IMAGE_LOCKED
{
	const struct list *entries = &img->partial.entries;

	return list_is_empty(entries) ? NULL
	                              : list_entry(entries->next, struct entry, partial_link);
}

/* Those whose regions have their bits take their tickets. */
static void release_flushes(struct image *img) CF_IMAGE_LOCKED
{
	const struct entry *first = oldest(img);

	while (!list_is_empty(&img->partial.flushes)) {
		struct image_request *req =
		        list_entry(img->partial.flushes.next, struct image_request, link);

		if (first && first->partial_seq <= req->flush_seq)
			return;
		list_remove(&req->link);
		list_remove(&req->waiting_link);
		req->flush_seq = 0;
		committer_add_locked(img, req);
	}
}

void partial_forget_locked(struct image *img, struct entry *entry)
{
	if (!entry->valid)
		return;
	free(entry->valid);
	entry->valid = NULL;
	list_remove(&entry->partial_link);
	list_remove(&entry->todo_link);
	img->partial.bytes -= geometry_region_length(&img->geo, entry->region);
	release_flushes(img);
}

bool partial_flush_needs_source_locked(struct image *img, uint64_t seq)
{
	list_for_each (link, &img->partial.entries) {
		const struct entry *entry = list_entry(link, struct entry, partial_link);

		if (entry->partial_seq > seq)
			return false;
		if (!entry->owner && entry->nr_filled < entry->nr_pieces)
			return true;
	}
	return false;
}

void partial_flush_locked(struct image *img, struct image_request *req)
{
	uint64_t seq = img->partial.last_seq;
	bool never = img->outage.state == SOURCE_STATE_CHANGED || !img->source;

	if (image_mode(img) != IMAGE_RW || !oldest(img)) {
		committer_add_locked(img, req);
		return;
	}
	if (never && partial_flush_needs_source_locked(img, seq)) {
		request_end_locked(img, req, -EIO);
		return;
	}
	req->flush_seq = seq;
	list_add_tail(&img->partial.flushes, &req->link);
	request_wait_locked(img, req);
	fetch_promote_awaited_locked(img);
	hydrator_wake_locked(img);
}

bool partial_is_awaited_locked(const struct image *img, const struct entry *entry)
{
	const struct list *flushes = &img->partial.flushes;

	return entry->valid && !list_is_empty(flushes) &&
	       entry->partial_seq <=
	               list_entry(flushes->prev, struct image_request, link)->flush_seq;
}

void partial_refused_locked(struct image *img, const struct entry *entry, int error)
{
	list_for_each_safe (link, &img->partial.flushes) {
		struct image_request *req = list_entry(link, struct image_request, link);

		if (entry->partial_seq <= req->flush_seq)
			request_end_locked(img, req, error);
	}
}

/* ---- fill ---- */

bool partial_has_todo_locked(const struct image *img)
{
	return !list_is_empty(&img->partial.todo);
}

bool partial_wants_source_locked(const struct image *img)
{
	return image_mode(img) == IMAGE_RW && !img->stopping && oldest(img);
}

bool partial_is_filled_by_locked(const struct image *img, const struct fetch *fetch)
{
	uint64_t last = geometry_region_of(&img->geo, fetch->end - 1);

	for (uint64_t region = geometry_region_of(&img->geo, fetch->start); region <= last;
	     region++) {
		const struct entry *entry = inflight_find_locked(img, region);

		if (entry && entry->valid)
			return true;
	}
	return false;
}

static bool is_hurried(const struct image *img) CF_IMAGE_LOCKED
{
	return !list_is_empty(&img->partial.flushes) || img->partial.bytes > PARTIAL_LIMIT / 2;
}

static uint64_t due_ns(const struct image *img, const struct entry *entry) CF_IMAGE_LOCKED
{
	return is_hurried(img) ? 0 : entry->partial_since_ns + FILL_DELAY_NS;
}

void partial_todo_locked(struct image *img, struct entry *entry)
{
	if (!entry->valid || entry->owner || entry->nr_filled == entry->nr_pieces ||
	    !list_is_empty(&entry->todo_link) || fetch_touches_region_locked(img, entry->region))
		return;
	list_add_tail(&img->partial.todo, &entry->todo_link);
	hydrator_wake_before_locked(img, due_ns(img, entry));
}

static bool may_send(const struct image *img, enum source_class class) CF_IMAGE_LOCKED
{
	return !img->fetches.nr_queued[SOURCE_FOREGROUND] && !img->fetches.nr_queued[class] &&
	       fetch_has_slot_locked(img, class) &&
	       (class == SOURCE_FOREGROUND || budget_has_room_locked(&img->budget, BUDGET_READAHEAD,
	                                                             img->budget.pool.piece_size));
}

/* Unless a fetch brings some of it already: the end of that one comes back to it. False: no
 * memory. */
static bool ask_for(struct image *img, struct entry *entry, enum source_class class) CF_IMAGE_LOCKED
{
	list_remove(&entry->todo_link);
	if (entry->owner || entry->nr_filled == entry->nr_pieces ||
	    fetch_touches_region_locked(img, entry->region))
		return true;
	if (cover_range_locked(img, start_of(img, entry),
	                       geometry_region_end(&img->geo, entry->region), class,
	                       FETCH_LENGTH_MAX, UINT32_MAX))
		return true;
	list_add_tail(&img->partial.todo, &entry->todo_link);
	return false;
}

uint64_t partial_fill_locked(struct image *img, uint64_t now_ns)
{
	struct hydrator *hydrator = &img->hydrator;
	enum source_class class =
	        list_is_empty(&img->partial.flushes) ? SOURCE_READAHEAD : SOURCE_FOREGROUND;

	if (!partial_wants_source_locked(img) || !img->source ||
	    img->outage.state != SOURCE_STATE_OK)
		return NEVER_NS;
	while (partial_has_todo_locked(img) && may_send(img, class)) {
		struct entry *entry = list_entry(img->partial.todo.next, struct entry, todo_link);

		if (now_ns < due_ns(img, entry))
			return due_ns(img, entry);
		if (now_ns < hydrator->failed_until_ns)
			return hydrator->failed_until_ns;
		if (!hydrator_keeps_locked(img, now_ns))
			return hydrator->next_try_ns;
		if (!ask_for(img, entry, class))
			return now_ns + CF_NS_PER_S;
		fetch_dispatch_locked(img, now_ns);
	}
	return NEVER_NS;
}

/* ---- ends ---- */

void partial_mark_lost_locked(struct image *img)
{
	list_for_each (link, &img->partial.entries)
		written_mark(&img->written, list_entry(link, struct entry, partial_link)->region,
		             1);
}

void partial_drop_locked(struct image *img, struct entry *entry)
{
	struct partial *partial = &img->partial;

	if (entry->valid && img->stopping && image_mode(img) == IMAGE_RW) {
		if (partial->nr_not_kept++ == 0)
			partial->can_name =
			        written_init(&partial->not_kept, img->geo.nr_regions) == 0;
		if (partial->can_name)
			written_mark(&partial->not_kept, entry->region, 1);
	}
	partial_forget_locked(img, entry);
}

void partial_tell_not_kept_locked(struct image *img)
{
	struct partial *partial = &img->partial;
	char ranges[RANGES_MAX] = "";

	if (partial->nr_not_kept == partial->nr_told)
		return;
	partial->nr_told = partial->nr_not_kept;
	if (partial->can_name)
		written_describe(&partial->not_kept, ranges, sizeof(ranges));
	events_push_locked(img, IMAGE_EVENT_NOT_KEPT, partial->nr_not_kept, "%s", ranges);
}
