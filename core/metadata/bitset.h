/*
 * The bitset on disk: a dense btree whose values are array blocks, whose words are the regions'
 * bits. In memory are only the places of its blocks; the words are read when they are wanted.
 *
 * Callers lock.
 */
#ifndef CLONEFS_METADATA_BITSET_H
#define CLONEFS_METADATA_BITSET_H

#include "core/metadata/btree.h"

struct bitset {
	uint64_t nr_regions;
	uint64_t nr_words;
	uint32_t nr_arrays;
	uint64_t *arrays; /* owned; the block of each array block */
	struct btree tree;
};

/* An empty one: no tree, no places. -ENOMEM. */
int bitset_init(struct bitset *bitset, uint64_t nr_regions);
void bitset_fini(struct bitset *bitset);

/* ceil(ceil(nr_regions / 64) / 509) */
uint32_t bitset_nr_arrays(uint64_t nr_regions);

/* Reads the tree at @root and claims its nodes and array blocks. Codes: those of btree_load(). */
int bitset_load(struct bitset *bitset, struct block_io *io, uint64_t root, struct usage *usage,
                struct damage_sink *sink);

/*
 * Gets the words of the regions, ascending: @nr words from index @first. Bits behind the last
 * region are cleared.
 */
typedef void bitset_words_fn(void *user, uint64_t first, const uint64_t *words, uint32_t nr);

/*
 * Reads all array blocks, joining neighbours on disk into large reads, and hands their words to
 * @take. Codes: those of block_read() and array_check(). A thorough check leaves out (usage_skip)
 * what cannot be read; @usage may be NULL in others.
 */
int bitset_read_words(const struct bitset *bitset, struct block_io *io, struct usage *usage,
                      struct damage_sink *sink, bitset_words_fn *take, void *user);

#endif
