/* image_get_status(), and the names of states. Nothing here waits for more than the lock. */
#include <stdio.h>

#include "core/engine/hydrator.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"

const char *image_mode_name(enum image_mode mode)
{
	switch (mode) {
	case IMAGE_RW:
		return "rw";
	case IMAGE_RO:
		return "ro";
	case IMAGE_FAIL:
		break;
	}
	return "fail";
}

const char *image_hydration_name(enum image_hydration hydration)
{
	switch (hydration) {
	case HYDRATION_RUNNING:
		return "running";
	case HYDRATION_PAUSED:
		return "paused";
	case HYDRATION_WAITING:
		return "waiting";
	case HYDRATION_DONE:
		return "done";
	case HYDRATION_STOPPED:
		break;
	}
	return "stopped";
}

const char *image_source_state_name(enum image_source_state state)
{
	switch (state) {
	case SOURCE_STATE_OK:
		return "ok";
	case SOURCE_STATE_UNREACHABLE:
		return "unreachable";
	case SOURCE_STATE_CHANGED:
		return "changed";
	case SOURCE_STATE_UNUSED:
		break;
	}
	return "unused";
}

static uint64_t eta_seconds(const struct image_status *status, uint64_t region_size)
{
	uint64_t missing = status->regions_total - status->regions_hydrated;

	if (status->hydration != HYDRATION_RUNNING || !status->rate_bytes_per_second)
		return UINT64_MAX;
	return missing * region_size / status->rate_bytes_per_second;
}

/* A failure that is still being retried is not the state yet. */
static void source_reason(const struct image *img, char *reason, size_t size) CF_IMAGE_LOCKED
{
	bool away = img->outage.state == SOURCE_STATE_UNREACHABLE ||
	            img->outage.state == SOURCE_STATE_CHANGED;

	(void)snprintf(reason, size, "%s", away ? img->outage.why : "");
}

bool image_is_plain(const struct image *img)
{
	return image_mode(img) == IMAGE_RW && !image_is_stopped(img) &&
	       metadata_is_hydration_done(img->metadata);
}

void image_get_status(struct image *img, struct image_status *ret_status)
{
	struct image_status status = {0};

	image_lock(img);
	status.hydration = hydrator_state_locked(img, status.reason, sizeof(status.reason));
	status.source_state = img->outage.state;
	source_reason(img, status.source_reason, sizeof(status.source_reason));
	status.paused = img->hydrator.paused;
	status.regions_hydrating = img->inflight.nr_entries;
	status.background_in_flight = img->fetches.nr_running[SOURCE_BACKGROUND] +
	                              img->fetches.nr_queued[SOURCE_BACKGROUND];
	status.bytes_from_source = img->fetches.nr_bytes;
	status.requests = img->fetches.nr_requests;
	status.rate_bytes_per_second = pacing_rate_locked(img, clock_monotonic_ns());
	image_unlock(img);
	status.mode = image_mode(img);
	status.modified = atomic_load_explicit(&img->modified, memory_order_relaxed);
	status.regions_total = img->geo.nr_regions;
	status.regions_hydrated = metadata_nr_hydrated(img->metadata);
	status.regions_committed = metadata_nr_committed(img->metadata);
	metadata_usage(img->metadata, &status.metadata_blocks_used, &status.metadata_blocks_total);
	status.eta_seconds = eta_seconds(&status, geometry_region_size(&img->geo));
	*ret_status = status;
}
