/*
 * The regions in memory: which are hydrated, and which of them became so since the last commit.
 *
 * Invariants:
 *
 * (1) A bit of the map goes from 0 to 1 only by region_map_set_range_locked(), and is then in the
 *     current dirty set. Only region_map_replace_locked() clears bits.
 *
 * (2) A region is in the current dirty set only if it was set after the last swap; the frozen set
 *     never changes but by region_map_frozen_*().
 *
 * (3) What a commit writes is taken from the frozen set, never from the map: the map also holds
 *     regions whose data may not be durable yet.
 *
 * Two dirty sets instead of one, so that marking goes on while a commit writes. Each has one bit
 * per region, and above it one bit per array block, so that an empty set is recognised and a small
 * one is walked at no cost. Their memory is given back when a large set was emptied.
 *
 * Locks: functions ending in _locked want the caller's bitmap lock, and those of the frozen set the
 * lock that orders commits. The others may be called at any time.
 */
#ifndef CLONEFS_METADATA_REGION_MAP_H
#define CLONEFS_METADATA_REGION_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region_set {
	uint64_t *words;     /* borrowed from the map's mapping; one bit per region */
	uint64_t *arrays;    /* owned; one bit per array block with a word that is not zero */
	uint32_t nr_arrays;  /* bits set in it */
	uint32_t nr_touched; /* array blocks whose words use memory since it was last given back */
	bool changed;        /* bitmap lock: the set is not empty */
};

struct region_map {
	uint64_t nr_regions;
	uint64_t nr_words;
	uint32_t nr_arrays;
	_Atomic uint64_t *words;      /* owned, mapped; release stores under the bitmap lock */
	_Atomic uint64_t nr_hydrated; /* written under the bitmap lock */
	struct region_set sets[2];
	unsigned int current; /* bitmap lock: which set takes marks; the other is the frozen one */
};

/* A map without hydrated regions; @nr_regions > 0. -ENOMEM. */
int region_map_init(struct region_map *map, uint64_t nr_regions);
void region_map_fini(struct region_map *map);

/*
 * Acquire: who sees the bit also sees what was done before it was set, the data in the destination
 * above all. @region < nr_regions.
 */
static inline bool region_map_test(const struct region_map *map, uint64_t region)
{
	return atomic_load_explicit(&map->words[region / 64], memory_order_acquire) >>
	               (region % 64) &
	       1;
}

/* All of @nr regions from @first on; the range must lie within the map. */
bool region_map_test_range(const struct region_map *map, uint64_t first, uint64_t nr);

/* The first region >= @start that is (not) hydrated; nr_regions when there is none. */
uint64_t region_map_find(const struct region_map *map, uint64_t start, bool hydrated);

/* Marks a range that lies within the map; regions that are set already stay as they are. */
void region_map_set_range_locked(struct region_map *map, uint64_t first, uint64_t nr);

/* Regions were marked that are not committed. */
bool region_map_changed_locked(const struct region_map *map);

/* The current set becomes the frozen one, which must be empty. */
void region_map_swap_locked(struct region_map *map);

/* The smallest array block >= @start with a frozen region; nr_arrays when there is none. */
uint32_t region_map_frozen_next(const struct region_map *map, uint32_t start);
uint32_t region_map_frozen_nr_arrays(const struct region_map *map);
/* The frozen regions of array block @array, as words. */
const uint64_t *region_map_frozen_words(const struct region_map *map, uint32_t array);
/* Takes the regions of @array out of the frozen set: they are committed. */
void region_map_frozen_remove(struct region_map *map, uint32_t array);
/* The frozen set was emptied by region_map_frozen_remove(). */
void region_map_frozen_done_locked(struct region_map *map);

/* Empties both dirty sets; the map stays. */
void region_map_forget_locked(struct region_map *map);

/* Replaces @nr words of the map from index @first on; no bits behind the last region. */
void region_map_replace_locked(struct region_map *map, uint64_t first, const uint64_t *words,
                               uint64_t nr);

#endif
