/*
 * Wanted bytes are found piece by piece. A run of them becomes one fetch. Foreground has a reader
 * who waits, so it does not queue behind others: of a fetch of a lower class that was not sent yet
 * its bytes are cut out, and beside one that is running but far before them a fresh one is started
 * (R6: they share the entries).
 */
#include "core/engine/cover.h"

#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/pacing.h"
#include "core/engine/readahead.h"

struct run {
	enum source_class class;
	uint64_t length;     /* at most so long */
	uint64_t start, end; /* what is collected; empty: start == end */
	unsigned int nr_new, max_new;
};

static void flush(struct image *img, struct run *run) CF_IMAGE_LOCKED
{
	if (run->start < run->end && run->nr_new < run->max_new &&
	    fetch_add_locked(img, run->start, run->end, run->class))
		run->nr_new++;
	run->start = run->end = 0;
}

static void append(struct image *img, struct run *run, uint64_t from, uint64_t to) CF_IMAGE_LOCKED
{
	if (run->start < run->end && (run->end != from || to - run->start > run->length))
		flush(img, run);
	if (run->start == run->end)
		run->start = from;
	run->end = to;
}

/* @fetch will bring @need. Is a foreground reader better served by a request of his own? */
static bool wants_own(struct image *img, struct fetch *fetch, uint64_t need,
                      uint64_t to) CF_IMAGE_LOCKED
{
	if (!fetch->running)
		return fetch->class != SOURCE_FOREGROUND &&
		       fetch_cut_locked(img, fetch, need, min_u64(to, fetch->end));
	/* A sequential reader gains nothing by asking twice for what was asked for ahead of him. */
	if (pacing_is_far_locked(img, need - fetch->pos) &&
	    !(fetch->class == SOURCE_READAHEAD && readahead_covers_locked(img, need)))
		return true;
	fetch_join_locked(img, fetch);
	return false;
}

/* The piece at @x: what it wants goes to the run. Returns where to go on. */
static uint64_t step(struct image *img, struct run *run, uint64_t x, uint64_t to) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, x);
	uint64_t start = geometry_region_start(&img->geo, region);
	uint64_t region_end = geometry_region_end(&img->geo, region);
	struct entry *entry = inflight_find_locked(img, region);
	uint32_t index = (uint32_t)((x - start) / img->piece_size);
	uint64_t piece_end = min_u64(start + (index + UINT64_C(1)) * img->piece_size, region_end);
	struct fetch *fetch;
	uint64_t need;

	if (!entry)
		return region_end;
	need = inflight_need_locked(img, entry, index);
	if (need == UINT64_MAX)
		return piece_end;
	fetch = fetch_find_locked(img, need);
	if (fetch && (run->class != SOURCE_FOREGROUND || !wants_own(img, fetch, need, to)))
		/* Behind its position it brings all of the rest, too. */
		return max_u64(piece_end, fetch->end);
	append(img, run, need, piece_end);
	return piece_end;
}

unsigned int cover_range_locked(struct image *img, uint64_t from, uint64_t to,
                                enum source_class class, uint64_t length, unsigned int max_new)
{
	struct run run = {.class = class, .length = length, .max_new = max_new};
	uint64_t x = from;

	to = min_u64((to + img->piece_size - 1) / img->piece_size * img->piece_size, img->geo.size);
	while (x < to && run.nr_new < max_new)
		x = step(img, &run, x, to);
	flush(img, &run);
	return run.nr_new;
}
