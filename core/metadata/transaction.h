/*
 * One transaction: copy-on-write of what a set of changed array blocks needs. It is planned whole
 * in memory (places of all new blocks), then written, then made the committed state, or dropped.
 *
 * Invariants:
 * (1) No block of the committed state is written, but for the superblock.
 * (2) The superblock is written after all other blocks were synced.
 * (3) Dropping a transaction leaves the state in memory as it was when the transaction began.
 *
 * Order of allocation, as in the kernel: array block, bitmaps whose counts that changed, nodes from
 * the root down, bitmaps; the index block last.
 *
 *     begin -> shadow_array... -> shadow_index -> write -> done
 *        \_____________\______________\____________\____-> drop
 */
#ifndef CLONEFS_METADATA_TRANSACTION_H
#define CLONEFS_METADATA_TRANSACTION_H

#include "core/metadata/disk_state.h"
#include "core/metadata/region_map.h"

struct shadow;

struct transaction {
	struct disk_state *state; /* borrowed */
	struct shadow *shadows;   /* owned; the blocks that move */
	size_t nr_shadows, room;
	uint64_t cursor; /* of the space map, when it began */
};

void transaction_begin(struct transaction *transaction, struct disk_state *state);

/* Plans a new place for array block @index, its path and the bitmaps. -ENOSPC, -ENOMEM. */
int transaction_shadow_array(struct transaction *transaction, uint32_t index);
/* Plans the rest: the index block. -ENOSPC, -ENOMEM. */
int transaction_shadow_index(struct transaction *transaction);

/*
 * Writes everything and syncs; *@ret_nr_new: regions that were not hydrated before. An array block
 * gets its committed words and the frozen regions of @map, nothing else. After an error the
 * superblock may or may not be on disk (the state is unsettled); the sentence goes to @sink where
 * the committed blocks were at fault. Blocks on the disk; no lock but the caller's.
 */
int transaction_write(struct transaction *transaction, const struct region_map *map,
                      struct damage_sink *sink, uint64_t *ret_nr_new);

/* Each ends the transaction. */
void transaction_done(struct transaction *transaction);
void transaction_drop(struct transaction *transaction);

#endif
