/*
 * A fresh device, byte for byte as the kernel formats it (but for stale bytes in the unused slots
 * of nodes that the kernel split, which have no meaning).
 */
#ifndef CLONEFS_METADATA_FRESH_H
#define CLONEFS_METADATA_FRESH_H

#include "core/metadata/disk_state.h"

struct fresh_sizes {
	uint64_t nr_blocks; /* of the device */
	uint64_t region_sectors;
	uint64_t target_sectors;
};

/*
 * Formats: everything but the superblock, sync, the superblock, sync. Blocks that are not used keep
 * what was there. -ENOSPC: the device has too few blocks; or an error of the device.
 */
int fresh_format(struct block_io *io, const struct fresh_sizes *sizes, struct cf_error *err);

/* Blocks that allow to change everything in one transaction. */
uint64_t fresh_blocks_to_be_safe(uint64_t nr_regions);

#endif
