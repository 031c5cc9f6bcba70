/*
 * Opening a clone that is there. What clone.json names is taken as it is or refused: nothing is
 * formatted, created, extended or truncated, because each of these would show wrong bytes as the
 * image's.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/geometry.h"
#include "core/metadata/metadata.h"
#include "core/state/state_internal.h"

static int open_part(const char *what, const char *path, struct block_io **io, struct cf_error *err)
{
	struct stat st;

	if (*io)
		return 0;
	if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return cf_error_set(err, -ENOENT, "%s %s is missing", what, path);
	return state_open_exclusive(what, path, io, err);
}

static int check_destination(const struct state *state, struct cf_error *err)
{
	const struct clone_config *config = state->config;
	const struct block_io *io = state->destination;
	uint64_t expected =
	        io->is_device ? config->target_sectors * CF_SECTOR_SIZE : config->source.size;

	if (io->is_device ? io->size >= expected : io->size == expected)
		return 0;
	return cf_error_set(err, -EINVAL, "destination %s has %llu bytes, expected %s%llu",
	                    config->destination, (unsigned long long)io->size,
	                    io->is_device ? "at least " : "", (unsigned long long)expected);
}

static int open_metadata(struct state *state, struct cf_error *err)
{
	const struct clone_config *config = state->config;
	const struct metadata_params params = {
	        .target_sectors = config->target_sectors,
	        .region_sectors = config->region_size / CF_SECTOR_SIZE,
	        .mode = METADATA_EXISTING,
	};
	struct cf_error why = {0};
	int r = metadata_open(state->metadata_io, &params, &state->metadata, &why);

	if (r == 0)
		return 0;
	state->metadata = NULL;
	if (r == -EPERM)
		return cf_error_set(err, r,
		                    "metadata %s begins with zeros, expected the metadata of this "
		                    "clone: which regions are in the destination is not known any "
		                    "more",
		                    config->metadata);
	return cf_error_set(err, r, "metadata %s: %s", config->metadata, why.text);
}

int state_open(struct state *state, struct cf_error *err)
{
	int r;

	if (!state->config)
		return cf_error_set(err, -ENOENT, "%s holds no clone", state->dir);
	if (state->metadata)
		return 0;
	if ((r = open_part("destination", state->config->destination, &state->destination, err)) <
	            0 ||
	    (r = check_destination(state, err)) < 0 ||
	    (r = open_part("metadata", state->config->metadata, &state->metadata_io, err)) < 0 ||
	    (r = open_metadata(state, err)) < 0)
		state_close_parts(state);
	return r;
}
