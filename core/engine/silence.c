/* Which attempts say nothing, and what is done beside them. */
#include "core/engine/silence.h"

#include "core/engine/fetch.h"
#include "core/engine/outage.h"

#define SILENT_NS     CF_NS_PER_S
#define SILENT_MAX_NS (2 * CF_NS_PER_S)
#define ONCE_IN_NS    (10 * CF_NS_PER_S)
#define PATIENT_NS    (60 * CF_NS_PER_S)

uint64_t silence_ns_locked(const struct image *img)
{
	return min_u64(max_u64(SILENT_NS, 2 * img->pacing.first_byte_ns), SILENT_MAX_NS);
}

static bool is_short_probe(const struct fetch *fetch)
{
	return fetch->expires_ns != 0;
}

/* Does @fetch wait for bytes that could have come since they did last? */
static bool may_be_silent(const struct fetch *fetch)
{
	return !fetch->cancelled && !fetch->stalled && !is_short_probe(fetch);
}

static struct fetch *running(struct list *link)
{
	return list_entry(link, struct fetch, link);
}

/* When the first of those that run became silent, or will; NEVER_NS: nothing runs. */
static uint64_t silent_from(const struct image *img) CF_IMAGE_LOCKED
{
	uint64_t from_ns = NEVER_NS;

	list_for_each (link, &img->fetches.running) {
		if (may_be_silent(running(link)))
			from_ns = min_u64(from_ns, running(link)->moved_ns);
	}
	return from_ns == NEVER_NS ? NEVER_NS : from_ns + silence_ns_locked(img);
}

/* Ends short probes whose time is over; when the next one's is. */
static uint64_t expire(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t next_ns = NEVER_NS;

	list_for_each (link, &img->fetches.running) {
		if (!is_short_probe(running(link)))
			continue;
		if (running(link)->expires_ns <= now_ns)
			fetch_cancel_running_locked(img, running(link));
		else
			next_ns = min_u64(next_ns, running(link)->expires_ns);
	}
	return next_ns;
}

/* Each attempt is disturbed once in so long. */
static bool is_long_ago(uint64_t then_ns, uint64_t now_ns)
{
	return !then_ns || now_ns >= then_ns + ONCE_IN_NS;
}

/* The latest that was sent, rather one that nobody waits for. */
static struct fetch *who_can_yield(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t silent_ns = silence_ns_locked(img);
	struct fetch *found = NULL;
	bool is_awaited = true;

	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = running(link);

		if (!may_be_silent(fetch) || fetch->is_probe ||
		    now_ns < fetch->moved_ns + silent_ns || !is_long_ago(fetch->yielded_ns, now_ns))
			continue;
		if (found && !is_awaited && fetch_is_awaited_locked(img, fetch))
			continue;
		found = fetch;
		is_awaited = fetch_is_awaited_locked(img, fetch);
	}
	return found;
}

static unsigned int nr_cancelled(const struct image *img) CF_IMAGE_LOCKED
{
	unsigned int nr = 0;

	list_for_each (link, &img->fetches.running)
		nr += running(link)->cancelled;
	return nr;
}

/*
 * False: every connection is taken, and nobody gives one up. Nobody does while bytes come to
 * others, and each one seldom, or a source that is slow would never get to answer him.
 */
static bool make_slot(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED
{
	unsigned int nr = fetch_nr_running_locked(img);
	unsigned int max = img->settings.max_connections;
	struct fetch *fetch;

	if (nr - nr_cancelled(img) < max)
		return true;
	if (max == 1 || nr > max || now_ns < img->outage.last_byte_ns + silence_ns_locked(img))
		return false;
	fetch = who_can_yield(img, now_ns);
	if (!fetch)
		return false;
	fetch->yielded_ns = now_ns;
	fetch_ask_again_locked(img, fetch, true);
	return true;
}

uint64_t silence_tick_locked(struct image *img, uint64_t now_ns)
{
	enum image_source_state state = img->outage.state;
	uint64_t over_ns = expire(img, now_ns);
	uint64_t due_ns;

	if (!img->source || !source_is_connected(img->source) || img->stopping ||
	    (state != SOURCE_STATE_OK && state != SOURCE_STATE_UNREACHABLE))
		return over_ns;
	if (img->outage.short_probing)
		return over_ns;
	due_ns = silent_from(img);
	if (due_ns == NEVER_NS)
		return NEVER_NS;
	due_ns = max_u64(max_u64(due_ns, img->outage.short_due_ns),
	                 max_u64(img->outage.next_probe_ns, img->fetches.hold_until_ns));
	if (now_ns < due_ns)
		return due_ns;
	if (!make_slot(img, now_ns))
		return now_ns + SILENT_NS;
	outage_turn_taken_locked(img, now_ns);
	img->outage.short_due_ns = now_ns + SILENT_NS;
	img->outage.short_probing = fetch_probe_locked(img, 2 * silence_ns_locked(img));
	fetch_dispatch_locked(img, now_ns);
	return now_ns + SILENT_NS;
}

bool silence_wants_fresh_locked(struct image *img)
{
	if (!img->outage.nr_fresh)
		return false;
	img->outage.nr_fresh--;
	return true;
}

/* A probe is not asked again: whoever wants one makes another. */
static void ask_again(struct image *img, struct fetch *fetch, uint64_t now_ns) CF_IMAGE_LOCKED
{
	if (fetch->is_probe) {
		fetch_cancel_running_locked(img, fetch);
		return;
	}
	if (!is_long_ago(fetch->asked_again_ns, now_ns))
		return;
	fetch->asked_again_ns = now_ns;
	img->outage.nr_fresh = img->settings.max_connections;
	fetch_ask_again_locked(img, fetch, false);
}

/* S3. */
static void answered(struct image *img, uint64_t asked_ns, uint64_t now_ns) CF_IMAGE_LOCKED
{
	uint64_t silent_ns = silence_ns_locked(img);

	if (!source_is_connected(img->source) || now_ns < img->outage.patient_until_ns)
		return;
	list_for_each (link, &img->fetches.running) {
		struct fetch *fetch = running(link);

		if (may_be_silent(fetch) && asked_ns >= fetch->moved_ns + silent_ns)
			ask_again(img, fetch, now_ns);
	}
}

void silence_first_byte_locked(struct image *img, const struct fetch *fetch, uint64_t now_ns)
{
	bool is_next =
	        fetch->asked_again_ns && fetch->submitted_ns < fetch->asked_again_ns + SILENT_NS;

	/* S5. */
	if (is_next && now_ns > fetch->submitted_ns + silence_ns_locked(img))
		img->outage.patient_until_ns = now_ns + PATIENT_NS;
	if (fetch->req.fresh_connection)
		answered(img, fetch->submitted_ns, now_ns);
}
