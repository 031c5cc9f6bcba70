#include "core/metadata/metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/cleanup.h"
#include "core/base/geometry.h"
#include "core/base/mutex.h"
#include "core/metadata/commit.h"
#include "core/metadata/fresh.h"

struct metadata {
	struct block_io *io;        /* borrowed */
	struct superblock geometry; /* as opened; only the sizes are used */

	struct cf_mutex commit_lock; /* protects: state, frozen; orders commits. Held across I/O */
	struct disk_state state;
	bool frozen; /* pre_commit was called, and its set is not committed yet */

	struct cf_mutex bitmap_lock; /* protects: the map's marks and sets, changes of read_only */
	struct region_map map;
	_Atomic bool read_only;

	/* Written under commit_lock, read anywhere: figures that order nothing. */
	_Atomic bool fail_io;
	_Atomic uint64_t nr_committed;
	_Atomic uint64_t nr_used;
};

static int check_params(const struct metadata_params *params, struct cf_error *err)
{
	uint64_t region_sectors = params->region_sectors;

	if (region_sectors > CF_REGION_SIZE_MAX / CF_SECTOR_SIZE ||
	    !region_size_is_valid(region_sectors * CF_SECTOR_SIZE))
		return cf_error_set(err, -EINVAL,
		                    "a region size of %" PRIu64
		                    " sectors is not a power of two from 8 to 2097152",
		                    region_sectors);
	if (params->target_sectors == 0)
		return cf_error_set(err, -EINVAL, "a target of 0 sectors has no regions");
	if ((params->target_sectors - 1) / region_sectors >= CF_NR_REGIONS_MAX)
		return cf_error_set(err, -EINVAL,
		                    "%" PRIu64 " sectors in regions of %" PRIu64
		                    " sectors are more than 2^31 regions",
		                    params->target_sectors, region_sectors);
	return 0;
}

/* Superblock of a device that must be formatted for these sizes. */
static int read_formatted(struct block_io *io, uint64_t target_sectors, uint64_t region_sectors,
                          struct superblock *ret, bool *ret_zero, struct cf_error *err)
{
	struct damage_error damage = damage_to_error(err);
	int r = superblock_read(io, ret, ret_zero, &damage.sink);

	if (r < 0 || *ret_zero)
		return r;
	if (ret->region_sectors != region_sectors)
		return damage_number(&damage.sink, -EINVAL, 0, "region size in sectors",
		                     region_sectors, ret->region_sectors);
	if (ret->target_sectors != target_sectors)
		return damage_number(&damage.sink, -EINVAL, 0, "target size in sectors",
		                     target_sectors, ret->target_sectors);
	return 0;
}

/* The readers report damage themselves, but not that memory ran out. */
static int explain(int r, struct cf_error *err)
{
	return r == -ENOMEM ? cf_error_errno(err, r, "the metadata cannot be read") : r;
}

static int refuse_zero(struct cf_error *err)
{
	return cf_error_set(err, -EPERM,
	                    "the metadata device is not formatted: block 0 is all zeros");
}

static int open_superblock(struct block_io *io, const struct metadata_params *params,
                           struct superblock *ret, bool *ret_formatted, struct cf_error *err)
{
	const struct fresh_sizes sizes = {
	        .nr_blocks = io->size / METADATA_BLOCK_SIZE < METADATA_BLOCKS_MAX
	                             ? io->size / METADATA_BLOCK_SIZE
	                             : METADATA_BLOCKS_MAX,
	        .region_sectors = params->region_sectors,
	        .target_sectors = params->target_sectors,
	};
	bool zero;
	int r;

	*ret_formatted = false;
	r = read_formatted(io, params->target_sectors, params->region_sectors, ret, &zero, err);
	if (r < 0 || !zero)
		return r;
	if (params->mode != METADATA_FORMAT_IF_ZERO)
		return refuse_zero(err);
	r = fresh_format(io, &sizes, err);
	if (r < 0)
		return r;
	*ret_formatted = true;
	r = read_formatted(io, params->target_sectors, params->region_sectors, ret, &zero, err);
	return r == 0 && zero ? refuse_zero(err) : r;
}

static void take_into_map(void *user, uint64_t first, const uint64_t *words, uint32_t nr)
{
	region_map_replace_locked(user, first, words, nr);
}

static void publish_usage(struct metadata *md)
{
	atomic_store(&md->nr_used, md->state.space.nr_allocated);
}

static int load(struct metadata *md, const struct metadata_params *params, struct cf_error *err)
{
	struct damage_error damage = damage_to_error(err);
	bool formatted;
	int r;

	r = open_superblock(md->io, params, &md->geometry, &formatted, err);
	if (r < 0)
		return r;
	r = region_map_init(&md->map, superblock_nr_regions(&md->geometry));
	if (r == 0)
		r = disk_state_load(&md->state, md->io, &md->geometry, &damage.sink, take_into_map,
		                    &md->map);
	if (r < 0)
		return explain(r, err);
	if (formatted)
		md->state.unsettled = false;
	atomic_store(&md->nr_committed, md->map.nr_hydrated);
	publish_usage(md);
	return 0;
}

int metadata_open(struct block_io *io, const struct metadata_params *params, struct metadata **ret,
                  struct cf_error *err)
{
	struct metadata *md;
	int r;

	r = check_params(params, err);
	if (r < 0)
		return r;
	md = calloc(1, sizeof(*md));
	if (!md)
		return cf_error_errno(err, -ENOMEM, "the metadata cannot be opened");
	md->io = io;
	cf_mutex_init(&md->commit_lock);
	cf_mutex_init(&md->bitmap_lock);
	r = load(md, params, err);
	if (r < 0)
		metadata_close(md);
	else
		*ret = md;
	return r;
}

void metadata_close(struct metadata *md)
{
	if (!md)
		return;
	disk_state_fini(&md->state);
	region_map_fini(&md->map);
	cf_mutex_fini(&md->bitmap_lock);
	cf_mutex_fini(&md->commit_lock);
	free(md);
}

int metadata_read_superblock(struct block_io *io, struct metadata_info *ret, struct cf_error *err)
{
	struct damage_error damage = damage_to_error(err);
	struct superblock superblock = {0};
	bool zero;
	int r = superblock_read(io, &superblock, &zero, &damage.sink);

	if (r < 0)
		return r;
	*ret = (struct metadata_info){
	        .is_zero = zero,
	        .nr_blocks = superblock.nr_blocks,
	        .nr_allocated = superblock.nr_allocated,
	        .region_sectors = superblock.region_sectors,
	        .target_sectors = superblock.target_sectors,
	};
	return 0;
}

uint64_t metadata_blocks_to_be_safe(uint64_t nr_regions)
{
	return fresh_blocks_to_be_safe(nr_regions);
}

uint64_t metadata_nr_regions(const struct metadata *md)
{
	return md->map.nr_regions;
}

bool metadata_is_hydration_done(const struct metadata *md)
{
	return metadata_nr_committed(md) == md->map.nr_regions;
}

bool metadata_is_region_hydrated(const struct metadata *md, uint64_t region)
{
	return region < md->map.nr_regions && region_map_test(&md->map, region);
}

static bool range_is_valid(const struct metadata *md, uint64_t first, uint64_t nr)
{
	return first <= md->map.nr_regions && nr <= md->map.nr_regions - first;
}

bool metadata_is_range_hydrated(const struct metadata *md, uint64_t first, uint64_t nr)
{
	return nr == 0 ||
	       (range_is_valid(md, first, nr) && region_map_test_range(&md->map, first, nr));
}

uint64_t metadata_nr_hydrated(const struct metadata *md)
{
	return atomic_load_explicit(&md->map.nr_hydrated, memory_order_relaxed);
}

uint64_t metadata_nr_committed(const struct metadata *md)
{
	return atomic_load(&md->nr_committed);
}

uint64_t metadata_find_next_unhydrated(const struct metadata *md, uint64_t start)
{
	return region_map_find(&md->map, start, false);
}

uint64_t metadata_find_next_hydrated(const struct metadata *md, uint64_t start)
{
	return region_map_find(&md->map, start, true);
}

/* The lock's users are spread over several functions, which the analysis cannot follow. */
void metadata_bitmap_lock(struct metadata *md) CF_NO_ANALYSIS
{
	cf_lock(&md->bitmap_lock);
}

void metadata_bitmap_unlock(struct metadata *md) CF_NO_ANALYSIS
{
	cf_unlock(&md->bitmap_lock);
}

int metadata_set_range_locked(struct metadata *md, uint64_t first, uint64_t nr)
{
	if (md->read_only)
		return -EPERM;
	if (nr == 0)
		return 0;
	if (!range_is_valid(md, first, nr))
		return -ERANGE;
	region_map_set_range_locked(&md->map, first, nr);
	return 0;
}

int metadata_set_range(struct metadata *md, uint64_t first, uint64_t nr)
{
	int r;

	cf_lock(&md->bitmap_lock);
	r = metadata_set_range_locked(md, first, nr);
	cf_unlock(&md->bitmap_lock);
	return r;
}

int metadata_set_region(struct metadata *md, uint64_t region)
{
	return metadata_set_range(md, region, 1);
}

bool metadata_changed_this_transaction(struct metadata *md)
{
	bool changed;

	cf_lock(&md->bitmap_lock);
	changed = region_map_changed_locked(&md->map);
	cf_unlock(&md->bitmap_lock);
	return changed;
}

static bool may_write(const struct metadata *md)
{
	return !md->fail_io && !md->read_only;
}

static int pre_commit_locked(struct metadata *md, void (*hook)(void *user), void *user)
{
	if (!may_write(md))
		return -EPERM;
	if (md->frozen)
		return -EINVAL;
	cf_lock(&md->bitmap_lock);
	region_map_swap_locked(&md->map);
	if (hook)
		hook(user);
	cf_unlock(&md->bitmap_lock);
	md->frozen = true;
	return 0;
}

int metadata_pre_commit(struct metadata *md, void (*hook)(void *user), void *user)
{
	int r;

	cf_lock(&md->commit_lock);
	r = pre_commit_locked(md, hook, user);
	cf_unlock(&md->commit_lock);
	return r;
}

static int commit_locked(struct metadata *md, struct cf_error *err)
{
	uint64_t nr_committed = md->nr_committed;
	int r;

	if (!may_write(md))
		return cf_error_set(err, -EPERM, "the metadata is read-only");
	if (!md->frozen)
		return cf_error_set(err, -EINVAL, "there is no frozen set to commit");
	r = commit_frozen(&md->state, &md->map, &nr_committed, err);
	atomic_store(&md->nr_committed, nr_committed);
	publish_usage(md);
	if (r < 0)
		return r;
	cf_lock(&md->bitmap_lock);
	region_map_frozen_done_locked(&md->map);
	cf_unlock(&md->bitmap_lock);
	md->frozen = false;
	return 0;
}

int metadata_commit(struct metadata *md, struct cf_error *err)
{
	int r;

	cf_lock(&md->commit_lock);
	r = commit_locked(md, err);
	cf_unlock(&md->commit_lock);
	return r;
}

static void forget_marks(struct metadata *md)
{
	cf_lock(&md->bitmap_lock);
	region_map_forget_locked(&md->map);
	cf_unlock(&md->bitmap_lock);
	md->frozen = false;
}

static void count_words(void *user, uint64_t first, const uint64_t *words, uint32_t nr)
{
	uint64_t *count = user;

	(void)first;
	for (uint32_t i = 0; i < nr; i++)
		*count += (uint64_t)__builtin_popcountll(words[i]);
}

static int reopen_locked(struct metadata *md, struct cf_error *err)
{
	struct damage_error damage = damage_to_error(err);
	struct superblock superblock;
	struct disk_state fresh;
	uint64_t nr_hydrated = 0;
	bool zero;
	int r;

	r = read_formatted(md->io, md->geometry.target_sectors, md->geometry.region_sectors,
	                   &superblock, &zero, err);
	if (r == 0 && zero)
		r = refuse_zero(err);
	else if (r == 0 && superblock.nr_blocks != md->geometry.nr_blocks)
		r = damage_number(&damage.sink, -EINVAL, 0, "number of metadata blocks",
		                  md->geometry.nr_blocks, superblock.nr_blocks);
	if (r == 0)
		r = disk_state_load(&fresh, md->io, &superblock, &damage.sink, count_words,
		                    &nr_hydrated);
	if (r < 0)
		return explain(r, err);
	disk_state_fini(&md->state);
	md->state = fresh;
	atomic_store(&md->nr_committed, nr_hydrated);
	publish_usage(md);
	return 0;
}

static int abort_locked(struct metadata *md, struct cf_error *err)
{
	int r;

	if (!may_write(md))
		return cf_error_set(err, -EPERM, "the metadata is read-only");
	forget_marks(md);
	r = reopen_locked(md, err);
	if (r < 0)
		atomic_store(&md->fail_io, true);
	return r;
}

int metadata_abort(struct metadata *md, struct cf_error *err)
{
	int r;

	cf_lock(&md->commit_lock);
	r = abort_locked(md, err);
	cf_unlock(&md->commit_lock);
	return r;
}

static void take_into_words(void *user, uint64_t first, const uint64_t *words, uint32_t nr)
{
	uint64_t *to = user;

	for (uint32_t i = 0; i < nr; i++)
		to[first + i] = words[i];
}

static int reload_locked(struct metadata *md, struct cf_error *err)
{
	struct damage_error damage = damage_to_error(err);
	CF_AUTO_FREE uint64_t *words = NULL;
	int r;

	if (md->fail_io)
		return cf_error_set(err, -EINVAL, "the metadata has failed");
	/* Read aside first: a failure must not leave half of the bits. */
	words = calloc(md->map.nr_words, sizeof(*words));
	if (!words)
		return explain(-ENOMEM, err);
	r = bitset_read_words(&md->state.bitset, md->io, NULL, &damage.sink, take_into_words,
	                      words);
	if (r < 0)
		return explain(r, err);
	cf_lock(&md->bitmap_lock);
	region_map_forget_locked(&md->map);
	region_map_replace_locked(&md->map, 0, words, md->map.nr_words);
	atomic_store(&md->nr_committed, md->map.nr_hydrated);
	cf_unlock(&md->bitmap_lock);
	md->frozen = false;
	return 0;
}

int metadata_reload(struct metadata *md, struct cf_error *err)
{
	int r;

	cf_lock(&md->commit_lock);
	r = reload_locked(md, err);
	cf_unlock(&md->commit_lock);
	return r;
}

static void set_read_only(struct metadata *md, bool read_only)
{
	cf_lock(&md->bitmap_lock);
	atomic_store(&md->read_only, read_only);
	cf_unlock(&md->bitmap_lock);
}

void metadata_set_read_only(struct metadata *md)
{
	set_read_only(md, true);
}

void metadata_set_read_write(struct metadata *md)
{
	set_read_only(md, false);
}

int metadata_free_blocks(const struct metadata *md, uint64_t *ret_nr)
{
	if (md->fail_io)
		return -EINVAL;
	*ret_nr = md->geometry.nr_blocks - md->nr_used;
	return 0;
}

int metadata_total_blocks(const struct metadata *md, uint64_t *ret_nr)
{
	if (md->fail_io)
		return -EINVAL;
	*ret_nr = md->geometry.nr_blocks;
	return 0;
}

void metadata_usage(const struct metadata *md, uint64_t *ret_used, uint64_t *ret_total)
{
	*ret_used = md->nr_used;
	*ret_total = md->geometry.nr_blocks;
}
