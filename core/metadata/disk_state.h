/*
 * The committed state of a metadata device, as far as it is kept in memory: superblock, space map,
 * and the places of the bitset's blocks. A transaction changes it; a reload makes a new one.
 */
#ifndef CLONEFS_METADATA_DISK_STATE_H
#define CLONEFS_METADATA_DISK_STATE_H

#include "core/metadata/bitset.h"
#include "core/metadata/space_map.h"
#include "core/metadata/superblock.h"

struct disk_state {
	struct block_io *io; /* borrowed */
	uint64_t region_sectors, target_sectors;
	uint64_t count_root; /* the ref count tree: never changed by us */
	struct space_map space;
	struct bitset bitset;
	/*
	 * Block 0 as we read it may never have reached the disk: a program that wrote it and was
	 * killed before its sync leaves it in the page cache only. The state below it is free for
	 * reuse in our map, and still in use if power fails now. So before anything else is
	 * written, block 0 is written again and synced.
	 */
	bool unsettled;
};

/*
 * Reads all of a formatted device whose superblock was read into @superblock, and hands the bits to
 * @take. On success the space map counts every block that was met, so that none of them can be
 * handed out. Codes: those of space_map_load_*(), bitset_load(), bitset_read_words(); -EINVAL for
 * a block in use with the count 0.
 */
int disk_state_load(struct disk_state *ret, struct block_io *io,
                    const struct superblock *superblock, struct damage_sink *sink,
                    bitset_words_fn *take, void *user);
/* Works on a zeroed one, and twice. */
void disk_state_fini(struct disk_state *state);

/* What block 0 has to say. */
struct superblock disk_state_superblock(const struct disk_state *state);

/* Writes block 0 and syncs. */
int disk_state_write_superblock(struct disk_state *state);

#endif
