#include "daemon/controls.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/daemon.h"
#include "daemon/digest.h"
#include "daemon/history.h"

static void get_settings(void *user, struct settings *ret_settings)
{
	struct daemon *d = user;

	cf_lock(&d->lock);
	*ret_settings = d->settings;
	cf_unlock(&d->lock);
}

static int set_settings(void *user, const struct settings *old, const struct settings *settings,
                        struct cf_error *err)
{
	struct daemon *d = user;
	struct image_settings image_settings;
	bool closing;

	clone_image_settings(settings, &image_settings);
	cf_lock(&d->lock);
	closing = d->closing;
	if (!closing) {
		d->settings = *settings;
		image_configure(d->clone.image, &image_settings);
	}
	cf_unlock(&d->lock);
	if (closing)
		return cf_error_set(err, -EBUSY,
		                    "clone '%s' is being closed: its settings stay as they are",
		                    state_name(d->clone.state));
	log_set_level(settings->log_level);
	history_settings(d->clone.journal, old, settings);
	return 0;
}

static void fill_strings(struct daemon *d, const struct image_status *image,
                         struct control_status *status)
{
	const struct clone_config *config = state_config(d->clone.state);

	status->name = state_name(d->clone.state);
	status->source = d->clone.name->shown;
	status->mountpoint = d->place.path;
	status->image = d->image_path;
	status->state_dir = state_dir(d->clone.state);
	status->destination = config->destination;
	status->metadata = config->metadata;
	status->mode = image_mode_name(image->mode);
	status->hydration = image_hydration_name(image->hydration);
	status->source_state = image_source_state_name(image->source_state);
	status->digest = digest_state_name(digest_get(d->digest, image->modified));
	status->version = CLONEFS_VERSION;
	(void)snprintf(status->reason, sizeof(status->reason), "%s", image->reason);
	(void)snprintf(status->source_reason, sizeof(status->source_reason), "%s",
	               image->source_reason);
}

static void get_status(void *user, struct control_status *ret_status)
{
	struct daemon *d = user;
	struct control_status *status = ret_status;
	const struct clone_config *config = state_config(d->clone.state);
	struct image_status image;

	image_get_status(d->clone.image, &image);
	fill_strings(d, &image, status);
	status->size = config->source.size;
	status->region_size = config->region_size;
	status->regions_total = image.regions_total;
	status->regions_hydrated = image.regions_hydrated;
	status->regions_committed = image.regions_committed;
	status->regions_hydrating = image.regions_hydrating;
	status->metadata_blocks_used = image.metadata_blocks_used;
	status->metadata_blocks_total = image.metadata_blocks_total;
	status->bytes_from_source = image.bytes_from_source;
	status->requests = image.requests;
	status->rate_bytes_per_second = image.rate_bytes_per_second;
	status->eta_seconds =
	        image.eta_seconds == UINT64_MAX ? CONTROL_ETA_UNKNOWN : image.eta_seconds;
	status->uptime_seconds = (clock_monotonic_ns() - d->started_ns) / CF_NS_PER_S;
	status->pid = (uint64_t)getpid();
	status->api_version = CONTROL_API_VERSION;
	status->read_only = d->options->read_only;
	status->modified = image.modified;
	status->digest_expected = d->options->sha256 != NULL;
	status->no_hydration = image.paused;
	status->no_discard_passdown = d->options->no_discard_passdown;
	get_settings(d, &status->settings);
}

static void call_done(void *user, int error, const void *data, size_t length)
{
	(void)data;
	(void)length;
	control_call_end(user, error, NULL);
}

static void begin_pause(void *user, struct control_call *call)
{
	struct daemon *d = user;

	image_request_put(image_pause(d->clone.image, call_done, call));
}

static void begin_flush(void *user, struct control_call *call)
{
	struct daemon *d = user;

	image_request_put(image_flush(d->clone.image, call_done, call));
}

static void resume(void *user)
{
	struct daemon *d = user;

	image_resume(d->clone.image);
}

const struct control_ops controls = {
        .get_status = get_status,
        .get_settings = get_settings,
        .set_settings = set_settings,
        .pause = begin_pause,
        .flush = begin_flush,
        .resume = resume,
};
