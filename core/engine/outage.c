#include "core/engine/outage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/engine/events.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/partial.h"
#include "core/engine/request.h"
#include "core/engine/silence.h"
#include "core/engine/writers.h"

#define PROBE_UNREACHABLE_MS UINT64_C(1000)
#define PROBE_CHANGED_MS     UINT64_C(60000)
/* So many attempts may fail in a row before the source is suspected. */
#define FAILURES_UNSUSPECTED 4

void outage_init(struct image *img, enum image_source_state state, const char *why)
{
	uint64_t now_ns = clock_monotonic_ns();

	img->outage = (struct outage){.state = state, .last_byte_ns = now_ns};
	(void)snprintf(img->outage.why, sizeof(img->outage.why), "%s", why ? why : "");
	if (state == SOURCE_STATE_UNREACHABLE)
		img->outage.since_ns = img->outage.silent_ns = now_ns;
	else if (state == SOURCE_STATE_CHANGED)
		img->outage.next_probe_ns = ns_after(now_ns, PROBE_CHANGED_MS);
}

/* How long a request waits for a silent source. */
static uint64_t limit_ms(const struct image *img)
{
	switch (img->settings.on_source_error) {
	case ON_ERROR_EIO:
		return img->settings.timeout_ms;
	case ON_ERROR_WAIT_TIME:
		return img->settings.wait_ms;
	case ON_ERROR_WAIT:
		break;
	}
	return UINT64_MAX;
}

uint64_t outage_first_deadline_locked(const struct image *img, uint64_t now_ns)
{
	return ns_after(now_ns, min_u64(img->settings.timeout_ms, limit_ms(img)));
}

bool outage_is_failing_locked(const struct image *img, uint64_t now_ns)
{
	if (img->outage.state != SOURCE_STATE_UNREACHABLE)
		return false;
	if (img->settings.on_source_error == ON_ERROR_EIO)
		return true;
	return now_ns >= ns_after(img->outage.silent_ns, limit_ms(img));
}

int outage_admit_locked(struct image *img, uint64_t now_ns)
{
	if (img->outage.state == SOURCE_STATE_CHANGED)
		return -ESTALE;
	if (!img->source)
		return -EIO;
	if (!outage_is_failing_locked(img, now_ns))
		return 0;
	if (now_ns < img->outage.next_probe_ns)
		return -EIO;
	img->outage.next_probe_ns = ns_after(now_ns, PROBE_UNREACHABLE_MS);
	return 0;
}

static bool is_suspected(const struct image *img)
{
	return img->outage.failures > FAILURES_UNSUSPECTED;
}

bool outage_takes_turns_locked(const struct image *img, const struct fetch *fetch, uint64_t now_ns)
{
	/* Probes, and misses while they fail at once, have had their turn before they were made. */
	if (fetch->is_probe || img->outage.state == SOURCE_STATE_CHANGED)
		return false;
	if (img->outage.state == SOURCE_STATE_UNREACHABLE)
		return !outage_is_failing_locked(img, now_ns);
	/* Who comes anew may find the source well again. */
	return is_suspected(img) && (fetch->class != SOURCE_FOREGROUND || fetch->attempts > 0);
}

void outage_turn_taken_locked(struct image *img, uint64_t now_ns)
{
	img->outage.next_probe_ns = ns_after(now_ns, PROBE_UNREACHABLE_MS);
}

/* Nobody waits for a turn any more. */
static void end_suspicion(struct image *img) CF_IMAGE_LOCKED
{
	img->outage.next_probe_ns = 0;
	img->outage.failures = 0;
	hydrator_wake_locked(img);
}

static void back(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	enum image_source_state was = img->outage.state;

	img->outage.state = SOURCE_STATE_OK;
	img->outage.last_byte_ns = now_ns;
	img->hydrator.failures = 0;
	img->hydrator.failed_until_ns = 0;
	img->outage.why[0] = '\0';
	if (was == SOURCE_STATE_UNREACHABLE)
		events_push_locked(img, IMAGE_EVENT_OUTAGE_END,
		                   (now_ns - img->outage.since_ns) / CF_NS_PER_MS, "%s", "");
	else if (was == SOURCE_STATE_CHANGED)
		events_push_locked(img, IMAGE_EVENT_SOURCE_BACK, 0, "%s", "");
	fetch_hurry_locked(img);
	end_suspicion(img);
}

void outage_byte_locked(struct image *img, uint64_t now_ns)
{
	img->outage.last_byte_ns = now_ns;
	if (img->outage.state == SOURCE_STATE_UNREACHABLE ||
	    img->outage.state == SOURCE_STATE_UNUSED)
		back(img, now_ns);
	if (img->outage.state != SOURCE_STATE_OK)
		return;
	img->outage.why[0] = '\0';
	if (is_suspected(img))
		end_suspicion(img);
	img->outage.failures = 0;
}

void outage_failed_locked(struct image *img, const char *why)
{
	img->outage.failures++;
	/* What changed is the reason until the pinned version is back. */
	if (img->outage.state != SOURCE_STATE_CHANGED)
		(void)snprintf(img->outage.why, sizeof(img->outage.why), "%.*s",
		               (int)sizeof(img->outage.why) - 1, why);
}

void outage_changed_locked(struct image *img, const char *why, uint64_t now_ns)
{
	if (img->outage.state == SOURCE_STATE_UNREACHABLE)
		events_push_locked(img, IMAGE_EVENT_OUTAGE_END,
		                   (now_ns - img->outage.since_ns) / CF_NS_PER_MS, "%s", "");
	img->outage.state = SOURCE_STATE_CHANGED;
	img->outage.next_probe_ns = ns_after(now_ns, PROBE_CHANGED_MS);
	(void)snprintf(img->outage.why, sizeof(img->outage.why), "%.*s",
	               (int)sizeof(img->outage.why) - 1, why);
	events_push_locked(img, IMAGE_EVENT_SOURCE_CHANGED, 0, "%s", why);
	request_fail_waiting_locked(img, -ESTALE);
	fetch_cancel_all_locked(img, false);
	hydrator_wake_locked(img);
}

void outage_probe_over_locked(struct image *img, bool is_short)
{
	if (is_short)
		img->outage.short_probing = false;
	else
		img->outage.probing = false;
	/* When the next one is due is the hydrator's to know. */
	hydrator_wake_locked(img);
}

void outage_probe_answered_locked(struct image *img, bool is_short, uint64_t now_ns)
{
	if (is_short) {
		img->outage.next_probe_ns = 0;
		hydrator_wake_locked(img);
	} else if (img->outage.state != SOURCE_STATE_OK) {
		back(img, now_ns);
	}
}

void outage_ask_now_locked(struct image *img, uint64_t now_ns)
{
	bool away = img->outage.state == SOURCE_STATE_UNREACHABLE ||
	            img->outage.state == SOURCE_STATE_CHANGED;

	if (!away || !img->source || img->outage.probing)
		return;
	img->outage.next_probe_ns =
	        ns_after(now_ns, img->outage.state == SOURCE_STATE_CHANGED ? PROBE_CHANGED_MS
	                                                                   : PROBE_UNREACHABLE_MS);
	img->outage.probing = fetch_probe_locked(img, 0);
	fetch_dispatch_locked(img, now_ns);
}

static void unreachable(struct image *img, uint64_t silent_ns, uint64_t now_ns) CF_IMAGE_LOCKED
{
	if (!img->outage.why[0])
		(void)snprintf(img->outage.why, sizeof(img->outage.why),
		               "no byte of the source for %" PRIu64 " s",
		               (now_ns - silent_ns) / CF_NS_PER_S);
	img->outage.state = SOURCE_STATE_UNREACHABLE;
	img->outage.since_ns = now_ns;
	img->outage.silent_ns = silent_ns;
	img->outage.next_probe_ns = ns_after(now_ns, PROBE_UNREACHABLE_MS);
	events_push_locked(img, IMAGE_EVENT_OUTAGE_BEGIN, 0, "%s", img->outage.why);
}

static void fail_waiting(struct image *img) CF_IMAGE_LOCKED
{
	request_fail_waiting_locked(img, -EIO);
	fetch_cancel_all_locked(img, true);
}

/* The oldest request that waits for the source; NULL: none. */
static struct image_request *oldest_waiting(struct image *img) CF_IMAGE_LOCKED
{
	list_for_each (link, &img->waiting) {
		struct image_request *req = list_entry(link, struct image_request, waiting_link);

		if (request_needs_source_locked(img, req))
			return req;
	}
	return NULL;
}

/* Would something that nobody waits for run if only the source were there? */
static bool is_wanted(struct image *img) CF_IMAGE_LOCKED
{
	return hydrator_wants_source_locked(img) || partial_wants_source_locked(img);
}

/* From when on background asks in vain; NEVER_NS: it does not. */
static uint64_t background_in_vain_since(struct image *img) CF_IMAGE_LOCKED
{
	struct hydrator *hydrator = &img->hydrator;

	if (!is_wanted(img)) {
		hydrator->failures = 0;
		return NEVER_NS;
	}
	return min_u64(hydrator->failures ? hydrator->failing_since_ns : NEVER_NS,
	               fetch_running_since_locked(img));
}

/* Bytes may be refused while the disk has not taken the ones before: what we have no room for is no
 * silence, as long as the disk gets on. */
static uint64_t last_movement(const struct image *img) CF_IMAGE_LOCKED
{
	return max_u64(img->outage.last_byte_ns, img->writers.returned_ns);
}

/* Nobody waits for the source, but background learns as well that nothing comes. */
static uint64_t check_background(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t since_ns = background_in_vain_since(img);
	uint64_t silent_ns, away_ns;

	if (since_ns == NEVER_NS || img->outage.state != SOURCE_STATE_OK)
		return NEVER_NS;
	silent_ns = max_u64(last_movement(img), since_ns);
	away_ns = ns_after(silent_ns, img->settings.timeout_ms);
	if (now_ns < away_ns)
		return away_ns;
	unreachable(img, silent_ns, now_ns);
	/* What stalls must not keep the connections from those who find the source back. */
	fetch_cancel_all_locked(img, true);
	return NEVER_NS;
}

/* Requests wait from the last byte on, at the earliest from their own arrival. */
static uint64_t check_deadlines(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	struct image_request *oldest = oldest_waiting(img);
	uint64_t silent_ns, away_ns, fail_ns;

	if (!oldest)
		return check_background(img, now_ns);
	silent_ns = max_u64(last_movement(img), oldest->arrived_ns);
	fail_ns = ns_after(silent_ns, limit_ms(img));
	away_ns = min_u64(fail_ns, ns_after(silent_ns, img->settings.timeout_ms));
	if (now_ns >= away_ns && img->outage.state == SOURCE_STATE_OK)
		unreachable(img, silent_ns, now_ns);
	if (now_ns >= fail_ns) {
		fail_waiting(img);
		return NEVER_NS;
	}
	return img->outage.state == SOURCE_STATE_OK ? away_ns : fail_ns;
}

static uint64_t check_probe(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	bool wanted = img->outage.state == SOURCE_STATE_CHANGED ||
	              (img->outage.state == SOURCE_STATE_UNREACHABLE && is_wanted(img));

	/* What is queued while the image stops is never sent: image_stop() would wait for it. */
	if (!wanted || img->outage.probing || !img->source || img->stopping)
		return NEVER_NS;
	if (now_ns < img->outage.next_probe_ns)
		return img->outage.next_probe_ns;
	outage_ask_now_locked(img, now_ns);
	return NEVER_NS;
}

uint64_t outage_tick_locked(struct image *img, uint64_t now_ns)
{
	uint64_t deadline_ns = check_deadlines(img, now_ns);

	deadline_ns = min_u64(deadline_ns, check_probe(img, now_ns));
	return min_u64(deadline_ns, silence_tick_locked(img, now_ns));
}

void outage_configured_locked(struct image *img, uint64_t now_ns)
{
	if (outage_is_failing_locked(img, now_ns))
		fail_waiting(img);
	hydrator_wake_locked(img);
}
