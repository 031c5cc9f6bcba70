/*
 * Batches of adjacent missing regions, one request each, asked for only when they can be sent:
 * background never queues behind itself, so pause and readers find little in their way.
 */
#include "core/engine/background.h"

#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/sharing.h"

/* A rate limit is kept in portions of a quarter of a second. */
#define RATE_PORTIONS 4
/* The first requests are as long (or a region), later ones this part of what has come: readers
 * begin where background does, and who catches up with a long request gets no more than its
 * connection gives. */
#define BEGIN_BYTES (UINT64_C(1) << 20)
#define BEGIN_PART  16

bool background_is_idle_locked(const struct image *img)
{
	return !img->inflight.nr_background && !sharing_is_busy_locked(img) &&
	       !img->fetches.nr_running[SOURCE_BACKGROUND] &&
	       !img->fetches.nr_queued[SOURCE_BACKGROUND];
}

bool background_may_fill_locked(const struct image *img)
{
	return hydrator_wants_source_locked(img) && img->source && !img->stopping &&
	       !sharing_is_busy_locked(img) &&
	       (img->outage.state == SOURCE_STATE_OK || img->outage.state == SOURCE_STATE_UNUSED) &&
	       img->inflight.nr_background < img->settings.hydration_threshold &&
	       !img->fetches.nr_queued[SOURCE_FOREGROUND] &&
	       !img->fetches.nr_queued[SOURCE_READAHEAD] &&
	       !img->fetches.nr_queued[SOURCE_BACKGROUND] &&
	       fetch_has_slot_locked(img, SOURCE_BACKGROUND) &&
	       budget_has_room_locked(&img->budget, BUDGET_BACKGROUND, img->budget.pool.piece_size);
}

/* Regions that one request may have now. */
static uint64_t batch_regions(const struct image *img) CF_IMAGE_LOCKED
{
	const struct image_settings *settings = &img->settings;
	uint64_t region_size = geometry_region_size(&img->geo);
	uint64_t room = settings->hydration_threshold - img->inflight.nr_background;
	uint64_t batch = max_u64(settings->hydration_batch_size, 1);
	uint64_t most = max_u64(SOURCE_REQUEST_MAX / region_size, 1);

	if (!img->sharing.possible)
		most = min_u64(most,
		               max_u64(max_u64(img->fetches.nr_bytes / BEGIN_PART, BEGIN_BYTES) /
		                               region_size,
		                       1));
	if (settings->background_rate)
		most = min_u64(most,
		               max_u64(settings->background_rate / RATE_PORTIONS / region_size, 1));
	if (img->hydrator.no_space)
		most = 1;
	return min_u64(min_u64(batch, room), most);
}

/* The next run of missing regions that have no entry; 0: there is none. */
static uint64_t next_batch(struct image *img, uint64_t most, uint64_t *ret_first) CF_IMAGE_LOCKED
{
	uint64_t nr_regions = img->geo.nr_regions;
	uint64_t region = img->hydrator.cursor;
	bool wrapped = region == 0;
	uint64_t nr = 0;

	for (;;) {
		region = metadata_find_next_unhydrated(img->metadata, region);
		if (region >= nr_regions && wrapped)
			return 0;
		if (region >= nr_regions) {
			wrapped = true;
			region = 0;
		} else if (inflight_find_locked(img, region)) {
			region++;
		} else {
			break;
		}
	}
	*ret_first = region;
	while (nr < most && region < nr_regions && !inflight_find_locked(img, region) &&
	       !metadata_is_region_hydrated(img->metadata, region)) {
		region++;
		nr++;
	}
	img->hydrator.cursor = region < nr_regions ? region : 0;
	return nr;
}

static bool ask_for(struct image *img, uint64_t first, uint64_t nr) CF_IMAGE_LOCKED
{
	uint64_t from = geometry_region_start(&img->geo, first);
	uint64_t to = geometry_region_end(&img->geo, first + nr - 1);
	bool asked;

	for (uint64_t region = first; region < first + nr; region++) {
		struct entry *entry = inflight_add_locked(img, region, true);

		if (!entry)
			break;
		inflight_set_background_locked(img, entry, true);
	}
	if (geometry_region_size(&img->geo) > FETCH_LENGTH_MAX) {
		inflight_settle_range_locked(img, from, to, true);
		asked = fetch_count_locked(img, from, to) > 0;
		if (!asked)
			inflight_settle_range_locked(img, from, to, false);
		return asked;
	}
	asked = cover_range_locked(img, from, to, SOURCE_BACKGROUND, SOURCE_REQUEST_MAX,
	                           UINT32_MAX) > 0;
	/* Ends what no fetch could be made for. */
	inflight_settle_range_locked(img, from, to, false);
	return asked;
}

/* Counts up what may be asked for; returns when there is something again, 0: now. */
static uint64_t take_turn(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	struct hydrator *hydrator = &img->hydrator;
	uint64_t rate = img->settings.background_rate;
	double earned;
	double most;

	if (!rate) {
		hydrator->tokens = 0;
		hydrator->tokens_ns = now_ns;
		return 0;
	}
	most = (double)rate / RATE_PORTIONS;
	earned = (double)hydrator->tokens +
	         (double)rate * (double)(now_ns - hydrator->tokens_ns) / (double)CF_NS_PER_S;
	hydrator->tokens = (int64_t)(earned < most ? earned : most);
	hydrator->tokens_ns = now_ns;
	if (hydrator->tokens >= 0)
		return 0;
	return now_ns + 1 +
	       (uint64_t)((double)-hydrator->tokens / (double)rate * (double)CF_NS_PER_S);
}

uint64_t background_fill_locked(struct image *img, uint64_t now_ns)
{
	struct hydrator *hydrator = &img->hydrator;

	while (background_may_fill_locked(img)) {
		uint64_t turn_ns;
		uint64_t first;
		uint64_t nr;

		if (now_ns < hydrator->failed_until_ns)
			return hydrator->failed_until_ns;
		turn_ns = take_turn(img, now_ns);
		if (turn_ns)
			return turn_ns;
		if (hydrator->no_space && now_ns < hydrator->next_try_ns)
			return hydrator->next_try_ns;
		nr = next_batch(img, batch_regions(img), &first);
		if (!nr)
			return NEVER_NS;
		(void)hydrator_keeps_locked(img, now_ns);
		if (sharing_is_next_locked(img) ? !sharing_begin_locked(img, first, nr)
		                                : !ask_for(img, first, nr))
			return now_ns + CF_NS_PER_S;
		hydrator->tokens -= (int64_t)(nr * geometry_region_size(&img->geo));
		fetch_dispatch_locked(img, now_ns);
	}
	return NEVER_NS;
}
