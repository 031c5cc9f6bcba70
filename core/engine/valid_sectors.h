/*
 * A set of 512-byte sectors as plain words, bit s of word s/64 for sector s: which sectors of a
 * region (or, copied out, of one piece of it) hold what users wrote. No locks, no allocation.
 */
#ifndef CLONEFS_ENGINE_VALID_SECTORS_H
#define CLONEFS_ENGINE_VALID_SECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALID_SECTOR_SIZE 512u

/* How many words @nr_sectors need. */
static inline size_t valid_sectors_nr_words(uint32_t nr_sectors)
{
	return ((size_t)nr_sectors + 63) / 64;
}

/* Puts sectors [first, end) in. */
void valid_sectors_set(uint64_t *words, uint32_t first, uint32_t end);

/*
 * Sectors from @first on, at most up to @end (first < end), that are all in the set or all not in
 * it: where they end, and in *ret_valid which of both.
 */
uint32_t valid_sectors_run(const uint64_t *words, uint32_t first, uint32_t end, bool *ret_valid);

/* Is every sector, is one of [first, end), not empty, in the set? */
bool valid_sectors_are_all(const uint64_t *words, uint32_t first, uint32_t end);
bool valid_sectors_are_any(const uint64_t *words, uint32_t first, uint32_t end);

#endif
