/*
 * A fetch is queued (by class, perhaps not before some time), running (the backend has it) or over.
 * Foreground goes before read-ahead before background; some connections are kept free of the
 * latter two. A fetch that broke is queued again at its position (retry.c).
 */
#include "core/engine/fetch.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "core/engine/fetch_sink.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/outage.h"
#include "core/engine/pacing.h"
#include "core/engine/partial.h"
#include "core/engine/room.h"
#include "core/engine/silence.h"

void fetch_init(struct fetches *fetches)
{
	*fetches = (struct fetches){0};
	for (int i = 0; i < FETCH_NR_CLASSES; i++)
		list_init(&fetches->queued[i]);
	list_init(&fetches->running);
}

static void enqueue(struct image *img, struct fetch *fetch, bool first) CF_IMAGE_LOCKED
{
	struct list *queue = &img->fetches.queued[fetch->class];

	if (first)
		list_add_head(queue, &fetch->link);
	else
		list_add_tail(queue, &fetch->link);
	img->fetches.nr_queued[fetch->class]++;
}

static void dequeue(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED
{
	list_remove(&fetch->link);
	img->fetches.nr_queued[fetch->class]--;
}

static struct fetch *fetch_new(struct image *img, uint64_t start, uint64_t end,
                               enum source_class class) CF_IMAGE_LOCKED
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->img = img;
	fetch->class = class;
	fetch->start = fetch->pos = start;
	fetch->end = end;
	list_init(&fetch->link);
	enqueue(img, fetch, false);
	return fetch;
}

bool fetch_add_locked(struct image *img, uint64_t start, uint64_t end, enum source_class class)
{
	if (class == SOURCE_FOREGROUND) {
		list_for_each (link, &img->fetches.queued[class]) {
			struct fetch *fetch = list_entry(link, struct fetch, link);

			if (fetch->is_probe || fetch->not_before_ns ||
			    fetch->end - fetch->pos + (end - start) > FETCH_LENGTH_MAX)
				continue;
			if (fetch->end == start) {
				fetch->end = end;
				return true;
			}
			if (fetch->start == end && fetch->pos == end) {
				fetch->start = fetch->pos = start;
				return true;
			}
		}
	}
	return fetch_new(img, start, end, class) != NULL;
}

bool fetch_probe_locked(struct image *img, uint64_t short_ns)
{
	struct fetch *fetch = fetch_new(img, 0, 1, SOURCE_FOREGROUND);

	if (!fetch)
		return false;
	fetch->is_probe = true;
	fetch->fresh = true;
	fetch->short_ns = short_ns;
	dequeue(img, fetch);
	enqueue(img, fetch, true);
	return true;
}

/* ---- looking ---- */

static bool brings(const struct fetch *fetch, uint64_t from, uint64_t to)
{
	return !fetch->cancelled && !fetch->is_probe && fetch->pos < to && fetch->end > from;
}

struct fetch *fetch_find_locked(const struct image *img, uint64_t offset)
{
	struct fetch *best = NULL;

	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (brings(fetch, offset, offset + 1) && (!best || fetch->pos > best->pos))
			best = fetch;
	}
	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		list_for_each (link, &img->fetches.queued[i]) {
			struct fetch *fetch = list_entry(link, struct fetch, link);

			if (brings(fetch, offset, offset + 1) && (!best || fetch->pos > best->pos))
				best = fetch;
		}
	}
	return best;
}

unsigned int fetch_count_locked(const struct image *img, uint64_t from, uint64_t to)
{
	unsigned int count = 0;

	list_for_each (link, &img->fetches.running)
		count += brings(list_entry(link, struct fetch, link), from, to);
	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		list_for_each (link, &img->fetches.queued[i])
			count += brings(list_entry(link, struct fetch, link), from, to);
	}
	return count;
}

bool fetch_touches_region_locked(const struct image *img, uint64_t region)
{
	return fetch_count_locked(img, geometry_region_start(&img->geo, region),
	                          geometry_region_end(&img->geo, region)) > 0;
}

uint64_t fetch_running_since_locked(const struct image *img)
{
	uint64_t since_ns = NEVER_NS;

	list_for_each (link, &img->fetches.running) {
		const struct fetch *fetch = list_entry(link, struct fetch, link);

		if (!fetch->is_probe && !fetch->cancelled)
			since_ns = min_u64(since_ns, fetch->submitted_ns);
	}
	return since_ns;
}

bool fetch_is_awaited_locked(const struct image *img, const struct fetch *fetch)
{
	if (fetch->is_probe)
		return true;
	for (uint64_t at = fetch->pos; at < fetch->end;) {
		uint64_t region = geometry_region_of(&img->geo, at);
		const struct entry *entry = inflight_find_locked(img, region);

		if (entry && !entry->owner &&
		    (inflight_is_awaited(entry) || partial_is_awaited_locked(img, entry)))
			return true;
		at = geometry_region_end(&img->geo, region);
	}
	return false;
}

bool fetch_is_idle_locked(const struct image *img)
{
	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		if (!list_is_empty(&img->fetches.queued[i]))
			return false;
	}
	return list_is_empty(&img->fetches.running);
}

/* ---- joining ---- */

void fetch_join_locked(struct image *img, struct fetch *fetch)
{
	fetch->joined = true;
	if (fetch->stalled)
		fetch_resume_stalled_locked(img);
}

bool fetch_cut_locked(struct image *img, struct fetch *fetch, uint64_t from, uint64_t to)
{
	struct fetch *tail;

	if (from <= fetch->pos && to >= fetch->end) {
		dequeue(img, fetch);
		fetch->class = SOURCE_FOREGROUND;
		fetch->not_before_ns = 0;
		enqueue(img, fetch, false);
		return false;
	}
	if (from <= fetch->pos) {
		fetch->pos = to;
		return true;
	}
	if (to < fetch->end) {
		tail = fetch_new(img, to, fetch->end, fetch->class);
		if (!tail)
			return false;
		tail->not_before_ns = fetch->not_before_ns;
		tail->attempts = fetch->attempts;
	}
	fetch->end = from;
	return true;
}

/* ---- sending ---- */

void fetch_cancel_running_locked(struct image *img, struct fetch *fetch)
{
	if (fetch->cancelled)
		return;
	fetch->cancelled = true;
	source_cancel(img->source, &fetch->req);
}

void fetch_ask_again_locked(struct image *img, struct fetch *fetch, bool yields)
{
	fetch->yields = yields;
	source_cancel(img->source, &fetch->req);
}

/* Of a source that is known to bear few requests the next one is the reader's who waits for it. */
static bool is_kept_for_readers(const struct image *img)
{
	return img->pushback.limit != UINT_MAX && img->fetches.nr_queued[SOURCE_FOREGROUND];
}

static unsigned int share_of_background(const struct image *img, unsigned int max)
{
	unsigned int kept = max > 1 ? (max > 4 ? max / 4 : 1) : 0;
	unsigned int limit = img->pacing.background_limit;

	return limit < max - kept ? limit : max - kept;
}

unsigned int fetch_nr_running_locked(const struct image *img)
{
	const unsigned int *running = img->fetches.nr_running;

	return running[SOURCE_FOREGROUND] + running[SOURCE_READAHEAD] + running[SOURCE_BACKGROUND];
}

bool fetch_has_slot_locked(const struct image *img, enum source_class class)
{
	const unsigned int *running = img->fetches.nr_running;
	unsigned int others = running[SOURCE_READAHEAD] + running[SOURCE_BACKGROUND];
	unsigned int all = fetch_nr_running_locked(img);
	unsigned int max = img->settings.max_connections;

	if (class == SOURCE_FOREGROUND || all >= max)
		return all < max;
	if (img->pushback.limit < max)
		max = img->pushback.limit;
	if (all >= max || is_kept_for_readers(img) || (max > 1 && others >= max - 1))
		return false;
	return class == SOURCE_READAHEAD ||
	       running[SOURCE_BACKGROUND] < share_of_background(img, max);
}

/* The first byte at or behind @at, before @end, that an entry wants; @end: there is none. */
static uint64_t first_wanted(struct image *img, uint64_t at, uint64_t end) CF_IMAGE_LOCKED
{
	while (at < end) {
		uint64_t region = geometry_region_of(&img->geo, at);
		uint64_t begin = geometry_region_start(&img->geo, region);
		struct entry *entry = inflight_find_locked(img, region);
		uint32_t index = (uint32_t)((at - begin) / img->piece_size);
		uint64_t need = entry ? inflight_need_locked(img, entry, index) : UINT64_MAX;

		if (need != UINT64_MAX)
			return min_u64(max_u64(need, at), end);
		at = entry ? begin + (index + UINT64_C(1)) * img->piece_size
		           : geometry_region_end(&img->geo, region);
	}
	return end;
}

/* Skips what is not wanted any more at its beginning; false: nothing of it is. */
static bool trim(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED
{
	if (!fetch->is_probe)
		fetch->pos = first_wanted(img, fetch->pos, fetch->end);
	return fetch->pos < fetch->end;
}

/* Whoever waited for it has been killed since it failed. */
static bool is_given_up(const struct image *img, const struct fetch *fetch) CF_IMAGE_LOCKED
{
	return fetch->attempts && fetch->class == SOURCE_FOREGROUND &&
	       !fetch_is_awaited_locked(img, fetch);
}

/* Nothing is sent for it, so no end of a request will say that others may go on. */
static void drop(struct image *img, struct fetch *fetch, bool may_continue) CF_IMAGE_LOCKED
{
	fetch_finish_locked(img, fetch, may_continue);
	room_again_locked(img);
	hydrator_fetch_over_locked(img);
}

static void start(struct image *img, struct fetch *fetch, uint64_t now_ns) CF_IMAGE_LOCKED
{
	bool fresh;

	dequeue(img, fetch);
	if (!trim(img, fetch)) {
		drop(img, fetch, true);
		return;
	}
	if (is_given_up(img, fetch)) {
		drop(img, fetch, false);
		return;
	}
	fresh = fetch->fresh || fetch->yields || silence_wants_fresh_locked(img);
	if (outage_takes_turns_locked(img, fetch, now_ns)) {
		outage_turn_taken_locked(img, now_ns);
		fresh = true;
	}
	if (!fetch_nr_running_locked(img))
		pacing_begin_locked(img, now_ns);
	if (fetch->class != SOURCE_BACKGROUND && !fetch->is_probe)
		pacing_reader_locked(img, now_ns);
	list_add_tail(&img->fetches.running, &fetch->link);
	img->fetches.nr_running[fetch->class]++;
	img->fetches.nr_requests++;
	fetch->running = true;
	fetch->joined = fetch->class == SOURCE_FOREGROUND;
	fetch->attempt_pos = fetch->pos;
	fetch->submitted_ns = fetch->moved_ns = now_ns;
	fetch->expires_ns = fetch->short_ns ? now_ns + fetch->short_ns : 0;
	fetch->first_byte_ns = 0;
	fetch->not_before_ns = 0;
	fetch->yields = fetch->refused = false;
	fetch->req = (struct source_request){
	        .offset = fetch->pos,
	        .length = fetch->end - fetch->pos,
	        .class = fetch->class,
	        .fresh_connection = fresh,
	        .sink = &fetch_sink,
	};
	prealloc_sent(&img->prealloc, fetch->pos, fetch->end);
	hydrator_wake_before_locked(img, now_ns + silence_ns_locked(img));
	source_submit(img->source, &fetch->req);
}

static bool budget_allows(struct image *img, enum source_class class) CF_IMAGE_LOCKED
{
	enum budget_use use = fetch_sink_use(class);

	return class == SOURCE_FOREGROUND ||
	       budget_has_room_locked(&img->budget, use, img->budget.pool.piece_size);
}

static bool may_send(struct image *img, enum source_class class) CF_IMAGE_LOCKED
{
	return img->fetches.nr_queued[class] && fetch_has_slot_locked(img, class) &&
	       budget_allows(img, class);
}

/* The first fetch of @class that may go now; *@next_ns: when another one may. */
static struct fetch *next_ready(struct image *img, enum source_class class, uint64_t now_ns,
                                uint64_t *next_ns) CF_IMAGE_LOCKED
{
	list_for_each (link, &img->fetches.queued[class]) {
		struct fetch *fetch = list_entry(link, struct fetch, link);
		uint64_t ready_ns = fetch->not_before_ns;

		if (outage_takes_turns_locked(img, fetch, now_ns))
			ready_ns = max_u64(ready_ns, img->outage.next_probe_ns);
		if (ready_ns <= now_ns)
			return fetch;
		*next_ns = min_u64(*next_ns, ready_ns);
	}
	return NULL;
}

static struct fetch *next_to_send(struct image *img, uint64_t now_ns,
                                  uint64_t *next_ns) CF_IMAGE_LOCKED
{
	struct fetch *fetch = NULL;

	for (int i = 0; i < FETCH_NR_CLASSES && !fetch; i++) {
		enum source_class class = (enum source_class)i;

		if (may_send(img, class))
			fetch = next_ready(img, class, now_ns, next_ns);
	}
	return fetch;
}

/* A reader waits for a connection: one that is held by background or read-ahead for want of room is
 * given up, because the room may be what the reader's bytes would free. */
static void make_room(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t unused = NEVER_NS;

	if (!img->fetches.nr_stalled || fetch_has_slot_locked(img, SOURCE_FOREGROUND) ||
	    !next_ready(img, SOURCE_FOREGROUND, now_ns, &unused))
		return;
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (fetch->stalled && !fetch->joined && !fetch->cancelled) {
			fetch_cancel_running_locked(img, fetch);
			return;
		}
	}
}

uint64_t fetch_dispatch_locked(struct image *img, uint64_t now_ns)
{
	uint64_t next_ns = NEVER_NS;
	struct fetch *fetch;

	if (!img->source || img->stopping)
		return NEVER_NS;
	if (now_ns < img->fetches.hold_until_ns) {
		hydrator_wake_before_locked(img, img->fetches.hold_until_ns);
		return img->fetches.hold_until_ns;
	}
	/* From the first class on each time: one that turns out to be over may ask for more. */
	while ((fetch = next_to_send(img, now_ns, &next_ns)))
		start(img, fetch, now_ns);
	make_room(img, now_ns);
	hydrator_wake_before_locked(img, next_ns);
	return next_ns;
}

void fetch_resume_stalled_locked(struct image *img)
{
	size_t promised = 0;

	if (!img->fetches.nr_stalled)
		return;
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);
		enum budget_use use =
		        fetch->joined ? BUDGET_FOREGROUND : fetch_sink_use(fetch->class);

		if (!fetch->stalled || fetch->cancelled ||
		    !budget_has_room_locked(&img->budget, use,
		                            promised + img->budget.pool.piece_size))
			continue;
		promised += img->budget.pool.piece_size;
		fetch->stalled = false;
		img->fetches.nr_stalled--;
		/* It was not the source that was silent. */
		fetch->moved_ns = img->outage.last_byte_ns = clock_monotonic_ns();
		source_resume(img->source, &fetch->req);
	}
}

void fetch_room_again_locked(struct image *img)
{
	fetch_resume_stalled_locked(img);
	if (may_send(img, SOURCE_READAHEAD) || may_send(img, SOURCE_BACKGROUND))
		hydrator_wake_locked(img);
}

/* ---- ending ---- */

void fetch_requeue_locked(struct image *img, struct fetch *fetch, uint64_t not_before_ns)
{
	fetch->not_before_ns = not_before_ns;
	enqueue(img, fetch, true);
}

void fetch_requeue_last_locked(struct image *img, struct fetch *fetch)
{
	fetch->not_before_ns = 0;
	enqueue(img, fetch, false);
}

void fetch_requeue_refused_locked(struct image *img, struct fetch *fetch)
{
	struct list *queue = &img->fetches.queued[fetch->class];
	struct list *at = queue->next;

	while (at != queue && list_entry(at, struct fetch, link)->refused &&
	       list_entry(at, struct fetch, link)->start < fetch->start)
		at = at->next;
	fetch->not_before_ns = 0;
	fetch->refused = true;
	list_add_tail(at, &fetch->link);
	img->fetches.nr_queued[fetch->class]++;
}

void fetch_finish_locked(struct image *img, struct fetch *fetch, bool may_continue)
{
	uint64_t from = fetch->start;
	uint64_t to = fetch->end;
	bool is_probe = fetch->is_probe;
	bool is_short = fetch->short_ns != 0;

	assert(!fetch->running);
	free(fetch);
	if (is_probe)
		outage_probe_over_locked(img, is_short);
	else
		inflight_settle_range_locked(img, from, to, may_continue);
	if (fetch_is_idle_locked(img))
		cf_cond_broadcast(&img->changed);
}

void fetch_cancel_all_locked(struct image *img, bool unawaited)
{
	struct list victims = LIST_INIT(victims);

	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		list_for_each_safe (link, &img->fetches.queued[i]) {
			struct fetch *fetch = list_entry(link, struct fetch, link);

			if (unawaited && fetch_is_awaited_locked(img, fetch))
				continue;
			dequeue(img, fetch);
			list_add_tail(&victims, link);
		}
	}
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (!unawaited || !fetch_is_awaited_locked(img, fetch))
			fetch_cancel_running_locked(img, fetch);
	}
	for (struct list *link; (link = list_pop(&victims));)
		fetch_finish_locked(img, list_entry(link, struct fetch, link), false);
}

void fetch_cancel_useless_locked(struct image *img, uint64_t from, uint64_t to)
{
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (brings(fetch, from, to) &&
		    first_wanted(img, fetch->pos, fetch->end) == fetch->end)
			fetch_cancel_running_locked(img, fetch);
	}
}

void fetch_promote_locked(struct image *img, struct fetch *fetch)
{
	uint64_t last = geometry_region_of(&img->geo, fetch->end - 1);

	if (fetch->running) {
		img->fetches.nr_running[fetch->class]--;
		fetch->class = SOURCE_FOREGROUND;
		img->fetches.nr_running[fetch->class]++;
		fetch_join_locked(img, fetch);
	} else {
		dequeue(img, fetch);
		fetch->class = SOURCE_FOREGROUND;
		/* Readers' that were refused stand there by when that was, the last one first. */
		enqueue(img, fetch, fetch->refused && fetch->not_before_ns);
	}
	for (uint64_t region = geometry_region_of(&img->geo, fetch->pos); region <= last;
	     region++) {
		struct entry *entry = inflight_find_locked(img, region);

		if (entry)
			inflight_set_background_locked(img, entry, false);
	}
}

void fetch_cancel_background_locked(struct image *img)
{
	struct list *queue = &img->fetches.queued[SOURCE_BACKGROUND];

	while (!list_is_empty(queue)) {
		struct fetch *fetch = list_entry(queue->next, struct fetch, link);

		if (fetch_is_awaited_locked(img, fetch)) {
			fetch_promote_locked(img, fetch);
			continue;
		}
		dequeue(img, fetch);
		fetch_finish_locked(img, fetch, false);
	}
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (fetch->class != SOURCE_BACKGROUND)
			continue;
		if (fetch_is_awaited_locked(img, fetch))
			fetch_promote_locked(img, fetch);
		else
			fetch_cancel_running_locked(img, fetch);
	}
}

/* What came first, and at once, says little about the rest. */
#define NEARLY_OVER_MIN_NS (5 * CF_NS_PER_MS)

/* Its rest comes sooner than the first byte of a request for the same would. */
static bool is_nearly_over(const struct fetch *fetch, uint64_t now_ns)
{
	uint64_t bytes = fetch->pos - fetch->attempt_pos;

	if (!fetch->first_byte_ns || now_ns < fetch->first_byte_ns + NEARLY_OVER_MIN_NS)
		return false;
	return (double)(fetch->end - fetch->pos) * (double)(now_ns - fetch->first_byte_ns) <=
	       (double)bytes * (double)(fetch->first_byte_ns - fetch->submitted_ns);
}

void fetch_shed_background_locked(struct image *img, unsigned int most, uint64_t now_ns)
{
	unsigned int nr = 0;

	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (fetch->class != SOURCE_BACKGROUND || fetch->cancelled)
			continue;
		if (++nr <= most || is_nearly_over(fetch, now_ns) ||
		    fetch_is_awaited_locked(img, fetch))
			continue;
		hydrator_refund_locked(img, fetch);
		fetch_cancel_running_locked(img, fetch);
	}
}

void fetch_promote_awaited_locked(struct image *img)
{
	for (int i = SOURCE_FOREGROUND + 1; i < FETCH_NR_CLASSES; i++) {
		list_for_each_safe (link, &img->fetches.queued[i]) {
			struct fetch *fetch = list_entry(link, struct fetch, link);

			if (fetch_is_awaited_locked(img, fetch))
				fetch_promote_locked(img, fetch);
		}
	}
}

void fetch_hurry_locked(struct image *img)
{
	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		list_for_each (link, &img->fetches.queued[i])
			list_entry(link, struct fetch, link)->not_before_ns = 0;
	}
	img->fetches.hold_until_ns = 0;
}
