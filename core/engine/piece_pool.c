#include "core/engine/piece_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/base/min_max.h"

#define WORD_BITS 64u

int piece_pool_init(struct piece_pool *pool, size_t capacity, size_t piece_size)
{
	uint32_t nr_blocks = (uint32_t)(capacity / PIECE_POOL_BLOCK);
	uintptr_t start;
	void *mapping;

	assert(capacity % PIECE_POOL_BLOCK == 0 && piece_size >= PIECE_POOL_MIN_SIZE &&
	       PIECE_POOL_BLOCK % piece_size == 0);
	*pool = (struct piece_pool){
	        .piece_size = piece_size,
	        .nr_per_block = (uint32_t)(PIECE_POOL_BLOCK / piece_size),
	        .nr_blocks = nr_blocks,
	        .blocks = calloc(nr_blocks, sizeof(struct piece_block)),
	};
	/* One more, to begin at a multiple of a block's size. */
	mapping = mmap(NULL, capacity + PIECE_POOL_BLOCK, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED || !pool->blocks) {
		if (mapping != MAP_FAILED)
			(void)munmap(mapping, capacity + PIECE_POOL_BLOCK);
		return -ENOMEM;
	}
	pool->mapping = mapping;
	start = (uintptr_t)mapping + PIECE_POOL_BLOCK - 1;
	pool->base = (unsigned char *)mapping +
	             (start / PIECE_POOL_BLOCK * PIECE_POOL_BLOCK - (uintptr_t)mapping);
	/* Where the system has none, small ones do. */
	(void)madvise(pool->base, PIECE_POOL_BLOCK, MADV_NOHUGEPAGE);
	(void)madvise(pool->base + PIECE_POOL_BLOCK, capacity - PIECE_POOL_BLOCK, MADV_HUGEPAGE);
	return 0;
}

void piece_pool_fini(struct piece_pool *pool)
{
	if (pool->mapping)
		(void)munmap(pool->mapping, (pool->nr_blocks + (size_t)1) * PIECE_POOL_BLOCK);
	free(pool->blocks);
	pool->mapping = NULL;
	pool->blocks = NULL;
}

/* The lowest block with a free buffer, a resident one if there is any; nr_blocks: there is none. */
static uint32_t find_block(const struct piece_pool *pool)
{
	uint32_t absent = pool->nr_blocks;

	for (uint32_t i = 0; i < pool->nr_blocks; i++) {
		const struct piece_block *block = &pool->blocks[i];

		if (block->resident && block->nr_used < pool->nr_per_block)
			return i;
		if (!block->resident && absent == pool->nr_blocks)
			absent = i;
	}
	return absent;
}

static uint32_t take_first(struct piece_block *block)
{
	uint32_t word = 0;
	uint32_t bit;

	while (!~block->used[word])
		word++;
	bit = (uint32_t)__builtin_ctzll(~block->used[word]);
	block->used[word] |= UINT64_C(1) << bit;
	block->nr_used++;
	return word * WORD_BITS + bit;
}

unsigned char *piece_pool_get(struct piece_pool *pool)
{
	uint32_t index = find_block(pool);
	struct piece_block *block;

	if (index == pool->nr_blocks)
		return NULL;
	block = &pool->blocks[index];
	if (!block->resident) {
		block->resident = true;
		pool->nr_resident++;
	} else if (!block->nr_used) {
		pool->nr_empty--;
		pool->nr_spare = (uint32_t)min_u64(pool->nr_spare, pool->nr_empty);
	}
	pool->nr_used++;
	return pool->base + index * PIECE_POOL_BLOCK + take_first(block) * pool->piece_size;
}

void piece_pool_put(struct piece_pool *pool, unsigned char *piece)
{
	size_t offset = (size_t)(piece - pool->base);
	struct piece_block *block = &pool->blocks[offset / PIECE_POOL_BLOCK];
	uint32_t bit = (uint32_t)(offset % PIECE_POOL_BLOCK / pool->piece_size);

	assert(block->used[bit / WORD_BITS] & UINT64_C(1) << bit % WORD_BITS);
	block->used[bit / WORD_BITS] &= ~(UINT64_C(1) << bit % WORD_BITS);
	pool->nr_used--;
	if (!--block->nr_used)
		pool->nr_empty++;
}

size_t piece_pool_idle_bytes(const struct piece_pool *pool)
{
	return pool->nr_resident * PIECE_POOL_BLOCK - pool->nr_used * pool->piece_size;
}

bool piece_pool_shrink(struct piece_pool *pool)
{
	uint32_t index = pool->nr_blocks;

	if (!pool->nr_empty)
		return false;
	do
		index--;
	while (!pool->blocks[index].resident || pool->blocks[index].nr_used);
	(void)madvise(pool->base + index * PIECE_POOL_BLOCK, PIECE_POOL_BLOCK, MADV_DONTNEED);
	pool->blocks[index].resident = false;
	pool->nr_resident--;
	pool->nr_empty--;
	pool->nr_spare = (uint32_t)min_u64(pool->nr_spare, pool->nr_empty);
	return true;
}

void piece_pool_trim(struct piece_pool *pool)
{
	for (uint32_t spare = pool->nr_spare; spare; spare--)
		(void)piece_pool_shrink(pool);
	pool->nr_spare = pool->nr_empty;
}
