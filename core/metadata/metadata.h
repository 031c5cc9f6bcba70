/*
 * The metadata device: which regions of a clone are hydrated, on disk in the format of Linux's
 * dm-clone, version 1. Lives on a block_io; knows nothing of source and destination.
 *
 * How a commit goes:
 *     metadata_pre_commit()  freezes the regions marked so far; later marks belong to the next one
 *     (the caller syncs the destination: no bit may reach the disk before its data)
 *     metadata_commit()      writes the frozen regions: all blocks, sync, superblock, sync
 * When any of it fails: metadata_abort(), then metadata_set_read_only(), then metadata_reload(); if
 * one of the two fails: fail mode, which is final.
 *
 * Threads. Questions (is_*, nr_*, find_*, usage) take no lock. Marks take the bitmap lock, which is
 * never held across I/O, so they never wait for a commit. pre_commit, commit, abort and reload are
 * ordered among themselves by a commit lock that is held across I/O (order: commit lock, bitmap
 * lock). Open and close are the owner's.
 *
 * Errno, besides what a function says:
 *
 *     call               failed abort  read-only  otherwise
 *     pre_commit         EPERM         EPERM      EINVAL: a frozen set waits (a second call, or
 *                                                 the last commit failed)
 *     commit             EPERM         EPERM      EINVAL: without pre_commit
 *     set_region, range  -             EPERM      ERANGE: out of range, or overflow
 *     abort              EPERM         EPERM
 *     reload             EINVAL        allowed
 *     free, total        EINVAL        fine
 *
 * Where a struct cf_error is taken, NULL is allowed.
 */
#ifndef CLONEFS_METADATA_METADATA_H
#define CLONEFS_METADATA_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"

struct metadata;

enum metadata_mode {
	METADATA_EXISTING,       /* an unformatted device is refused: -EPERM */
	METADATA_FORMAT_IF_ZERO, /* is formatted when all of block 0 is zero, and never otherwise */
};

struct metadata_params {
	uint64_t target_sectors; /* size of the image in sectors of 512 bytes, > 0 */
	uint64_t region_sectors; /* a power of two from 8 to 2097152 */
	enum metadata_mode mode;
};

struct metadata_info {
	bool is_zero; /* all of block 0 is zero: not formatted; the other fields are 0 */
	uint64_t nr_blocks, nr_allocated;
	uint64_t region_sectors, target_sectors;
};

/*
 * Opens the device on @io (borrowed until metadata_close(); opened read-only is enough as long as
 * nothing is committed or formatted). Writes nothing but a format. Errors, in the kernel's order:
 * -EINVAL bad sizes in @params; -EIO block 0 cannot be read; -ENOTBLK, -EILSEQ, -EINVAL block 0 is
 * none of dm-clone's; -EINVAL it belongs to another target or region size, or counts more blocks
 * than the device has; then, for other blocks, -EIO unreadable or beyond the device, -ENOTBLK wrong
 * number, -EILSEQ wrong checksum or not to be parsed, -ENODATA too few words, -EINVAL used twice or
 * contradicting itself. -ENOSPC: too small to be formatted. -ENOMEM.
 */
int metadata_open(struct block_io *io, const struct metadata_params *params, struct metadata **ret,
                  struct cf_error *err);
/* Commits nothing. NULL is allowed. */
void metadata_close(struct metadata *md);

/* Reads block 0 only. Errors as above, for block 0. */
int metadata_read_superblock(struct block_io *io, struct metadata_info *ret, struct cf_error *err);

/* Blocks of 4096 bytes a device should have to change all regions in one transaction. */
uint64_t metadata_blocks_to_be_safe(uint64_t nr_regions);

uint64_t metadata_nr_regions(const struct metadata *md);

/* All regions are hydrated *and committed*. */
bool metadata_is_hydration_done(const struct metadata *md);

/*
 * Acquire: after true, the region's data may be read from the destination. False for what is out
 * of range; true for an empty range.
 */
bool metadata_is_region_hydrated(const struct metadata *md, uint64_t region);
bool metadata_is_range_hydrated(const struct metadata *md, uint64_t first, uint64_t nr);

/* Hydrated regions: live, and on disk. */
uint64_t metadata_nr_hydrated(const struct metadata *md);
uint64_t metadata_nr_committed(const struct metadata *md);

/* The first such region >= @start; nr_regions when there is none. */
uint64_t metadata_find_next_unhydrated(const struct metadata *md, uint64_t start);
uint64_t metadata_find_next_hydrated(const struct metadata *md, uint64_t start);

/*
 * Marks regions as hydrated, after their data was written to the destination. Marking one again
 * changes nothing. A range of 0 regions is 0 wherever it starts.
 */
int metadata_set_region(struct metadata *md, uint64_t region);
int metadata_set_range(struct metadata *md, uint64_t first, uint64_t nr);

/*
 * The bitmap lock, for callers whose own records (which regions were written) must change together
 * with the marks, and be swapped together with them by pre_commit's hook. Keep it short: no I/O, no
 * allocation, and of this header only the _locked function.
 */
void metadata_bitmap_lock(struct metadata *md);
void metadata_bitmap_unlock(struct metadata *md);
int metadata_set_range_locked(struct metadata *md, uint64_t first, uint64_t nr);

/* Regions were marked that are not committed, frozen ones included. */
bool metadata_changed_this_transaction(struct metadata *md);

/*
 * Freezes what was marked. @hook (NULL is allowed) is called with @user under the bitmap lock at
 * the moment of the swap, only when 0 is returned.
 */
int metadata_pre_commit(struct metadata *md, void (*hook)(void *user), void *user);

/*
 * Writes the frozen regions, in several complete transactions if the free blocks do not suffice for
 * one; writes nothing if there are none. But the first commit after an open writes and syncs the
 * superblock as it was read, before anything else and in any case. On an error what was not
 * committed stays frozen: commit again, or abort. Also -ENOSPC: not even one array block fits.
 */
int metadata_commit(struct metadata *md, struct cf_error *err);

/*
 * Drops what is not committed from the dirty sets and reads the device again, as open does (fail
 * mode if that fails). The bits in memory stay until metadata_reload(); until then regions whose
 * bits are set but not committed will not be committed either.
 */
int metadata_abort(struct metadata *md, struct cf_error *err);

/*
 * Sets the bits in memory to the committed ones, which clears bits; marks that are not committed
 * are forgotten. On an error the bits stay as they are. Blocks on the disk.
 */
int metadata_reload(struct metadata *md, struct cf_error *err);

/* From the return on, no mark and no commit is accepted (is accepted again). */
void metadata_set_read_only(struct metadata *md);
void metadata_set_read_write(struct metadata *md);

/* Blocks that are free, all blocks. */
int metadata_free_blocks(const struct metadata *md, uint64_t *ret_nr);
int metadata_total_blocks(const struct metadata *md, uint64_t *ret_nr);

/* Blocks in use and all blocks as of the last commit; in any mode. */
void metadata_usage(const struct metadata *md, uint64_t *ret_used, uint64_t *ret_total);

#endif
