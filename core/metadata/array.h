/*
 * Array blocks: 509 of the bitset's 64-bit words each, in order. Only the last one may hold fewer.
 */
#ifndef CLONEFS_METADATA_ARRAY_H
#define CLONEFS_METADATA_ARRAY_H

#include <endian.h>

#include "core/metadata/block.h"

/* Words in array block @index of an array of @nr_words. */
uint32_t array_nr_words(uint64_t nr_words, uint64_t index);

/*
 * Checks the header of a verified array block that must hold @nr_words; a thorough check also wants
 * zeros behind them. The code is returned in a thorough check too: -ENODATA fewer words, -EINVAL.
 */
int array_check(uint64_t blocknr, const union metadata_block *block, uint32_t nr_words,
                struct damage_sink *sink);

/* Word @i in host order. */
static inline uint64_t array_word(const union metadata_block *block, uint32_t i)
{
	return le64toh(block->array.words[i]);
}

static inline void array_set_word(union metadata_block *block, uint32_t i, uint64_t word)
{
	block->array.words[i] = htole64(word);
}

/* An array block of @nr_words zeros. Not sealed. */
void array_encode_zeros(union metadata_block *ret_block, uint32_t nr_words);

#endif
