/*
 * Invariants
 * S1  Nothing of a state folder is read or written by a process that does not hold its lock
 *     (looking at who holds it excepted).
 * S2  A folder with clone.json is a clone and is never formatted, extended, truncated or removed,
 *     unless this process created it and could not show it (state_forget_new()).
 * S3  A refused new clone leaves nothing behind that this process made.
 */
#include "core/state/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/metadata/metadata.h"
#include "core/state/holder.h"
#include "core/state/lock.h"
#include "core/state/paths.h"
#include "core/state/places.h"
#include "core/state/state_internal.h"

#define BUSY_POLL_MS 50

char *state_file(const struct state *state, const char *file)
{
	char *path;

	return asprintf(&path, "%s/%s", state->dir, file) < 0 ? NULL : path;
}

/* Which folder the clone lives in, and what it is called if it is new. */
static int choose_folder(struct state *state, const struct state_request *request,
                         struct cf_error *err)
{
	const char *name = request->name ? request->name : request->source->name;
	CF_AUTO_FREE char *root = NULL;
	int r;

	if (!clone_name_is_valid(name))
		return cf_error_set(
		        err, -EINVAL,
		        "name=%s: expected 1 to %d of A-Z a-z 0-9 . _ + -, no leading dot", name,
		        CLONE_NAME_MAX);
	memcpy(state->name, name, strlen(name) + 1);
	if (request->state_dir) {
		r = path_absolute(request->state_dir, &state->dir);
		return r < 0 ? cf_error_errno(err, r, "%s", request->state_dir) : 0;
	}
	r = path_state_root(&root, err);
	if (r < 0)
		return r;
	if (asprintf(&state->dir, "%s/%s", root, name) < 0) {
		state->dir = NULL;
		return cf_error_errno(err, -ENOMEM, "%s/%s", root, name);
	}
	return 0;
}

static int choose_path(const struct state *state, const char *given, const char *default_file,
                       char **ret_path, struct cf_error *err)
{
	int r;

	if (!given) {
		*ret_path = state_file(state, default_file);
		return *ret_path ? 0 : cf_error_errno(err, -ENOMEM, "%s", default_file);
	}
	r = path_absolute(given, ret_path);
	return r < 0 ? cf_error_errno(err, r, "%s", given) : 0;
}

static int state_new(const struct state_request *request, struct state **ret_state,
                     struct cf_error *err)
{
	struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return cf_error_errno(err, -ENOMEM, "the state of the clone");
	state->lock_fd = -1;
	cf_mutex_init(&state->modified_lock);
	state->destination_given = request->destination != NULL;
	state->metadata_given = request->metadata != NULL;
	state->region_size = request->region_size;
	state->overwrite_dest = request->overwrite_dest;
	state->relocate = request->relocate;
	memcpy(state->source_sha256, request->source->identity_sha256,
	       sizeof(state->source_sha256));
	state->source_url = strdup(request->source->shown);
	if (!state->source_url)
		r = cf_error_errno(err, -ENOMEM, "the state of the clone");
	else
		r = choose_folder(state, request, err);
	if (r == 0)
		r = choose_path(state, request->destination, DESTINATION_FILE,
		                &state->destination_path, err);
	if (r == 0)
		r = choose_path(state, request->metadata, METADATA_FILE, &state->metadata_path,
		                err);
	if (r < 0) {
		state_release(state);
		return r;
	}
	*ret_state = state;
	return 0;
}

static int check_places(const struct state *state, const struct state_request *request,
                        const char *destination, const char *metadata, struct cf_error *err)
{
	bool is_file = request->source->kind == SOURCE_KIND_FILE;
	const struct places places = {
	        .source = is_file ? request->source->fetch : NULL,
	        .destination = destination,
	        .metadata = metadata,
	        .state_dir = state->dir,
	        .mountpoint = request->mountpoint,
	};

	return places_check(&places, err);
}

/* Makes the folder and takes its lock; again if a refused one takes the folder away meanwhile. */
static int take_folder(struct state *state, struct cf_error *err)
{
	uint64_t deadline_ns = clock_monotonic_ns() + STATE_CLOSING_WAIT_MS * CF_NS_PER_MS;
	int r;

	do {
		r = path_make_folder(state->dir, 0700, &state->nr_made_folders, err);
		if (r < 0)
			return r;
		r = lock_take(state->dir, deadline_ns, err);
	} while (r == -ENOENT && clock_monotonic_ns() < deadline_ns);
	if (r < 0)
		return r;
	state->lock_fd = r;
	return 0;
}

static int check_given_path(const char *option, const char *given, bool is_given,
                            const char *expected, struct cf_error *err)
{
	if (!is_given || places_are_same(given, expected))
		return 0;
	return cf_error_set(err, -EINVAL, "%s=%s is not what this clone was made with: expected %s",
	                    option, given, expected);
}

bool state_is_elsewhere(const struct state *state)
{
	return state->config && strcmp(state->config->source_sha256, state->source_sha256) != 0;
}

/* Holds what was asked for against the clone that is there. */
static int check_existing(const struct state *state, const struct state_request *request,
                          struct cf_error *err)
{
	const struct clone_config *config = state->config;
	int r;

	if (strcmp(config->source_sha256, state->source_sha256) != 0 && !state->relocate)
		return cf_error_set(err, -EINVAL,
		                    "%s holds a clone of another source: expected %s, found %s",
		                    state->dir, config->source_url, state->source_url);
	if (request->name && strcmp(config->name, request->name) != 0)
		return cf_error_set(err, -EINVAL, "the clone in %s has the name %s, found name=%s",
		                    state->dir, config->name, request->name);
	if (state->region_size && config->region_size != state->region_size)
		return cf_error_set(err, -EINVAL,
		                    "the clone in %s has regions of %llu bytes, found "
		                    "region_size=%llu",
		                    state->dir, (unsigned long long)config->region_size,
		                    (unsigned long long)state->region_size);
	if ((r = check_given_path("dest", state->destination_path, state->destination_given,
	                          config->destination, err)) < 0 ||
	    (r = check_given_path("metadata", state->metadata_path, state->metadata_given,
	                          config->metadata, err)) < 0)
		return r;
	return check_places(state, request, config->destination, config->metadata, err);
}

static int load_config(struct state *state, const struct state_request *request,
                       struct cf_error *err)
{
	int r = clone_config_load(state->dir, &state->config, err);

	if (r == -ENOENT && state->relocate)
		return cf_error_set(err, r, "%s holds no clone that could be relocated",
		                    state->dir);
	if (r == -ENOENT)
		return check_places(state, request, state->destination_path, state->metadata_path,
		                    err);
	if (r < 0)
		return r;
	r = check_existing(state, request, err);
	if (r < 0)
		return r;
	memcpy(state->name, state->config->name, sizeof(state->name));
	return state_load_modified(state, err);
}

int state_acquire(const struct state_request *request, struct state **ret_state,
                  struct cf_error *err)
{
	struct state *state = NULL;
	int r;

	r = state_new(request, &state, err);
	if (r < 0)
		return r;
	if ((r = check_places(state, request, NULL, NULL, err)) < 0 ||
	    (r = take_folder(state, err)) < 0 || (r = load_config(state, request, err)) < 0) {
		state_release(state);
		return r;
	}
	*ret_state = state;
	return 0;
}

const struct clone_config *state_config(const struct state *state)
{
	return state->config;
}

const char *state_dir(const struct state *state)
{
	return state->dir;
}

const char *state_name(const struct state *state)
{
	return state->name;
}

struct block_io *state_destination(const struct state *state)
{
	return state->destination;
}

struct metadata *state_metadata(const struct state *state)
{
	return state->metadata;
}

void state_set_closing(struct state *state)
{
	lock_set_closing(state->lock_fd);
}

static int refuse_busy(const char *what, const char *path, const struct lock_holder *holder,
                       struct cf_error *err)
{
	if (holder->pid <= 0)
		return cf_error_set(err, -EBUSY, "%s %s is in use", what, path);
	return cf_error_set(err, -EBUSY, "%s %s is in use by process %d%s", what, path,
	                    (int)holder->pid, holder->closing ? ", which is still closing" : "");
}

int state_open_exclusive(const char *what, const char *path, struct block_io **ret_io,
                         struct cf_error *err)
{
	const struct timespec pause = {.tv_nsec = BUSY_POLL_MS * (long)CF_NS_PER_MS};
	uint64_t deadline_ns = clock_monotonic_ns() + STATE_CLOSING_WAIT_MS * CF_NS_PER_MS;
	struct lock_holder holder;
	int r;

	for (;;) {
		r = block_io_open(path, BLOCK_IO_EXCLUSIVE, ret_io, err);
		if (r != -EBUSY)
			break;
		(void)holder_find_file(path, &holder);
		if (!holder.closing || clock_monotonic_ns() >= deadline_ns)
			return refuse_busy(what, path, &holder, err);
		(void)nanosleep(&pause, NULL);
	}
	if (r < 0)
		(void)cf_error_prefix(err, "%s", what);
	return r;
}

void state_close_parts(struct state *state)
{
	metadata_close(state->metadata);
	state->metadata = NULL;
	block_io_close(state->metadata_io);
	state->metadata_io = NULL;
	block_io_close(state->destination);
	state->destination = NULL;
}

void state_release(struct state *state)
{
	int saved = errno;

	if (!state)
		return;
	state_close_parts(state);
	if (state->lock_fd >= 0)
		lock_release(state->lock_fd, state->dir, state->nr_made_folders > 0);
	if (state->nr_made_folders)
		path_remove_folders(state->dir, state->nr_made_folders);
	clone_config_free(state->config);
	cf_mutex_fini(&state->modified_lock);
	free(state->dir);
	free(state->source_url);
	free(state->destination_path);
	free(state->metadata_path);
	free(state);
	errno = saved;
}
