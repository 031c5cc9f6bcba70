/* The image as a whole: open, close, settings, and the requests that are not about bytes. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/engine/committer.h"
#include "core/engine/events.h"
#include "core/engine/fetch.h"
#include "core/engine/fetch_sink.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/mode.h"
#include "core/engine/outage.h"
#include "core/engine/pacing.h"
#include "core/engine/partial.h"
#include "core/engine/readahead.h"
#include "core/engine/request.h"
#include "core/engine/sharing.h"
#include "core/engine/writers.h"

/* An attempt that brings nothing is given up well before its reader's deadline. */
#define STALL_MIN_MS UINT64_C(500)
#define STALL_MAX_MS UINT64_C(10000)

uint64_t image_stall_ms(uint64_t timeout_ms)
{
	return min_u64(max_u64(timeout_ms / 3, STALL_MIN_MS), STALL_MAX_MS);
}

static void configure_source(struct image *img)
{
	struct source_limits limits = {
	        .max_connections = img->settings.max_connections,
	        .stall_ms = image_stall_ms(img->settings.timeout_ms),
	};

	if (img->source)
		source_configure(img->source, &limits);
}

/* ---- open ---- */

static void set_constants(struct image *img, const struct image_params *params)
{
	img->geo = geometry_make(params->size, params->region_size);
	img->piece_size = (uint32_t)min_u64(params->region_size, PIECE_SIZE_MAX);
	img->metadata = params->metadata;
	img->source = params->source;
	img->callbacks = params->callbacks;
	img->callbacks_user = params->callbacks_user;
	img->read_only = params->read_only;
	img->settings = params->settings;
	store_init(&img->store, params->destination, params->no_discard_passdown);
	prealloc_init(&img->prealloc, store_holes_are_dear(&img->store));
	sync_habit_init(&img->sync_habit);
	atomic_init(&img->mode, IMAGE_RW);
	atomic_init(&img->epoch, 0);
	atomic_init(&img->stopped, false);
	atomic_init(&img->modified, params->modified);
}

static int init_parts(struct image *img, const struct image_params *params)
{
	cf_mutex_init(&img->modify_lock);
	cf_mutex_init(&img->lock);
	cf_cond_init(&img->changed);
	list_init(&img->ended);
	list_init(&img->waiting);
	partial_init(&img->partial);
	fetch_init(&img->fetches);
	pacing_init(&img->pacing);
	pushback_init(&img->pushback);
	readahead_init(&img->readahead);
	hydrator_init(&img->hydrator, params->no_hydration);
	sharing_init(&img->sharing, params->source && source_can_share(params->source) &&
	                                    !params->no_discard_passdown);
	writers_init(&img->writers);
	committer_init(&img->committer, params->commit_interval_ms);
	events_init(&img->events);
	img->committer.percent =
	        (unsigned int)(metadata_nr_committed(img->metadata) * 100 / img->geo.nr_regions);
	if (budget_init(&img->budget, img->piece_size) < 0 || inflight_init(&img->inflight) < 0 ||
	    written_init(&img->written, img->geo.nr_regions) < 0)
		return -ENOMEM;
	image_lock(img);
	outage_init(img, params->source_state, params->source_why);
	image_unlock(img);
	return 0;
}

/* Before the hydrator starts: background would ask for the same bytes again. */
static void take_head(struct image *img, const struct image_params *params)
{
	const unsigned char *bytes = params->head;
	uint64_t usable = min_u64(params->head_length, img->geo.size);
	uint64_t first;
	uint64_t nr = geometry_whole_regions(&img->geo, 0, usable, &first);

	image_lock(img);
	for (uint64_t region = 0; region < nr; region++) {
		uint64_t start = geometry_region_start(&img->geo, region);
		struct entry *entry;

		if (metadata_is_region_hydrated(img->metadata, region))
			continue;
		entry = inflight_add_locked(img, region, true);
		if (!entry)
			break;
		fetch_sink_feed_locked(img, start, bytes + start,
		                       geometry_region_length(&img->geo, region));
		inflight_settle_locked(img, entry, false);
	}
	image_unlock(img);
}

static int start_threads(struct image *img, const struct image_params *params)
{
	int r = writers_start(img);

	if (r < 0)
		return r;
	take_head(img, params);
	r = committer_start(img);
	if (r == 0)
		r = hydrator_start(img);
	return r;
}

static void destroy(struct image *img)
{
	events_fini(&img->events);
	committer_fini(&img->committer);
	writers_fini(&img->writers);
	hydrator_fini(&img->hydrator);
	inflight_fini(&img->inflight);
	partial_fini(&img->partial);
	budget_fini(&img->budget);
	written_fini(&img->written);
	cf_cond_fini(&img->changed);
	cf_mutex_fini(&img->lock);
	cf_mutex_fini(&img->modify_lock);
	free(img);
}

int image_open(const struct image_params *params, struct image **ret_image, struct cf_error *err)
{
	struct image *img = calloc(1, sizeof(*img));
	int r;

	if (!img)
		return cf_error_errno(err, -ENOMEM, "the image cannot be opened");
	set_constants(img, params);
	configure_source(img);
	r = init_parts(img, params);
	if (r < 0) {
		destroy(img);
		return cf_error_errno(err, r, "the image cannot be opened");
	}
	r = start_threads(img, params);
	if (r < 0) {
		(void)image_close(img, NULL);
		return cf_error_errno(err, r, "the image's threads cannot be started");
	}
	*ret_image = img;
	return 0;
}

/* ---- stop and close ---- */

void image_fail(struct image *img, const char *why)
{
	image_lock(img);
	mode_fail_locked(img, why);
	image_unlock(img);
}

void image_trim(struct image *img)
{
	image_lock(img);
	budget_trim_locked(&img->budget);
	image_unlock(img);
}

void image_stop_background(struct image *img)
{
	image_lock(img);
	img->hydrator.off = true;
	hydrator_end_background_locked(img);
	committer_want_locked(img);
	image_unlock(img);
}

static void end_all(struct image *img, struct list *requests, size_t link_offset) CF_IMAGE_LOCKED
{
	list_for_each_safe (link, requests) {
		struct image_request *req = (void *)((char *)link - link_offset);

		request_end_locked(img, req, -EIO);
	}
}

static bool is_busy(const struct image *img) CF_IMAGE_LOCKED
{
	return !fetch_is_idle_locked(img) || !writers_are_idle_locked(img) || img->nr_finishing;
}

void image_stop(struct image *img)
{
	image_lock(img);
	img->hydrator.off = true;
	img->stopping = true;
	atomic_store(&img->stopped, true);
	cf_cond_broadcast(&img->budget.room);
	end_all(img, &img->waiting, offsetof(struct image_request, waiting_link));
	end_all(img, &img->committer.tickets, offsetof(struct image_request, link));
	end_all(img, &img->hydrator.pauses, offsetof(struct image_request, link));
	fetch_cancel_all_locked(img, false);
	inflight_settle_all_locked(img, false);
	image_unlock(img);

	image_lock(img);
	while (is_busy(img))
		cf_cond_wait(&img->changed, &img->lock);
	partial_tell_not_kept_locked(img);
	image_unlock(img);
}

int image_close(struct image *img, struct cf_error *err)
{
	int r;

	if (!img)
		return 0;
	image_stop(img);
	writers_stop(img);
	r = committer_stop(img, err);
	if (r == 0 && img->partial.nr_not_kept)
		r = cf_error_set(err, -EIO,
		                 "writes to part of %" PRIu64
		                 " regions could not be kept: the source did "
		                 "not bring the rest of them",
		                 img->partial.nr_not_kept);
	hydrator_stop(img);
	destroy(img);
	return r;
}

/* ---- flush, pause, resume, cancel ---- */

static struct image_request *flush(struct image *img, bool may_run_here, image_done_fn *done,
                                   void *user)
{
	struct image_request *req = request_new(img, REQUEST_FLUSH, 0, done, user);

	if (!req)
		return NULL;
	patience_user(&img->committer.patience);
	sync_habit_synced(&img->sync_habit);
	image_lock(img);
	if (img->stopping)
		request_end_locked(img, req, -EIO);
	else if (!may_run_here || !list_is_empty(&img->partial.entries) ||
	         !committer_run_here_locked(img, req))
		partial_flush_locked(img, req);
	image_unlock(img);
	return req;
}

struct image_request *image_flush(struct image *img, image_done_fn *done, void *user)
{
	return flush(img, false, done, user);
}

struct image_request *image_flush_here(struct image *img, image_done_fn *done, void *user)
{
	return flush(img, true, done, user);
}

struct image_request *image_pause(struct image *img, image_done_fn *done, void *user)
{
	struct image_request *req = request_new(img, REQUEST_PAUSE, 0, done, user);

	if (!req)
		return NULL;
	image_lock(img);
	if (img->stopping) {
		request_end_locked(img, req, -EIO);
	} else {
		if (!img->hydrator.paused)
			events_push_locked(img, IMAGE_EVENT_PAUSED, 0, "%s", "");
		img->hydrator.paused = true;
		list_add_tail(&img->hydrator.pauses, &req->link);
		hydrator_end_background_locked(img);
	}
	image_unlock(img);
	return req;
}

void image_resume(struct image *img)
{
	image_lock(img);
	if (img->hydrator.paused)
		events_push_locked(img, IMAGE_EVENT_RESUMED, 0, "%s", "");
	img->hydrator.paused = false;
	img->hydrator.failures = 0;
	img->hydrator.failed_until_ns = 0;
	if (!img->stopping)
		outage_ask_now_locked(img, clock_monotonic_ns());
	hydrator_wake_locked(img);
	image_unlock(img);
}

void image_request_cancel(struct image *img, struct image_request *req, int error)
{
	image_lock(img);
	/* A commit that runs for it has a hand on it, and ends as it ends. */
	if (!(req->hands && (req->kind == REQUEST_FLUSH || req->kind == REQUEST_PAUSE)))
		request_end_locked(img, req, error);
	image_unlock(img);
}

/* ---- settings ---- */

void image_configure(struct image *img, const struct image_settings *settings)
{
	uint64_t now_ns = clock_monotonic_ns();

	assert(settings->max_connections >= 1);
	image_lock(img);
	img->settings = *settings;
	configure_source(img);
	outage_configured_locked(img, now_ns);
	fetch_dispatch_locked(img, now_ns);
	image_unlock(img);
}

void image_get_settings(struct image *img, struct image_settings *ret_settings)
{
	image_lock(img);
	*ret_settings = img->settings;
	image_unlock(img);
}
