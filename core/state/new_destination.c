/*
 * The destination of a new clone: made at the image's full size, or a file or device that is there
 * and holds nothing (or may be overwritten). Its bytes are not touched: what a region holds before
 * it is hydrated does not matter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/geometry.h"
#include "core/state/data_scan.h"
#include "core/state/paths.h"
#include "core/state/state_internal.h"

/* The bytes that a destination of @size needs: a device counts in sectors. */
static uint64_t needed_size(const struct block_io *io, uint64_t size)
{
	return io->is_device ? geometry_target_sectors(size) * CF_SECTOR_SIZE : size;
}

static bool fits(const struct block_io *io, uint64_t size)
{
	return io->is_device ? io->size >= needed_size(io, size) : io->size == size;
}

static int refuse_data(struct state *state, struct cf_error *err)
{
	bool found;
	int r = data_scan(state->destination, &found);

	if (r < 0)
		return cf_error_errno(err, r, "reading destination %s", state->destination_path);
	if (!found)
		return 0;
	return cf_error_set(err, -EEXIST,
	                    "destination %s holds data already: give another one, or "
	                    "overwrite_dest to lose what is in it",
	                    state->destination_path);
}

/* A destination that is there and locked. */
static int check_present(struct state *state, uint64_t size, struct cf_error *err)
{
	struct block_io *io = state->destination;
	bool adopting = state->metadata_plan == PART_ADOPT && state->adopted_hydrated > 0;

	if (!io->is_device && io->size == 0 && !adopting) {
		state->destination_plan = PART_MAKE;
		return 0;
	}
	if (fits(io, size))
		state->destination_plan = PART_USE;
	else if (!io->is_device && !adopting &&
	         (state->overwrite_dest || !state->destination_given))
		state->destination_plan = PART_RESIZE;
	else
		return cf_error_set(err, -EINVAL,
		                    "destination %s has %llu bytes, the image needs %llu",
		                    state->destination_path, (unsigned long long)io->size,
		                    (unsigned long long)needed_size(io, size));
	/*
	 * STATE/disk.img too: a creation that did not get far leaves none that holds data, so this
	 * is somebody's, in a folder that was taken for a state folder.
	 */
	if (adopting || state->overwrite_dest)
		return 0;
	return refuse_data(state, err);
}

int state_check_new_destination(struct state *state, uint64_t size, struct cf_error *err)
{
	struct stat st;
	int r;

	if (stat(state->destination_path, &st) < 0 && errno == ENOENT) {
		if (state->metadata_plan == PART_ADOPT && state->adopted_hydrated > 0)
			return cf_error_set(err, -ENOENT,
			                    "destination %s is missing, and metadata %s is that of "
			                    "a clone: expected the destination of the same clone",
			                    state->destination_path, state->metadata_path);
		state->destination_plan = PART_MAKE;
		return 0;
	}
	r = state_open_exclusive("destination", state->destination_path, &state->destination, err);
	if (r < 0)
		return r;
	return check_present(state, size, err);
}

/* The file itself, empty. */
static int make_file(const char *path)
{
	CF_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) == 0)
		return 0;
	r = -errno;
	(void)unlink(path);
	return r;
}

/* A device may be a bit larger than the image; what a reader sees there must be zeros. */
static int zero_behind(struct block_io *io, uint64_t size)
{
	static const unsigned char zeros[CF_SECTOR_SIZE];
	uint64_t end = needed_size(io, size);

	return end == size ? 0 : block_io_pwrite(io, zeros, (size_t)(end - size), size);
}

static int set_size(struct block_io *io, uint64_t size)
{
	int fd = block_io_fd(io);

	if (ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0)
		return -errno;
	io->size = size;
	return 0;
}

static int make_and_open(struct state *state, struct cf_error *err)
{
	int r = make_file(state->destination_path);

	if (r < 0)
		return cf_error_errno(err, r, "making destination %s", state->destination_path);
	state->made_destination = true;
	return state_open_exclusive("destination", state->destination_path, &state->destination,
	                            err);
}

int state_make_destination(struct state *state, uint64_t size, struct cf_error *err)
{
	int r = 0;

	if (!state->destination)
		r = make_and_open(state, err);
	if (r < 0)
		return r;
	if (state->destination->is_device)
		r = zero_behind(state->destination, size);
	else if (state->destination_plan != PART_USE)
		r = set_size(state->destination, size);
	if (r == 0)
		r = block_io_sync(state->destination);
	if (r == 0)
		r = path_sync_parent(state->destination_path);
	if (r < 0)
		return cf_error_errno(err, r, "making destination %s of %llu bytes",
		                      state->destination_path, (unsigned long long)size);
	return 0;
}
