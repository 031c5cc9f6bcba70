/*
 * An attempt that ended...
 *   with all its bytes           the fetch is over
 *   early, but with bytes        goes on at its position at once
 *   refused as too much          read-ahead goes on when one of those is over that the source
 *                                serves, background and partial regions ask again by themselves
 *                                then; for a reader one of theirs makes room
 *   without                      goes on after a backoff while somebody waits for it, and when none
 *                                brings a byte, in its turn (outage.h); else it is given up
 *                                (background and partial regions ask again by themselves)
 *   while misses fail at once    fails those who wait for it: it was the probe
 *   with another source          is confirmed on a connection of its own, then the source counts as
 *                                changed (outage.c)
 */
#include "core/engine/retry.h"

#include <errno.h>

#include "core/base/backoff.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/outage.h"
#include "core/engine/pacing.h"
#include "core/engine/partial.h"
#include "core/engine/room.h"

#define RETRY_AFTER_MAX_MS UINT64_C(60000)

static void ask_again(struct image *img, struct fetch *fetch,
                      uint64_t not_before_ns) CF_IMAGE_LOCKED
{
	fetch_requeue_locked(img, fetch, not_before_ns);
	room_promote_locked(img, fetch);
}

static void ask_again_last(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED
{
	fetch_requeue_last_locked(img, fetch);
	room_promote_locked(img, fetch);
}

static void failed(struct image *img, struct fetch *fetch, const struct source_outcome *outcome,
                   uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t held_ns = ns_after(now_ns, min_u64(outcome->retry_after_ms, RETRY_AFTER_MAX_MS));

	outage_failed_locked(img, outcome->error.text);
	if (outcome->retry_after_ms) {
		img->fetches.hold_until_ns = max_u64(img->fetches.hold_until_ns, held_ns);
		pacing_pushback_locked(img, now_ns);
	}
	if (fetch->is_probe) {
		fetch_finish_locked(img, fetch, false);
		return;
	}
	/* With Retry-After nobody is sent before that, whatever room there is. */
	if (outcome->pushback && !outcome->retry_after_ms && room_wait_locked(img, fetch, now_ns))
		return;
	fetch->attempts++;
	if (outage_is_failing_locked(img, now_ns))
		inflight_fail_locked(img, fetch->start, fetch->end, -EIO);
	if (!fetch_is_awaited_locked(img, fetch)) {
		if (fetch->class == SOURCE_BACKGROUND || partial_is_filled_by_locked(img, fetch))
			hydrator_background_failed_locked(img, fetch, now_ns);
		fetch_finish_locked(img, fetch, false);
		return;
	}
	if (outage_takes_turns_locked(img, fetch, now_ns))
		ask_again_last(img, fetch);
	else
		ask_again(img, fetch, now_ns + backoff_ns(fetch->attempts - 1));
}

static void changed(struct image *img, struct fetch *fetch, const struct source_outcome *outcome,
                    uint64_t now_ns) CF_IMAGE_LOCKED
{
	if (fetch->short_ns) {
		/* Nobody's second look: who asks for bytes finds out. */
		fetch_finish_locked(img, fetch, false);
		return;
	}
	if (fetch->is_probe) {
		fetch_finish_locked(img, fetch, false);
		if (img->outage.state != SOURCE_STATE_CHANGED)
			outage_changed_locked(img, outcome->error.text, now_ns);
		return;
	}
	if (!fetch->fresh) {
		fetch->fresh = true;
		ask_again(img, fetch, 0);
		return;
	}
	outage_changed_locked(img, outcome->error.text, now_ns);
	fetch_finish_locked(img, fetch, false);
}

void retry_outcome_locked(struct image *img, struct fetch *fetch,
                          const struct source_outcome *outcome, uint64_t now_ns)
{
	bool progressed = fetch->pos > fetch->attempt_pos;
	bool whole = fetch->pos == fetch->end;

	if (progressed)
		fetch->attempts = 0;
	if (progressed && !fetch->cancelled)
		room_again_locked(img);
	if (fetch->cancelled || img->stopping) {
		fetch_finish_locked(img, fetch, false);
	} else if (outcome->result == SOURCE_CHANGED) {
		changed(img, fetch, outcome, now_ns);
	} else if (whole) {
		if (fetch->is_probe)
			outage_probe_answered_locked(img, fetch->short_ns != 0, now_ns);
		else if (fetch->class != SOURCE_FOREGROUND)
			img->hydrator.failures = 0;
		fetch_finish_locked(img, fetch, true);
	} else if (progressed || outcome->result == SOURCE_CANCELLED) {
		/* CANCELLED though we did not: it is to be asked again, or the cancel was meant for
		 * an earlier attempt. */
		fetch->fresh = false;
		if (fetch->yields)
			ask_again_last(img, fetch);
		else
			ask_again(img, fetch, 0);
	} else {
		failed(img, fetch, outcome, now_ns);
	}
}
