/*
 * The owner rule. An unhydrated region has at most one owner: its entry here. Only the owner
 * writes the region's range of the destination, and only the owner sets its bit.
 *
 * R1  Who saw the bit clear tests it again under the lock before making an entry.
 * R2  No byte from a source is ever written to a region whose bit is set.
 * R3  A whole-region change takes the entry over: pieces not yet with a writer are dropped, one in
 *     a writer's hands is waited for; then it writes, sets the bit, and readers that wait are
 *     answered from the destination (takeover.c).
 * R4  The bit is set after the last pwrite of the region returned; the entry goes away after that.
 * R5  Valid sectors, which users wrote in place, come from the destination, only the others from
 *     the reply; storing a piece and answering a reader look at them under the lock (partial.h).
 * R6  Two requests for the same bytes may run; they share the entry. What a piece takes are the
 *     bytes at its `filled` mark, whoever brings them; everything else is dropped. So a broken
 *     request goes on where it stopped and a second one hurts nobody.
 * R7  A run of zeros from the source is punched or written, never just left out (writers.c).
 * R8  An entry that ends without its bit goes away only after its last piece in a writer's hands,
 *     and its last write in place, has returned; the region is missing again, and who still waits
 *     is fetched for anew. A partial one ends so only as P4 in partial.h says.
 *
 * An entry is kept (its pieces go to the destination), not kept (full disk, mode ro, given up:
 * bytes only answer readers), or taken (a change owns it). The bit is set in the same critical
 * section in which the entry leaves the table, so that bytes that come find either of the two.
 */
#include "core/engine/inflight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/committer.h"
#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/mode.h"
#include "core/engine/partial.h"
#include "core/engine/request.h"
#include "core/engine/valid_sectors.h"
#include "core/engine/writers.h"

#define NR_BUCKETS 8192u
/* Requests at a time for one entry that needs several. */
#define FETCHES_PER_ENTRY 4

int inflight_init(struct inflight *inflight)
{
	*inflight = (struct inflight){.buckets = calloc(NR_BUCKETS, sizeof(struct entry *))};
	list_init(&inflight->entries);
	cf_cond_init(&inflight->owners);
	return inflight->buckets ? 0 : -ENOMEM;
}

void inflight_fini(struct inflight *inflight)
{
	free(inflight->buckets);
	inflight->buckets = NULL;
	cf_cond_fini(&inflight->owners);
}

static struct entry **bucket_of(const struct image *img, uint64_t region)
{
	return &img->inflight.buckets[region % NR_BUCKETS];
}

struct entry *inflight_find_locked(const struct image *img, uint64_t region)
{
	struct entry *entry = *bucket_of(img, region);

	while (entry && entry->region != region)
		entry = entry->next_in_bucket;
	return entry;
}

struct entry *inflight_add_locked(struct image *img, uint64_t region, bool keep)
{
	uint64_t length = geometry_region_length(&img->geo, region);
	uint32_t nr_pieces = (uint32_t)((length - 1) / img->piece_size + 1);
	struct entry *entry = calloc(1, sizeof(*entry) + nr_pieces * sizeof(struct piece));

	if (!entry)
		return NULL;
	entry->region = region;
	entry->cursor = geometry_region_start(&img->geo, region);
	entry->nr_pieces = nr_pieces;
	entry->keep = keep;
	list_init(&entry->parked);
	list_init(&entry->partial_link);
	list_init(&entry->todo_link);
	for (uint32_t i = 0; i < nr_pieces; i++) {
		list_init(&entry->pieces[i].queue_link);
		list_init(&entry->pieces[i].waits);
		entry->pieces[i].entry = entry;
	}
	entry->next_in_bucket = *bucket_of(img, region);
	*bucket_of(img, region) = entry;
	list_add_tail(&img->inflight.entries, &entry->link);
	img->inflight.nr_entries++;
	return entry;
}

void inflight_set_background_locked(struct image *img, struct entry *entry, bool background)
{
	if (entry->background == background)
		return;
	entry->background = background;
	if (background) {
		img->inflight.nr_background++;
	} else {
		img->inflight.nr_background--;
		hydrator_background_left_locked(img);
	}
}

/* Out of the table and freed; nobody waits for it and no piece of it is anywhere. */
static void entry_free(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	struct entry **at = bucket_of(img, entry->region);

	assert(!entry->nr_in_hands && !entry->nr_waits && list_is_empty(&entry->parked));
	inflight_drop_pieces_locked(img, entry);
	partial_forget_locked(img, entry);
	while (*at != entry)
		at = &(*at)->next_in_bucket;
	*at = entry->next_in_bucket;
	list_remove(&entry->link);
	img->inflight.nr_entries--;
	inflight_set_background_locked(img, entry, false);
	free(entry);
}

uint64_t inflight_piece_offset(const struct image *img, const struct piece *piece)
{
	const struct entry *entry = piece->entry;

	return geometry_region_start(&img->geo, entry->region) +
	       (uint64_t)(piece - entry->pieces) * img->piece_size;
}

uint32_t inflight_piece_length(const struct image *img, const struct piece *piece)
{
	uint64_t end = geometry_region_end(&img->geo, piece->entry->region);

	return (uint32_t)min_u64(img->piece_size, end - inflight_piece_offset(img, piece));
}

struct piece *inflight_next_piece_locked(struct image *img, const struct piece *piece)
{
	struct entry *entry = piece->entry;
	uint32_t next = (uint32_t)(piece - entry->pieces) + 1;

	if (next < entry->nr_pieces)
		return &entry->pieces[next];
	entry = inflight_find_locked(img, entry->region + 1);
	return entry ? &entry->pieces[0] : NULL;
}

static void release_buf(struct image *img, struct piece *piece) CF_IMAGE_LOCKED
{
	if (!piece->buf)
		return;
	budget_put_piece_locked(&img->budget, piece->use, piece->buf);
	piece->buf = NULL;
	fetch_resume_stalled_locked(img);
}

void inflight_drop_pieces_locked(struct image *img, struct entry *entry)
{
	for (uint32_t i = 0; i < entry->nr_pieces; i++) {
		struct piece *piece = &entry->pieces[i];

		if (piece->state == PIECE_WRITING)
			continue;
		list_remove(&piece->queue_link);
		piece->state = PIECE_EMPTY;
		piece->filled = 0;
		release_buf(img, piece);
	}
	entry->nr_filled = 0;
	entry->nr_stored = 0;
	cf_cond_broadcast(&img->inflight.owners);
}

/* ---- readers ---- */

void inflight_detach_locked(struct image *img, struct read_part *part)
{
	(void)img;
	assert(part->piece && part->piece->entry->nr_waits);
	part->piece->entry->nr_waits--;
	part->piece = NULL;
	list_remove(&part->link);
}

/* Copies what [offset, offset + length) has of the bytes that @part wants next. */
static void part_take(struct image *img, struct read_part *part, uint64_t offset,
                      const unsigned char *bytes, uint32_t length) CF_IMAGE_LOCKED
{
	struct image_request *req = part->req;
	uint64_t next = part->offset + part->got;
	bool mixed;
	uint64_t n;

	if (next < offset || next >= offset + length)
		return;
	if (request_reply_locked(img, req) < 0) {
		request_end_locked(img, req, -ENOMEM);
		return;
	}
	n = min_u64(offset + length, part->offset + part->length) - next;
	memcpy(req->buf + (next - req->offset), bytes + (next - offset), n);
	part->got += (uint32_t)n;
	if (part->got < part->length)
		return;
	mixed = partial_touches(img, part->piece->entry, part->offset, part->offset + part->length);
	inflight_detach_locked(img, part);
	part->state = mixed ? PART_MIXED : PART_DONE;
	if (mixed)
		writers_add_local_locked(img, req);
	else
		request_part_done_locked(img, req);
}

bool inflight_has_locally_locked(const struct image *img, const struct entry *entry,
                                 const struct read_part *part)
{
	uint64_t start = geometry_region_start(&img->geo, entry->region);
	const struct piece *piece = &entry->pieces[(part->offset - start) / img->piece_size];

	if (entry->owner || !entry->keep)
		return false;
	return piece->state == PIECE_STORED ||
	       partial_covers(img, entry, part->offset, part->offset + part->length);
}

void inflight_attach_locked(struct image *img, struct entry *entry, struct read_part *part)
{
	uint64_t start = geometry_region_start(&img->geo, entry->region);
	struct piece *piece = &entry->pieces[(part->offset - start) / img->piece_size];

	if (inflight_has_locally_locked(img, entry, part)) {
		part->state = PART_LOCAL;
		return;
	}
	part->state = PART_WAITING;
	part->piece = piece;
	list_add_tail(&piece->waits, &part->link);
	entry->nr_waits++;
	if (entry->keep && !entry->owner && piece->filled && piece->buf)
		part_take(img, part, inflight_piece_offset(img, piece), piece->buf, piece->filled);
}

static void answer_waits(struct image *img, struct piece *piece, uint64_t offset,
                         const unsigned char *bytes, uint32_t length) CF_IMAGE_LOCKED
{
	list_for_each_safe (link, &piece->waits)
		part_take(img, list_entry(link, struct read_part, link), offset, bytes, length);
}

/* ---- bytes ---- */

static bool piece_take(struct image *img, struct piece *piece, uint64_t offset,
                       const unsigned char *bytes, uint32_t length,
                       enum budget_use use) CF_IMAGE_LOCKED
{
	uint64_t start = inflight_piece_offset(img, piece);
	uint64_t next = start + piece->filled;
	uint32_t n;

	if (piece->state > PIECE_FILLING || next < offset || next >= offset + length)
		return true;
	if (piece->state == PIECE_EMPTY) {
		piece->buf = budget_get_piece_locked(&img->budget, use);
		if (!piece->buf)
			return false;
		piece->use = use;
		piece->state = PIECE_FILLING;
	}
	n = (uint32_t)(offset + length - next);
	memcpy(piece->buf + piece->filled, bytes + (next - offset), n);
	piece->filled += n;
	if (piece->filled == inflight_piece_length(img, piece)) {
		piece->state = PIECE_QUEUED;
		piece->entry->nr_filled++;
		if (!piece->nr_writes)
			writers_add_piece_locked(img, piece);
	}
	return true;
}

bool inflight_arrive_locked(struct image *img, uint64_t offset, const unsigned char *bytes,
                            uint32_t length, enum budget_use use)
{
	uint64_t region = geometry_region_of(&img->geo, offset);
	struct entry *entry = inflight_find_locked(img, region);
	uint64_t start = geometry_region_start(&img->geo, region);
	struct piece *piece;

	if (!entry || entry->owner)
		return true;
	piece = &entry->pieces[(offset - start) / img->piece_size];
	answer_waits(img, piece, offset, bytes, length);
	if (entry->keep)
		return piece_take(img, piece, offset, bytes, length,
		                  inflight_is_awaited(entry) ? BUDGET_FOREGROUND : use);
	if (!entry->nr_waits)
		inflight_settle_locked(img, entry, false);
	return true;
}

uint64_t inflight_need_locked(const struct image *img, const struct entry *entry, uint32_t index)
{
	const struct piece *piece = &entry->pieces[index];
	uint64_t need = UINT64_MAX;

	if (entry->owner)
		return UINT64_MAX;
	if (entry->keep)
		return piece->state > PIECE_FILLING
		               ? UINT64_MAX
		               : inflight_piece_offset(img, piece) + piece->filled;
	list_for_each (link, &piece->waits) {
		const struct read_part *part = list_entry(link, struct read_part, link);

		need = min_u64(need, part->offset + part->got);
	}
	return need;
}

bool inflight_is_awaited(const struct entry *entry)
{
	return entry->nr_waits || !list_is_empty(&entry->parked);
}

bool inflight_region_needs_source_locked(struct image *img, uint64_t region)
{
	const struct entry *entry = inflight_find_locked(img, region);

	return entry && !entry->owner && !(entry->keep && entry->nr_filled == entry->nr_pieces);
}

/* ---- how an entry goes on and ends ---- */

void inflight_stop_keeping_locked(struct image *img, struct entry *entry, int error)
{
	entry->keep = false;
	partial_drop_locked(img, entry);
	inflight_drop_pieces_locked(img, entry);
	if (!error)
		return;
	list_for_each_safe (link, &entry->parked)
		request_end_locked(img, list_entry(link, struct parked, link)->req, error);
}

/* An entry that is not kept and has no reader: R8. True: it is gone. */
static bool end_unkept(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	if (entry->nr_in_hands)
		return true;
	if (list_is_empty(&entry->parked)) {
		entry_free(img, entry);
		return true;
	}
	/* Writes parked here while it was not kept: the region is fetched anew, to be kept. */
	inflight_drop_pieces_locked(img, entry);
	entry->keep = true;
	return false;
}

/* Readers first, then the rest of the region, from the first reader's piece on and around. */
static void ask_for_rest(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	uint64_t start = geometry_region_start(&img->geo, entry->region);
	uint64_t end = geometry_region_end(&img->geo, entry->region);
	enum source_class class = !list_is_empty(&entry->parked) ? SOURCE_FOREGROUND
	                          : entry->background            ? SOURCE_BACKGROUND
	                                                         : SOURCE_READAHEAD;
	unsigned int running, room;

	for (uint32_t i = 0; i < entry->nr_pieces && entry->nr_waits; i++) {
		struct piece *piece = &entry->pieces[i];
		uint64_t at = inflight_piece_offset(img, piece);

		if (!list_is_empty(&piece->waits))
			cover_range_locked(img, at, at + inflight_piece_length(img, piece),
			                   SOURCE_FOREGROUND, FETCH_LENGTH_MAX, UINT32_MAX);
	}
	running = fetch_count_locked(img, start, end);
	room = FETCHES_PER_ENTRY > running ? FETCHES_PER_ENTRY - running : 0;
	room -= cover_range_locked(img, entry->cursor, end, class, FETCH_LENGTH_MAX, room);
	cover_range_locked(img, start, entry->cursor, class, FETCH_LENGTH_MAX, room);
}

void inflight_settle_locked(struct image *img, struct entry *entry, bool may_continue)
{
	bool awaited = inflight_is_awaited(entry);

	if (entry->owner)
		return;
	if (entry->keep && entry->nr_filled == entry->nr_pieces)
		return;
	if (entry->valid && !img->stopping) {
		if (awaited)
			ask_for_rest(img, entry);
		partial_todo_locked(img, entry);
		return;
	}
	if (entry->keep && !awaited && !may_continue) {
		if (fetch_touches_region_locked(img, entry->region))
			return;
		inflight_stop_keeping_locked(img, entry, 0);
	}
	if (!entry->keep && !entry->nr_waits && end_unkept(img, entry))
		return;
	ask_for_rest(img, entry);
}

/* Who waits for @piece finds his bytes in the destination. */
static void send_to_destination(struct image *img, struct piece *piece) CF_IMAGE_LOCKED
{
	list_for_each_safe (link, &piece->waits) {
		struct read_part *part = list_entry(link, struct read_part, link);

		inflight_detach_locked(img, part);
		part->state = PART_LOCAL;
		writers_add_local_locked(img, part->req);
	}
}

void inflight_remove_hydrated_locked(struct image *img, struct entry *entry)
{
	for (uint32_t i = 0; i < entry->nr_pieces && entry->nr_waits; i++)
		send_to_destination(img, &entry->pieces[i]);
	for (struct list *link; (link = list_pop(&entry->parked));)
		writers_add_parked_locked(img, list_entry(link, struct parked, link));
	entry_free(img, entry);
	committer_note_change_locked(img);
	if (metadata_nr_hydrated(img->metadata) < img->geo.nr_regions)
		return;
	/* A complete image needs no more room, whether or not there is any, and somebody may wait
	 * for it. */
	hydrator_took_data_locked(img);
	committer_want_locked(img);
}

/* All of it is in the destination and nobody writes to it: R4. @entry is gone afterwards, but when
 * the mode is not rw and readers are left. */
static void entry_hydrated(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	uint64_t region = entry->region;
	bool set;

	if (entry->valid)
		set = mode_mark_written(img, region, 1, region, 1) == 0;
	else
		set = image_mode(img) == IMAGE_RW &&
		      metadata_set_region(img->metadata, region) == 0;
	if (set) {
		inflight_remove_hydrated_locked(img, entry);
	} else if (entry->valid) {
		mode_fail_locked(img, "a region that users wrote cannot be marked in the metadata");
	} else {
		inflight_stop_keeping_locked(img, entry, -EIO);
		inflight_settle_locked(img, entry, false);
	}
}

/* True: it was, and is gone. */
static bool end_if_hydrated(struct image *img, struct entry *entry) CF_IMAGE_LOCKED
{
	if (!entry->keep || entry->owner || entry->nr_in_hands ||
	    entry->nr_stored < entry->nr_pieces)
		return false;
	entry_hydrated(img, entry);
	return true;
}

/* The destination refused it. Of an entry that nobody wrote to, nothing is kept any more. */
static void piece_refused(struct image *img, struct entry *entry, int error) CF_IMAGE_LOCKED
{
	if (!entry->valid) {
		inflight_stop_keeping_locked(img, entry, error);
	} else {
		entry->nr_filled--;
		partial_refused_locked(img, entry, error);
		list_for_each_safe (link, &entry->parked)
			request_end_locked(img, list_entry(link, struct parked, link)->req, error);
	}
	hydrator_no_space_locked(img, error);
}

void inflight_piece_returned_locked(struct image *img, struct piece *piece, int error)
{
	struct entry *entry = piece->entry;

	assert(entry->nr_in_hands && piece->state == PIECE_WRITING);
	entry->nr_in_hands--;
	cf_cond_broadcast(&img->inflight.owners);
	if (!error && entry->keep && !entry->owner) {
		piece->state = PIECE_STORED;
		release_buf(img, piece);
		entry->nr_stored++;
		end_if_hydrated(img, entry);
		return;
	}
	piece->state = PIECE_EMPTY;
	piece->filled = 0;
	release_buf(img, piece);
	if (entry->owner)
		return;
	if (error && entry->keep)
		piece_refused(img, entry, error);
	inflight_settle_locked(img, entry, false);
}

/* ---- writes in place ---- */

static uint32_t piece_of(const struct image *img, const struct entry *entry, uint64_t offset)
{
	return (uint32_t)((offset - geometry_region_start(&img->geo, entry->region)) /
	                  img->piece_size);
}

bool inflight_is_being_stored_locked(const struct image *img, const struct entry *entry,
                                     uint64_t from, uint64_t to)
{
	for (uint32_t i = piece_of(img, entry, from); i <= piece_of(img, entry, to - 1); i++) {
		enum piece_state state = entry->pieces[i].state;

		if (state == PIECE_QUEUED || state == PIECE_WRITING)
			return true;
	}
	return false;
}

void inflight_write_begins_locked(struct image *img, struct entry *entry, uint64_t from,
                                  uint64_t to)
{
	for (uint32_t i = piece_of(img, entry, from); i <= piece_of(img, entry, to - 1); i++)
		entry->pieces[i].nr_writes++;
	entry->nr_writes++;
	entry->nr_in_hands++;
}

/* No write in place is under way: users may have made it whole, or it waited for them only. */
static void piece_look(struct image *img, struct piece *piece) CF_IMAGE_LOCKED
{
	struct entry *entry = piece->entry;
	uint64_t offset = inflight_piece_offset(img, piece);
	bool whole = partial_covers(img, entry, offset, offset + inflight_piece_length(img, piece));

	if (piece->nr_writes || piece->state > PIECE_QUEUED)
		return;
	if (!whole) {
		if (piece->state == PIECE_QUEUED)
			writers_add_piece_locked(img, piece);
		return;
	}
	if (piece->state != PIECE_QUEUED)
		entry->nr_filled++;
	piece->state = PIECE_STORED;
	entry->nr_stored++;
	release_buf(img, piece);
	send_to_destination(img, piece);
}

void inflight_write_ended_locked(struct image *img, struct entry *entry, uint64_t from, uint64_t to)
{
	uint64_t start = geometry_region_start(&img->geo, entry->region);
	uint64_t end = geometry_region_end(&img->geo, entry->region);

	for (uint32_t i = piece_of(img, entry, from); i <= piece_of(img, entry, to - 1); i++) {
		entry->pieces[i].nr_writes--;
		if (entry->keep && !entry->owner)
			piece_look(img, &entry->pieces[i]);
	}
	entry->nr_writes--;
	entry->nr_in_hands--;
	cf_cond_broadcast(&img->inflight.owners);
	if (end_if_hydrated(img, entry))
		fetch_cancel_useless_locked(img, start, end);
	else
		inflight_settle_locked(img, entry, false);
}

void inflight_given_back_locked(struct image *img, struct entry *entry)
{
	/* What users have made whole is so still: it was dropped with the rest. */
	for (uint32_t i = 0; i < entry->nr_pieces && entry->valid; i++)
		piece_look(img, &entry->pieces[i]);
	if (!end_if_hydrated(img, entry))
		inflight_settle_locked(img, entry, false);
}

/* ---- ranges ---- */

void inflight_fail_locked(struct image *img, uint64_t from, uint64_t to, int error)
{
	uint64_t last = geometry_region_of(&img->geo, to - 1);

	for (uint64_t region = geometry_region_of(&img->geo, from); region <= last; region++) {
		struct entry *entry = inflight_find_locked(img, region);

		if (!entry || entry->owner)
			continue;
		for (uint32_t i = 0; i < entry->nr_pieces && entry->nr_waits; i++) {
			struct list *waits = &entry->pieces[i].waits;

			while (!list_is_empty(waits))
				request_end_locked(
				        img, list_entry(waits->next, struct read_part, link)->req,
				        error);
		}
		while (!list_is_empty(&entry->parked)) {
			struct list *link = list_pop(&entry->parked);
			struct parked *parked = list_entry(link, struct parked, link);

			request_end_locked(img, parked->req, error);
		}
	}
}

void inflight_settle_range_locked(struct image *img, uint64_t from, uint64_t to, bool may_continue)
{
	uint64_t last = geometry_region_of(&img->geo, to - 1);

	for (uint64_t region = geometry_region_of(&img->geo, from); region <= last; region++) {
		struct entry *entry = inflight_find_locked(img, region);

		if (entry)
			inflight_settle_locked(img, entry, may_continue);
	}
}

void inflight_settle_all_locked(struct image *img, bool may_continue)
{
	list_for_each_safe (link, &img->inflight.entries)
		inflight_settle_locked(img, list_entry(link, struct entry, link), may_continue);
}
