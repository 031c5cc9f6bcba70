/*
 * The metadata of a new clone: made and formatted, or a given one that is zeroed and gets
 * formatted, or one that dm-clone or an earlier clonefs left and that is adopted as it is.
 *
 * A file is formatted under another name and renamed, so STATE/metadata is either absent or whole.
 * A given file or device is formatted in place; a crash there leaves block 0 zero and others
 * written, which is why such a device still counts as zeroed when the blocks that are not zero are
 * blocks of this format.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/geometry.h"
#include "core/metadata/metadata.h"
#include "core/state/adopt.h"
#include "core/state/data_scan.h"
#include "core/state/paths.h"
#include "core/state/state_internal.h"

#define BLOCK_SIZE     UINT64_C(4096)
#define ROUND_TO       (UINT64_C(1) << 20)
#define LOOK_AT_BLOCKS 256
#define TEMPORARY      ".clonefs-new"

static uint64_t nr_regions_of(const struct state *state, uint64_t size)
{
	return geometry_make(size, state->new_region_size).nr_regions;
}

static uint64_t safe_size(const struct state *state, uint64_t size)
{
	return metadata_blocks_to_be_safe(nr_regions_of(state, size)) * BLOCK_SIZE;
}

static int check_regions(const struct state *state, uint64_t size, struct cf_error *err)
{
	uint64_t fitting = state->new_region_size;

	if (!region_size_is_valid(state->new_region_size))
		return cf_error_set(
		        err, -EINVAL,
		        "region_size=%llu: expected a power of two from 4096 to 1073741824",
		        (unsigned long long)state->new_region_size);
	while (fitting < CF_REGION_SIZE_MAX &&
	       geometry_make(size, fitting).nr_regions > CF_NR_REGIONS_MAX)
		fitting *= 2;
	if (fitting == state->new_region_size && nr_regions_of(state, size) <= CF_NR_REGIONS_MAX)
		return 0;
	if (geometry_make(size, fitting).nr_regions > CF_NR_REGIONS_MAX)
		return cf_error_set(err, -EINVAL, "a source of %llu bytes is too large",
		                    (unsigned long long)size);
	return cf_error_set(err, -EINVAL,
	                    "a source of %llu bytes has too many regions of %llu bytes: the "
	                    "smallest region_size= that fits is %llu",
	                    (unsigned long long)size, (unsigned long long)state->new_region_size,
	                    (unsigned long long)fitting);
}

/* Each kind of block in use carries its own number, at one of two places. */
static bool is_own_block(const unsigned char *block, uint64_t number)
{
	uint64_t at_8;
	uint64_t at_16;

	memcpy(&at_8, block + 8, sizeof(at_8));
	memcpy(&at_16, block + 16, sizeof(at_16));
	return le64toh(at_8) == number || le64toh(at_16) == number;
}

/* Block 0 is zero: do the blocks behind it show that something else lives here? */
static int refuse_foreign(struct state *state, struct cf_error *err)
{
	uint64_t nr_blocks = state->metadata_io->size / BLOCK_SIZE;
	unsigned char block[BLOCK_SIZE];

	for (uint64_t i = 1; i < nr_blocks && i < LOOK_AT_BLOCKS; i++) {
		int r = block_io_pread(state->metadata_io, block, sizeof(block), i * BLOCK_SIZE);

		if (r < 0)
			return cf_error_errno(err, r, "reading metadata %s", state->metadata_path);
		if (!data_is_zero(block, sizeof(block)) && !is_own_block(block, i))
			return cf_error_set(err, -EEXIST,
			                    "metadata %s is not zeroed, though its first block is",
			                    state->metadata_path);
	}
	return 0;
}

/* A metadata= whose first block is zero. */
static int check_zeroed(struct state *state, uint64_t size, struct cf_error *err)
{
	uint64_t needed = safe_size(state, size);

	state->metadata_plan = PART_USE;
	if (state->metadata_io->size < needed)
		return cf_error_set(
		        err, -EINVAL, "metadata %s has %llu bytes, a clone of this size needs %llu",
		        state->metadata_path, (unsigned long long)state->metadata_io->size,
		        (unsigned long long)needed);
	return refuse_foreign(state, err);
}

static int refuse_left_behind(const struct state *state, int code, const char *why,
                              struct cf_error *err)
{
	return cf_error_set(err, code,
	                    "metadata %s is neither zeroed nor valid, and there is no clone.json "
	                    "beside it: %s",
	                    state->metadata_path, why);
}

/* STATE/metadata without a clone.json: only what shows nothing hydrated is begun again. */
static int check_left_behind(struct state *state, struct cf_error *err)
{
	struct adoptable found = {0};
	struct cf_error why = {0};
	bool has_data;
	int r;

	r = data_scan(state->metadata_io, &has_data);
	if (r < 0)
		return cf_error_errno(err, r, "reading metadata %s", state->metadata_path);
	if (has_data) {
		r = adopt_look(state->metadata_io, &found, &why);
		if (r < 0)
			return refuse_left_behind(state, r, why.text, err);
		if (!found.formatted)
			return refuse_left_behind(state, -EINVAL, "only its first block is zero",
			                          err);
	}
	if (found.nr_hydrated)
		return cf_error_set(err, -EEXIST,
		                    "metadata %s shows %llu hydrated regions, but there is no "
		                    "clone.json beside it: this is not begun again (dest= and "
		                    "metadata= take over what a clone left)",
		                    state->metadata_path, (unsigned long long)found.nr_hydrated);
	block_io_close(cf_steal(&state->metadata_io));
	state->metadata_plan = PART_MAKE;
	return 0;
}

static int check_adoptable(struct state *state, const struct adoptable *found, uint64_t size,
                           struct cf_error *err)
{
	uint64_t sectors = geometry_target_sectors(size);

	if (found->target_sectors != sectors)
		return cf_error_set(
		        err, -EINVAL,
		        "metadata %s is of a clone of %llu sectors, the source has %llu",
		        state->metadata_path, (unsigned long long)found->target_sectors,
		        (unsigned long long)sectors);
	if (state->region_size && state->region_size != found->region_size)
		return cf_error_set(err, -EINVAL,
		                    "metadata %s is of a clone with regions of %llu bytes, found "
		                    "region_size=%llu",
		                    state->metadata_path, (unsigned long long)found->region_size,
		                    (unsigned long long)state->region_size);
	if (found->nr_hydrated && !state->destination_given)
		return cf_error_set(err, -EINVAL,
		                    "metadata %s shows %llu hydrated regions: give the destination "
		                    "that they are in with dest=",
		                    state->metadata_path, (unsigned long long)found->nr_hydrated);
	return adopt_check(state->metadata_io, state->metadata_path, err);
}

static int check_given(struct state *state, uint64_t size, struct cf_error *err)
{
	struct adoptable found;
	struct cf_error why;
	int r;

	if (!state->metadata_io->is_device && state->metadata_io->size == 0) {
		state->metadata_plan = PART_USE;
		return check_regions(state, size, err);
	}
	r = adopt_look(state->metadata_io, &found, &why);
	if (r < 0)
		return cf_error_set(err, r, "metadata %s is neither zeroed nor valid: %s",
		                    state->metadata_path, why.text);
	if (!found.formatted) {
		r = check_regions(state, size, err);
		return r < 0 ? r : check_zeroed(state, size, err);
	}
	state->metadata_plan = PART_ADOPT;
	state->adopted_hydrated = found.nr_hydrated;
	state->new_region_size = found.region_size;
	return check_adoptable(state, &found, size, err);
}

int state_check_new_metadata(struct state *state, uint64_t size, struct cf_error *err)
{
	struct stat st;
	int r;

	state->adopted_hydrated = 0;
	state->metadata_plan = PART_MAKE;
	state->new_region_size =
	        state->region_size ? state->region_size : STATE_REGION_SIZE_DEFAULT;
	if (stat(state->metadata_path, &st) < 0 && errno == ENOENT)
		return check_regions(state, size, err);
	r = state_open_exclusive("metadata", state->metadata_path, &state->metadata_io, err);
	if (r < 0)
		return r;
	if (state->metadata_given)
		return check_given(state, size, err);
	r = check_regions(state, size, err);
	return r < 0 ? r : check_left_behind(state, err);
}

/* Gives a file its size and its space: a commit must not fail for want of it. */
static int allocate(struct block_io *io, uint64_t size)
{
	static const unsigned char zeros[BLOCK_SIZE];
	int fd = block_io_fd(io);
	int r = 0;

	if (fallocate(fd, 0, 0, (off_t)size) == 0) {
		io->size = size;
		return 0;
	}
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	for (uint64_t at = 0; r == 0 && at < size; at += sizeof(zeros))
		r = block_io_pwrite(io, zeros, sizeof(zeros), at);
	io->size = size;
	return r;
}

static int format(struct state *state, uint64_t size, struct cf_error *err)
{
	const struct metadata_params params = {
	        .target_sectors = geometry_target_sectors(size),
	        .region_sectors = state->new_region_size / CF_SECTOR_SIZE,
	        .mode = METADATA_FORMAT_IF_ZERO,
	};
	struct metadata *metadata;
	int r;

	if (state->metadata_io->size == 0) {
		uint64_t blocks = (safe_size(state, size) + ROUND_TO - 1) / ROUND_TO * ROUND_TO;

		r = allocate(state->metadata_io, blocks);
		if (r < 0)
			return cf_error_errno(err, r, "making metadata %s of %llu bytes",
			                      state->metadata_path, (unsigned long long)blocks);
	} else {
		/* A given file may have its size and not its space. */
		r = block_io_allocate(state->metadata_io, 0, state->metadata_io->size);
		if (r < 0 && r != -EOPNOTSUPP)
			return cf_error_errno(err, r, "allocating the %llu bytes of metadata %s",
			                      (unsigned long long)state->metadata_io->size,
			                      state->metadata_path);
	}
	r = metadata_open(state->metadata_io, &params, &metadata, err);
	if (r < 0) {
		(void)cf_error_prefix(err, "formatting metadata %s", state->metadata_path);
		return r;
	}
	metadata_close(metadata);
	return 0;
}

static int make_temporary(const char *path)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0 || close(fd) < 0)
		return -errno;
	return 0;
}

static int make_file(struct state *state, uint64_t size, const char *temporary,
                     struct cf_error *err)
{
	int r = make_temporary(temporary);

	if (r < 0)
		return cf_error_errno(err, r, "making metadata %s", state->metadata_path);
	r = state_open_exclusive("metadata", temporary, &state->metadata_io, err);
	if (r == 0)
		r = format(state, size, err);
	if (r < 0)
		return r;
	/* fsync, not fdatasync: the size and the space are new too. */
	if (fsync(block_io_fd(state->metadata_io)) < 0 ||
	    rename(temporary, state->metadata_path) < 0)
		return cf_error_errno(err, -errno, "making metadata %s", state->metadata_path);
	state->made_metadata = true;
	return 0;
}

int state_make_metadata(struct state *state, uint64_t size, struct cf_error *err)
{
	CF_AUTO_FREE char *temporary = NULL;
	int r;

	if (state->metadata_plan == PART_ADOPT)
		return 0;
	if (state->metadata_plan == PART_USE)
		return format(state, size, err);
	if (asprintf(&temporary, "%s%s", state->metadata_path, TEMPORARY) < 0) {
		temporary = NULL;
		return cf_error_errno(err, -ENOMEM, "making metadata %s", state->metadata_path);
	}
	r = make_file(state, size, temporary, err);
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}
	r = path_sync_parent(state->metadata_path);
	if (r < 0)
		return cf_error_errno(err, r, "making metadata %s", state->metadata_path);
	return 0;
}
