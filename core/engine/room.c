#include "core/engine/room.h"

#include <limits.h>

#include "core/base/backoff.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/partial.h"

static bool is_served(const struct image *img) CF_IMAGE_LOCKED
{
	list_for_each (link, &img->fetches.running) {
		const struct fetch *fetch = list_entry(link, struct fetch, link);

		if (fetch->first_byte_ns && !fetch->cancelled)
			return true;
	}
	return false;
}

/* Of two who could make room: background, then one that is served, then the later one. */
static unsigned int readiness_to_give_way(const struct fetch *fetch)
{
	return 2 * (unsigned int)fetch->class + (fetch->first_byte_ns != 0);
}

/* False: somebody waits for each of those that run. */
static bool make_room(struct image *img) CF_IMAGE_LOCKED
{
	struct fetch *best = NULL;

	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (!fetch->cancelled && fetch->class != SOURCE_FOREGROUND &&
		    (!best || readiness_to_give_way(fetch) >= readiness_to_give_way(best)) &&
		    !fetch_is_awaited_locked(img, fetch))
			best = fetch;
	}
	if (!best)
		return false;
	hydrator_refund_locked(img, best);
	fetch_cancel_running_locked(img, best);
	return true;
}

bool room_wait_locked(struct image *img, struct fetch *fetch, uint64_t now_ns)
{
	bool is_awaited = fetch_is_awaited_locked(img, fetch);

	fetch->refused = true;
	if (!is_served(img))
		return false;
	if (is_awaited ? !make_room(img) : fetch->class == SOURCE_FOREGROUND) {
		/* All are readers', of which some have ended since: only that it still refuses. */
		pushback_refused(&img->pushback, UINT_MAX, now_ns);
		return false;
	}
	/* Of those some may be refused as well: each of them says so in its turn. */
	pushback_refused(&img->pushback, fetch_nr_running_locked(img), now_ns);
	if (is_awaited) {
		fetch->attempts = 1;
		fetch_requeue_locked(img, fetch, now_ns + backoff_ns(0));
		room_promote_locked(img, fetch);
	} else if (fetch->class == SOURCE_READAHEAD && !partial_is_filled_by_locked(img, fetch)) {
		fetch_requeue_refused_locked(img, fetch);
	} else {
		hydrator_refund_locked(img, fetch);
		fetch_finish_locked(img, fetch, false);
	}
	return true;
}

void room_again_locked(struct image *img)
{
	struct fetch *first = NULL;

	/* Each is put before those that were refused earlier. */
	list_for_each (link, &img->fetches.queued[SOURCE_FOREGROUND]) {
		struct fetch *fetch = list_entry(link, struct fetch, link);

		if (fetch->refused && fetch->not_before_ns)
			first = fetch;
	}
	if (first)
		first->not_before_ns = 0;
}

void room_promote_locked(struct image *img, struct fetch *fetch)
{
	bool bears_few = fetch->refused || img->pushback.limit != UINT_MAX;

	if (fetch->class != SOURCE_FOREGROUND && bears_few && fetch_is_awaited_locked(img, fetch))
		fetch_promote_locked(img, fetch);
}
