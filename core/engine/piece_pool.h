/*
 * Buffers of one size for pieces, cut from blocks of 2 MiB that are taken from the system and given
 * back to it as a whole. So they can be huge pages, of which a stream needs a few page faults and
 * not one for each 4 KiB. The first block is in small pages, for those who need little.
 *
 * A buffer comes from the lowest block that has one free: what is in use gathers there, and high
 * blocks become empty.
 *
 * All functions want the lock of whoever has the pool. None blocks; only piece_pool_init() can fail
 * for want of memory.
 */
#ifndef CLONEFS_ENGINE_PIECE_POOL_H
#define CLONEFS_ENGINE_PIECE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_POOL_BLOCK    ((size_t)2 << 20)
#define PIECE_POOL_MIN_SIZE ((size_t)4 << 10)

struct piece_block {
	uint64_t used[PIECE_POOL_BLOCK / PIECE_POOL_MIN_SIZE / 64]; /* bit: the buffer is in use */
	uint32_t nr_used;
	bool resident; /* taken from the system */
};

struct piece_pool {
	size_t piece_size;
	uint32_t nr_per_block;
	uint32_t nr_blocks;
	uint32_t nr_resident;
	uint32_t nr_empty; /* resident, and no buffer of theirs is in use */
	uint32_t nr_spare; /* of nr_empty: not needed since the last trim */
	size_t nr_used;    /* buffers */
	void *mapping;     /* owned */
	unsigned char *base;
	struct piece_block *blocks; /* owned */
};

/* @capacity: bytes, whole blocks. @piece_size: a power of two, at least PIECE_POOL_MIN_SIZE and at
 * most a block. 0 or -ENOMEM; after both piece_pool_fini() is allowed. */
int piece_pool_init(struct piece_pool *pool, size_t capacity, size_t piece_size);
void piece_pool_fini(struct piece_pool *pool);

/* NULL: all are in use. */
unsigned char *piece_pool_get(struct piece_pool *pool);
void piece_pool_put(struct piece_pool *pool, unsigned char *piece);

/* Bytes of resident blocks that are not in use. */
size_t piece_pool_idle_bytes(const struct piece_pool *pool);
/* Gives the highest empty block back; false: there is none. */
bool piece_pool_shrink(struct piece_pool *pool);
/* Gives back as many empty blocks as there were all the time since the last call. */
void piece_pool_trim(struct piece_pool *pool);

#endif
