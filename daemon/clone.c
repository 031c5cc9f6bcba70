#include "daemon/clone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "core/base/cleanup.h"
#include "core/base/log.h"
#include "core/metadata/metadata.h"
#include "daemon/history.h"
#include "daemon/image_kind.h"
#include "daemon/source_ask.h"

void clone_image_settings(const struct settings *settings, struct image_settings *ret_settings)
{
	static const enum image_on_error on_error[] = {
	        [SETTINGS_ON_ERROR_EIO] = ON_ERROR_EIO,
	        [SETTINGS_ON_ERROR_WAIT] = ON_ERROR_WAIT,
	        [SETTINGS_ON_ERROR_WAIT_TIME] = ON_ERROR_WAIT_TIME,
	};

	*ret_settings = (struct image_settings){
	        .hydration_threshold = settings->hydration_threshold,
	        .hydration_batch_size = settings->hydration_batch_size,
	        .background_rate = settings->background_rate,
	        .max_connections = settings->max_connections,
	        .timeout_ms = settings->timeout_ms,
	        .on_source_error = on_error[settings->on_source_error],
	        .wait_ms = settings->wait_ms,
	};
}

static int open_source(struct clone *clone, const struct options *options, struct cf_error *err)
{
	const struct source_options source_options = {
	        .cacert = options->cacert,
	        .user_file = options->user_file,
	        .netrc = options->netrc,
	        .header_file = options->header_file,
	        .cert = options->cert,
	        .key = options->key,
	        .proxy = options->proxy,
	        .insecure_redirect = options->insecure_redirect,
	        .max_connections = clone->settings.max_connections,
	        .stall_ms = image_stall_ms(clone->settings.timeout_ms),
	};

	return source_open(clone->name->fetch, &source_options, &clone->source, err);
}

/* Said once, when the clone is made: it does not change any more. */
static void warn_about_contents(struct clone *clone, const struct options *options,
                                const struct source_probe *probe)
{
	const char *kind = image_kind_find(probe->head, probe->head_length);

	if (kind && !options->raw)
		warnings_say(&clone->warnings,
		             "%s looks like a %s file: its bytes are shown, not the disk inside "
		             "(-o raw silences this)",
		             clone->name->shown, kind);
}

/* What whoever uses the image has to know, at each mount. */
static void warn_about_size(struct clone *clone, uint64_t size)
{
	if (size % CF_SECTOR_SIZE)
		warnings_say(&clone->warnings,
		             "%s has %" PRIu64 " bytes, no multiple of 512: a loop device hides "
		             "the rest",
		             clone->name->shown, size);
}

/* What matters as long as the source is needed, at each mount. */
static void warn_about_identity(struct clone *clone, const struct options *options,
                                const struct source_probe *probe)
{
	const char *shown = clone->name->shown;

	if (probe->is_device)
		warnings_say(&clone->warnings,
		             "%s is a block device: if its contents change, only another size "
		             "will show it",
		             shown);
	else if (probe->weak_validators && !options->identity_is_size)
		warnings_say(&clone->warnings,
		             "%s has no strong ETag and no old Last-Modified: a change of its "
		             "contents may go unnoticed",
		             shown);
}

static void keep_head(struct clone *clone, struct source_probe *probe)
{
	clone->head = probe->head;
	clone->head_length = probe->head_length;
	probe->head = NULL;
}

static int create(struct clone *clone, const struct options *options, struct cf_error *err)
{
	struct source_probe probe = {.head = NULL};
	int r;

	r = open_source(clone, options, err);
	if (r < 0)
		return r;
	r = source_ask(clone->source, clone->settings.timeout_ms, &probe, err);
	if (r < 0)
		return r;
	r = options->fake ? state_check_new(clone->state, &probe.identity, err)
	                  : state_create(clone->state, &probe.identity, err);
	/* A refusal is one sentence: nothing is said before. */
	if (r == 0) {
		warn_about_contents(clone, options, &probe);
		warn_about_size(clone, probe.identity.size);
		warn_about_identity(clone, options, &probe);
		keep_head(clone, &probe);
	}
	free(probe.head);
	clone->source_state = SOURCE_STATE_OK;
	return r;
}

/* Is what the probe found the version that is pinned? -ESTALE, -EINVAL: it is not shown to be. */
static int check_version(const struct clone *clone, const struct options *options,
                         const struct source_identity *found, struct cf_error *err)
{
	const struct clone_config *config = state_config(clone->state);
	const struct source_identity only_size = {.size = found->size};

	if (options->identity_is_size)
		return clone_config_check_source(config, &only_size, err);
	if (state_is_elsewhere(clone->state))
		return clone_config_check_moved(config, found, err);
	return clone_config_check_source(config, found, err);
}

/* The middle column of the table. */
static int judge_probe(struct clone *clone, const struct options *options, int probed,
                       const struct source_probe *probe, struct cf_error *err)
{
	struct cf_error why = {0};
	int r = probed;

	if (probed == 0)
		r = check_version(clone, options, &probe->identity, &why);
	else
		why = *err;
	clone->finding = why;
	/* What cannot be looked at cannot be shown to be the same. */
	if (r < 0 && state_is_elsewhere(clone->state)) {
		*err = why;
		return r;
	}
	switch (r) {
	case 0:
		clone->source_state = SOURCE_STATE_OK;
		return 0;
	case -ESTALE:
		clone->source_state = SOURCE_STATE_CHANGED;
		break;
	case -ENOENT:
	case -EACCES:
		clone->source_state = SOURCE_STATE_UNREACHABLE;
		break;
	default:
		clone->source_state = SOURCE_STATE_UNREACHABLE;
		log_warn("%s; what is hydrated can be read, the rest when it is back", why.text);
		return 0;
	}
	if (options->offline) {
		log_warn("%s; mounted all the same (offline)", why.text);
		return 0;
	}
	*err = why;
	return r;
}

static int relocate(struct clone *clone, const struct options *options,
                    const struct source_identity *found, struct cf_error *err)
{
	const struct clone_config *config = state_config(clone->state);
	CF_AUTO_FREE char *before = strdup(config->source_url);
	int r = 0;

	if (!before)
		return cf_error_set(err, -ENOMEM, "out of memory");
	if (!options->fake)
		r = state_relocate(clone->state, found, err);
	if (r == 0)
		warnings_say(&clone->warnings, "the source was %s and is %s from now on", before,
		             clone->name->shown);
	return r;
}

/* It was only asked where the clone's source is now. */
static void do_without_source(struct clone *clone)
{
	clone->source->ops->close(clone->source);
	clone->source = NULL;
	clone->source_state = SOURCE_STATE_UNUSED;
}

static int resume(struct clone *clone, const struct options *options, struct cf_error *err)
{
	struct source_probe probe = {.head = NULL};
	bool has_head, done;
	int r;

	r = state_open(clone->state, err);
	if (r < 0)
		return r;
	done = metadata_is_hydration_done(state_metadata(clone->state));
	if (done && !state_is_elsewhere(clone->state)) {
		clone->source_state = SOURCE_STATE_UNUSED;
		warn_about_size(clone, state_config(clone->state)->source.size);
		return 0;
	}
	r = open_source(clone, options, err);
	if (r < 0)
		return r;
	has_head = metadata_is_region_hydrated(state_metadata(clone->state), 0);
	clone->source->probe_length = has_head ? 1 : 0;
	r = source_ask(clone->source, clone->settings.timeout_ms, &probe, err);
	if (r == -EINTR)
		return r;
	r = judge_probe(clone, options, r, &probe, err);
	if (r == 0 && state_is_elsewhere(clone->state))
		r = relocate(clone, options, &probe.identity, err);
	if (r == 0 && done)
		do_without_source(clone);
	if (r == 0)
		warn_about_size(clone, state_config(clone->state)->source.size);
	if (r == 0 && clone->source_state == SOURCE_STATE_OK) {
		warn_about_identity(clone, options, &probe);
		if (!has_head)
			keep_head(clone, &probe);
	}
	free(probe.head);
	return r;
}

int clone_open(const struct options *options, const char *mountpoint, struct clone *ret_clone,
               struct cf_error *err)
{
	struct clone *clone = ret_clone;
	struct state_request request = {
	        .state_dir = options->state_dir,
	        .name = options->name,
	        .mountpoint = mountpoint,
	        .destination = options->dest,
	        .metadata = options->metadata,
	        .region_size = options->region_size,
	        .overwrite_dest = options->overwrite_dest,
	        .relocate = options->relocate,
	};
	const struct clone_config *config;
	int r;

	*clone = (struct clone){.name = NULL};
	r = source_name_parse(options->source, &clone->name, err);
	if (r < 0)
		return r;
	request.source = clone->name;
	r = state_acquire(&request, &clone->state, err);
	if (r < 0)
		return r;
	config = state_config(clone->state);
	settings_defaults(config                 ? config->region_size
	                  : options->region_size ? options->region_size
	                                         : STATE_REGION_SIZE_DEFAULT,
	                  &clone->settings);
	settings_patch_apply(&options->settings, &clone->settings);
	if (config)
		return resume(clone, options, err);
	r = create(clone, options, err);
	if (r < 0 || options->fake)
		return r;
	/* An adopted metadata has a region size of its own. */
	settings_defaults(state_config(clone->state)->region_size, &clone->settings);
	settings_patch_apply(&options->settings, &clone->settings);
	return state_open(clone->state, err);
}

static void open_journal(struct clone *clone, const struct options *options)
{
	clone->journal =
	        history_open(state_dir(clone->state), state_name(clone->state), clone->name->shown);
	for (size_t i = 0; i < options->nr_warnings; i++)
		journal_event(clone->journal, JOURNAL_WARNING, 0, options->warnings[i]);
	warnings_note(&clone->warnings, clone->journal);
	history_source(clone->journal, clone->source_state, clone->finding.text);
}

static void pin(struct clone *clone, const struct options *options)
{
	const struct source_identity *pinned = &state_config(clone->state)->source;
	const struct source_identity only_size = {.size = pinned->size};

	clone->source->ops->pin(clone->source, options->identity_is_size ? &only_size : pinned);
}

int clone_start(struct clone *clone, const struct options *options,
                const struct image_callbacks *callbacks, void *user, struct cf_error *err)
{
	const struct clone_config *config = state_config(clone->state);
	struct image_params params = {
	        .size = config->source.size,
	        .region_size = config->region_size,
	        .metadata = state_metadata(clone->state),
	        .destination = state_destination(clone->state),
	        .source = clone->source,
	        .source_state = clone->source_state,
	        .source_why = clone->finding.text,
	        .no_hydration = options->no_hydration,
	        .read_only = options->read_only,
	        .no_discard_passdown = options->no_discard_passdown,
	        .modified = state_is_modified(clone->state),
	        .head = clone->head,
	        .head_length = clone->head_length,
	        .callbacks = *callbacks,
	        .callbacks_user = user,
	};
	int r;

	open_journal(clone, options);
	clone_image_settings(&clone->settings, &params.settings);
	if (clone->source)
		pin(clone, options);
	r = image_open(&params, &clone->image, err);
	if (r < 0)
		return r;
	free(clone->head);
	clone->head = NULL;
	clone->head_length = 0;
	return 0;
}

/* Before the lock is let go: its next holder finds the session closed. */
static void close_journal(struct clone *clone, const char *reason, int committed,
                          const struct cf_error *why)
{
	struct cf_error both;

	if (committed < 0) {
		(void)cf_error_set(&both, committed, "%s; %s", reason, why->text);
		reason = both.text;
	}
	journal_close(clone->journal, reason);
}

int clone_close(struct clone *clone, const char *reason, struct cf_error *err)
{
	struct cf_error why = {0};
	int r = image_close(clone->image, &why);

	if (clone->source)
		clone->source->ops->close(clone->source);
	close_journal(clone, reason, r, &why);
	if (clone->state && !clone->shown)
		state_forget_new(clone->state);
	state_release(clone->state);
	source_name_free(clone->name);
	warnings_fini(&clone->warnings);
	free(clone->head);
	*clone = (struct clone){.name = NULL};
	if (r < 0 && err)
		*err = why;
	return r;
}
