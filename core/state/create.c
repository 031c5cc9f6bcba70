/*
 * A new clone is made in steps, each durable before the next one begins:
 *
 *   folder and lock (state_acquire)   probe (the caller)   destination   metadata   the folder
 *   [modified, when hydrated metadata is adopted]   clone.json
 *
 * C1  clone.json is the commit point: before it there is no clone, and what is there is begun
 *     again; behind it everything it names is complete.
 * C2  Whatever can refuse does so in state_check_new(), which changes nothing.
 * C3  A creation that fails takes away what it made; one that is killed leaves it. The same holds
 *     for a clone whose first mount fails (state_forget_new()): clone.json goes first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/geometry.h"
#include "core/metadata/metadata.h"
#include "core/state/paths.h"
#include "core/state/state_internal.h"

int state_check_new(struct state *state, const struct source_identity *identity,
                    struct cf_error *err)
{
	int r;

	if (state->config)
		return cf_error_set(err, -EEXIST, "%s holds a clone already", state->dir);
	if (identity->size == 0)
		return cf_error_set(err, -EINVAL,
		                    "the image is empty (0 bytes): there is nothing to show");
	if (identity->size > INT64_MAX)
		return cf_error_set(err, -EINVAL, "a source of %llu bytes is too large",
		                    (unsigned long long)identity->size);
	state_close_parts(state);
	r = state_check_new_metadata(state, identity->size, err);
	if (r == 0)
		r = state_check_new_destination(state, identity->size, err);
	if (r < 0)
		state_close_parts(state);
	return r;
}

static int forget_file(struct state *state, const char *file)
{
	CF_AUTO_FREE char *path = state_file(state, file);

	if (!path)
		return -ENOMEM;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/*
 * Nobody knows who wrote what adopted metadata shows as hydrated. If nothing is, the mark may still
 * be there from an earlier creation that did not get to its end.
 */
static int settle_modified(struct state *state, struct cf_error *err)
{
	bool adopts_data = state->metadata_plan == PART_ADOPT && state->adopted_hydrated > 0;
	int r = adopts_data ? state_mark_modified(state) : forget_file(state, MODIFIED_FILE);

	if (r == 0)
		r = path_sync_folder(state->dir);
	if (r < 0)
		return cf_error_errno(err, r, "%s/%s", state->dir, MODIFIED_FILE);
	return 0;
}

static int new_config(const struct state *state, const struct source_identity *identity,
                      struct clone_config **ret_config)
{
	struct clone_config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	memcpy(config->name, state->name, sizeof(config->name));
	memcpy(config->source_sha256, state->source_sha256, sizeof(config->source_sha256));
	config->source = *identity;
	config->region_size = state->new_region_size;
	config->target_sectors = geometry_target_sectors(identity->size);
	config->created = (int64_t)time(NULL);
	config->source_url = strdup(state->source_url);
	config->destination = strdup(state->destination_path);
	config->metadata = strdup(state->metadata_path);
	if (!config->source_url || !config->destination || !config->metadata) {
		clone_config_free(config);
		return -ENOMEM;
	}
	*ret_config = config;
	return 0;
}

static int commit_config(struct state *state, const struct source_identity *identity,
                         struct cf_error *err)
{
	struct clone_config *config;
	int r = new_config(state, identity, &config);

	if (r < 0)
		return cf_error_errno(err, r, "%s/%s", state->dir, CLONE_JSON_FILE);
	r = clone_config_save(state->dir, config, err);
	if (r < 0) {
		/* It may be there already, only not durable. */
		(void)forget_file(state, CLONE_JSON_FILE);
		clone_config_free(config);
		return r;
	}
	state->config = config;
	state->created = true;
	state->nr_new_folders = state->nr_made_folders;
	state->nr_made_folders = 0;
	return 0;
}

/* What the first mount may have begun to keep. */
static const char *const journal_files[] = {"journal.db", "journal.db-wal", "journal.db-shm"};

/* A given file that was empty is empty again, as far as that can be had. */
static void empty_again(struct block_io *destination)
{
	if (destination && ftruncate(block_io_fd(destination), 0) < 0)
		return;
}

/* C3 */
static void take_away(struct state *state)
{
	if (state->destination_plan == PART_MAKE && !state->made_destination)
		empty_again(state->destination);
	state_close_parts(state);
	if (state->made_metadata)
		(void)unlink(state->metadata_path);
	if (state->made_destination)
		(void)unlink(state->destination_path);
	state->made_metadata = false;
	state->made_destination = false;
	if (state->nr_made_folders)
		(void)forget_file(state, MODIFIED_FILE);
	state->modified = false;
}

int state_create(struct state *state, const struct source_identity *identity, struct cf_error *err)
{
	int r;

	r = state_check_new(state, identity, err);
	if (r < 0)
		return r;
	if ((r = state_make_destination(state, identity->size, err)) < 0 ||
	    (r = state_make_metadata(state, identity->size, err)) < 0 ||
	    (r = settle_modified(state, err)) < 0 || (r = commit_config(state, identity, err)) < 0)
		take_away(state);
	return r;
}

/* A part that was given stays, and only clone.json tells of which version its regions are. */
static bool leaves_regions(const struct state *state)
{
	bool all_goes = state->made_metadata &&
	                (state->made_destination || state->destination_plan == PART_MAKE);

	return !all_goes && state->metadata && metadata_nr_hydrated(state->metadata) > 0;
}

void state_forget_new(struct state *state)
{
	/* Users' data is never taken away; adopted data is not ours to begin with. */
	if (!state->created || (state->modified && !state->adopted_hydrated) ||
	    leaves_regions(state))
		return;
	/* As long as it names the other files they stay. */
	if (forget_file(state, CLONE_JSON_FILE) < 0 || path_sync_folder(state->dir) < 0)
		return;
	state->nr_made_folders = state->nr_new_folders;
	take_away(state);
	for (size_t i = 0; i < sizeof(journal_files) / sizeof(journal_files[0]); i++)
		(void)forget_file(state, journal_files[i]);
	(void)forget_file(state, MODIFIED_FILE);
	(void)path_sync_folder(state->dir);
	state->created = false;
}
