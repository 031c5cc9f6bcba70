/*
 * Block 0, taken apart: what it says of the device, in host order. There is no second copy; all
 * that ever changes lies in its first sector.
 */
#ifndef CLONEFS_METADATA_SUPERBLOCK_H
#define CLONEFS_METADATA_SUPERBLOCK_H

#include <stdbool.h>

#include "core/metadata/block.h"

struct superblock {
	uint64_t nr_blocks;    /* managed by the space map */
	uint64_t nr_allocated; /* of them in use */
	uint64_t index_block;
	uint64_t count_root;
	uint64_t bitset_root;
	uint64_t region_sectors;
	uint64_t target_sectors;
};

/*
 * Reads block 0. *@ret_zero: all of it is zero, an unformatted device, and *@ret is not written.
 * Codes, in the kernel's order: -EIO unreadable, -ENOTBLK, -EILSEQ magic, -EILSEQ checksum,
 * -EINVAL version; then -EINVAL for sizes that cannot be. A thorough check goes on after damage to
 * the sizes: with 0 returned, nr_blocks still fits into the device. The code of damage that leaves
 * nothing to go on with is returned in a thorough check too.
 */
int superblock_read(struct block_io *io, struct superblock *ret, bool *ret_zero,
                    struct damage_sink *sink);

int superblock_write(struct block_io *io, const struct superblock *sb);

/* Regions of the device it describes; its sizes must be valid. */
uint64_t superblock_nr_regions(const struct superblock *superblock);

#endif
