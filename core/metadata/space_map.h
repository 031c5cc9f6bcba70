/*
 * Which metadata blocks are in use. The counts of all blocks are kept in memory as they stand on
 * disk (2 bits each, at most 1 MiB) together with the places of the index and the bitmap blocks.
 *
 * Invariants:
 * (1) A block is handed out only if its count is 0 in the committed map *and* in the new one: it is
 *     busy until the transaction that freed it is committed.
 * (2) A count of 3 or more stands in the ref count tree, which we never change: such a block is
 *     never freed (dm-clone itself makes only counts of 0 and 1).
 * (3) A bitmap whose counts changed since the last commit is `touched`, and is `moved` to a place
 *     of its own before it is written.
 *
 * Callers lock.
 */
#ifndef CLONEFS_METADATA_SPACE_MAP_H
#define CLONEFS_METADATA_SPACE_MAP_H

#include "core/metadata/block.h"
#include "core/metadata/usage.h"

struct space_map_bitmap {
	uint64_t block;
	uint32_t nr_free;          /* of all 16320 entries, also of those behind the device */
	uint32_t none_free_before; /* hint for the kernel's search: never above a free entry */
	bool touched;              /* a count changed in this transaction */
	bool moved;                /* and the bitmap has its new place, see (3) */
};

struct space_map {
	uint64_t nr_blocks;
	uint64_t nr_allocated; /* in the new map */
	uint64_t nr_available; /* blocks that may be handed out now */
	uint64_t index_block;
	uint64_t cursor;                  /* behind the block last handed out */
	struct space_map_bitmap *bitmaps; /* owned */
	uint8_t *counts;                  /* owned; the 4080 bytes of each bitmap, in order */
	uint64_t *busy;                   /* owned; one bit per block, see (1) */
	uint32_t nr_bitmaps;
};

/* ceil(nr_blocks / 16320) */
uint32_t space_map_nr_bitmaps(uint64_t nr_blocks);

/* A map of @nr_blocks free blocks. -ENOMEM. */
int space_map_init(struct space_map *map, uint64_t nr_blocks);
void space_map_fini(struct space_map *map);

/*
 * Reads the index block and claims it: the places of the bitmaps. Codes: those of block_read() and
 * usage_claim(). Call on an initialised map.
 */
int space_map_load_index(struct space_map *map, struct block_io *io, uint64_t index_block,
                         struct usage *usage, struct damage_sink *sink);
/* Reads the bitmaps that space_map_load_index() found. */
int space_map_load_bitmaps(struct space_map *map, struct block_io *io, struct usage *usage,
                           struct damage_sink *sink);

/* The 2-bit count of a block: 0, 1, 2, or 3 for "3 or more". */
unsigned int space_map_count(const struct space_map *map, uint64_t block);

/* Hands out a free block: its count becomes 1. -ENOSPC. */
int space_map_alloc(struct space_map *map, uint64_t *ret_block);
/* One reference less. */
void space_map_release(struct space_map *map, uint64_t block);

/* The reverse of both, for a transaction that is dropped. */
void space_map_undo_alloc(struct space_map *map, uint64_t block);
void space_map_undo_release(struct space_map *map, uint64_t block, unsigned int count);
/* The transaction that released @block is committed. */
void space_map_reclaim(struct space_map *map, uint64_t block);
/* A transaction ends, either way: no bitmap is touched or moved. */
void space_map_end_transaction(struct space_map *map);

/* Make the bytes of bitmap @i, of the index. Not sealed. */
void space_map_encode_bitmap(const struct space_map *map, uint32_t i,
                             union metadata_block *ret_block);
void space_map_encode_index(const struct space_map *map, union metadata_block *ret_block);

#endif
