#include "core/engine/hydrator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/backoff.h"
#include "core/engine/background.h"
#include "core/engine/committer.h"
#include "core/engine/events.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/outage.h"
#include "core/engine/partial.h"
#include "core/engine/request.h"

#define TRY_SPACE_MS UINT64_C(5000)

void hydrator_init(struct hydrator *hydrator, bool paused)
{
	*hydrator = (struct hydrator){.paused = paused, .wake_ns = NEVER_NS};
	cf_cond_init(&hydrator->wake);
	list_init(&hydrator->pauses);
}

void hydrator_fini(struct hydrator *hydrator)
{
	cf_cond_fini(&hydrator->wake);
}

void hydrator_wake_locked(struct image *img)
{
	img->hydrator.wake_ns = 0;
	cf_cond_signal(&img->hydrator.wake);
}

void hydrator_wake_before_locked(struct image *img, uint64_t ns)
{
	if (ns >= img->hydrator.wake_ns)
		return;
	img->hydrator.wake_ns = ns;
	cf_cond_signal(&img->hydrator.wake);
}

/* Pauses are answered, after a commit, when no background request and no region is left. */
static void check_pauses(struct image *img) CF_IMAGE_LOCKED
{
	if (list_is_empty(&img->hydrator.pauses) || !background_is_idle_locked(img))
		return;
	for (struct list *link; (link = list_pop(&img->hydrator.pauses));)
		partial_flush_locked(img, list_entry(link, struct image_request, link));
}

static uint64_t tick(struct image *img) CF_IMAGE_LOCKED
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t next_ns = NEVER_NS;

	if (img->fetches.nr_stalled) {
		fetch_resume_stalled_locked(img);
		next_ns = min_u64(next_ns, now_ns + HYDRATOR_STALL_NS);
	}
	next_ns = min_u64(next_ns, partial_fill_locked(img, now_ns));
	next_ns = min_u64(next_ns, background_fill_locked(img, now_ns));
	next_ns = min_u64(next_ns, fetch_dispatch_locked(img, now_ns));
	/* Behind them: it watches what was sent just now, too. */
	next_ns = min_u64(next_ns, outage_tick_locked(img, now_ns));
	check_pauses(img);
	return next_ns;
}

static void *run(void *arg)
{
	struct image *img = arg;

	image_lock(img);
	for (;;) {
		struct hydrator *hydrator = &img->hydrator;
		uint64_t next_ns;

		events_tell_locked(img);
		if (hydrator->stop)
			break;
		hydrator->wake_ns = NEVER_NS;
		next_ns = tick(img);
		if (!list_is_empty(&img->ended)) {
			image_unlock(img);
			image_lock(img);
		}
		if (!list_is_empty(&img->events.queue) || hydrator->stop)
			continue;
		/* Whoever asked for an earlier time since the tick began wins. */
		hydrator->wake_ns = min_u64(hydrator->wake_ns, next_ns);
		while (hydrator->wake_ns > clock_monotonic_ns()) {
			if (hydrator->wake_ns == NEVER_NS)
				cf_cond_wait(&hydrator->wake, &img->lock);
			else
				(void)cf_cond_wait_until(&hydrator->wake, &img->lock,
				                         hydrator->wake_ns);
		}
	}
	image_unlock(img);
	return NULL;
}

int hydrator_start(struct image *img)
{
	int r = pthread_create(&img->hydrator.thread, NULL, run, img);

	img->hydrator.started = r == 0;
	if (r == 0)
		(void)pthread_setname_np(img->hydrator.thread, "clonefs-hydrate");
	return -r;
}

void hydrator_stop(struct image *img)
{
	if (!img->hydrator.started)
		return;
	image_lock(img);
	img->hydrator.stop = true;
	hydrator_wake_locked(img);
	image_unlock(img);
	(void)pthread_join(img->hydrator.thread, NULL);
	img->hydrator.started = false;
}

void hydrator_fetch_over_locked(struct image *img)
{
	if (background_may_fill_locked(img) || partial_has_todo_locked(img) ||
	    !list_is_empty(&img->hydrator.pauses))
		hydrator_wake_locked(img);
}

void hydrator_background_left_locked(struct image *img)
{
	hydrator_fetch_over_locked(img);
}

/* What did not come is no reason for the rate limit to put off the next attempt. */
void hydrator_refund_locked(struct image *img, const struct fetch *fetch)
{
	if (fetch->class == SOURCE_BACKGROUND)
		img->hydrator.tokens += (int64_t)(fetch->end - fetch->pos);
}

void hydrator_background_failed_locked(struct image *img, const struct fetch *fetch,
                                       uint64_t now_ns)
{
	struct hydrator *hydrator = &img->hydrator;

	if (!hydrator->failures)
		hydrator->failing_since_ns = fetch->submitted_ns;
	hydrator_refund_locked(img, fetch);
	/* Those that fail in one moment are one failure. */
	if (now_ns < hydrator->failed_until_ns)
		return;
	hydrator->failed_until_ns = now_ns + backoff_ns(hydrator->failures);
	hydrator->failures++;
}

bool hydrator_wants_source_locked(const struct image *img)
{
	return image_mode(img) == IMAGE_RW && !img->hydrator.off && !img->hydrator.paused &&
	       img->settings.hydration_threshold &&
	       metadata_nr_hydrated(img->metadata) < img->geo.nr_regions;
}

void hydrator_no_space_locked(struct image *img, int error)
{
	struct hydrator *hydrator = &img->hydrator;

	hydrator->next_try_ns = ns_after(clock_monotonic_ns(), TRY_SPACE_MS);
	if (!hydrator->no_space)
		events_push_locked(img, IMAGE_EVENT_NO_SPACE_BEGIN, 0,
		                   "the destination cannot take more data: %s", strerror(-error));
	hydrator->no_space = error;
	hydrator_wake_locked(img);
}

void hydrator_took_data_locked(struct image *img)
{
	if (!img->hydrator.no_space)
		return;
	img->hydrator.no_space = 0;
	events_push_locked(img, IMAGE_EVENT_NO_SPACE_END, 0, "%s", "");
	hydrator_wake_locked(img);
}

bool hydrator_keeps_locked(struct image *img, uint64_t now_ns)
{
	struct hydrator *hydrator = &img->hydrator;

	if (image_mode(img) != IMAGE_RW)
		return false;
	if (!hydrator->no_space)
		return true;
	if (now_ns < hydrator->next_try_ns)
		return false;
	hydrator->next_try_ns = ns_after(now_ns, TRY_SPACE_MS);
	return true;
}

void hydrator_end_background_locked(struct image *img)
{
	fetch_cancel_background_locked(img);
	list_for_each_safe (link, &img->inflight.entries) {
		struct entry *entry = list_entry(link, struct entry, link);

		if (!entry->background)
			continue;
		if (inflight_is_awaited(entry))
			inflight_set_background_locked(img, entry, false);
		else
			inflight_settle_locked(img, entry, false);
	}
	hydrator_wake_locked(img);
}

static enum image_hydration say(char *reason, size_t size, enum image_hydration hydration,
                                const char *text, const char *more)
{
	(void)snprintf(reason, size, "%s%s%s", text, *more ? ": " : "", more);
	return hydration;
}

static enum image_hydration state_of_source(struct image *img, char *reason,
                                            size_t size) CF_IMAGE_LOCKED
{
	if (img->outage.state == SOURCE_STATE_CHANGED)
		/* Whoever finds a change says so himself. */
		return say(reason, size, HYDRATION_WAITING,
		           img->outage.why[0] ? img->outage.why : "the source has changed", "");
	if (img->outage.state == SOURCE_STATE_UNREACHABLE)
		return say(reason, size, HYDRATION_WAITING, "the source is unreachable",
		           img->outage.why);
	if (!img->source)
		return say(reason, size, HYDRATION_WAITING, "there is no source", "");
	return say(reason, size, HYDRATION_RUNNING, "", "");
}

enum image_hydration hydrator_state_locked(struct image *img, char *reason, size_t size)
{
	struct hydrator *hydrator = &img->hydrator;
	enum image_mode mode = image_mode(img);

	if (mode == IMAGE_FAIL)
		return say(reason, size, HYDRATION_STOPPED, img->mode_why, "");
	if (metadata_is_hydration_done(img->metadata))
		return say(reason, size, HYDRATION_DONE, "", "");
	if (mode == IMAGE_RO)
		return say(reason, size, HYDRATION_STOPPED, img->mode_why, "");
	if (hydrator->off)
		return say(reason, size, HYDRATION_STOPPED, "the clone is closing", "");
	if (hydrator->paused)
		return say(reason, size, HYDRATION_PAUSED,
		           "nothing is fetched in the background until it is resumed", "");
	if (!img->settings.hydration_threshold)
		return say(reason, size, HYDRATION_PAUSED, "hydration_threshold is 0", "");
	if (hydrator->no_space)
		return say(reason, size, HYDRATION_WAITING, "the destination cannot take more data",
		           strerror(-hydrator->no_space));
	return state_of_source(img, reason, size);
}
