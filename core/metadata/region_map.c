#include "core/metadata/region_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/metadata/format.h"

/* Memory of a dirty set is given back when this many array blocks (4 KiB each) have used it. */
#define KEEP_ARRAYS 1024u

/* Of the words of the map or of one set, in whole pages. */
static size_t map_bytes(const struct region_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (map->nr_words * sizeof(uint64_t) + page - 1) / page * page;
}

/*
 * One mapping for the words of the map and those of both sets. Mapped rather than allocated: pages
 * that no region ever touched cost nothing.
 */
static int map_words(struct region_map *map)
{
	size_t bytes = map_bytes(map);
	uint8_t *memory = mmap(NULL, 3 * bytes, PROT_READ | PROT_WRITE,
	                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* Half of the open of a large image were page faults here. The sets are too sparse for it.
	 */
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	map->words = (void *)memory;
	map->sets[0].words = (void *)(memory + bytes);
	map->sets[1].words = (void *)(memory + 2 * bytes);
	return 0;
}

static int set_init(struct region_set *set, const struct region_map *map)
{
	set->arrays = calloc((map->nr_arrays + 63) / 64, sizeof(*set->arrays));
	return set->arrays ? 0 : -ENOMEM;
}

static void set_fini(struct region_set *set)
{
	free(set->arrays);
	*set = (struct region_set){0};
}

int region_map_init(struct region_map *map, uint64_t nr_regions)
{
	assert(nr_regions > 0);
	*map = (struct region_map){
	        .nr_regions = nr_regions,
	        .nr_words = (nr_regions + REGIONS_PER_WORD - 1) / REGIONS_PER_WORD,
	        .nr_arrays = (uint32_t)((nr_regions + REGIONS_PER_ARRAY - 1) / REGIONS_PER_ARRAY),
	};
	if (map_words(map) < 0 || set_init(&map->sets[0], map) < 0 ||
	    set_init(&map->sets[1], map) < 0) {
		region_map_fini(map);
		return -ENOMEM;
	}
	return 0;
}

void region_map_fini(struct region_map *map)
{
	if (map->words)
		(void)munmap((void *)(uintptr_t)map->words, 3 * map_bytes(map));
	map->words = NULL;
	set_fini(&map->sets[0]);
	set_fini(&map->sets[1]);
}

/* Ones for the bits [first, end) that fall into word @word. */
static uint64_t mask_in_word(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t low = word * 64, mask = UINT64_MAX;

	if (first > low)
		mask &= UINT64_MAX << (first - low);
	if (end < low + 64)
		mask &= UINT64_MAX >> (low + 64 - end);
	return mask;
}

bool region_map_test_range(const struct region_map *map, uint64_t first, uint64_t nr)
{
	uint64_t end = first + nr;

	for (uint64_t word = first / 64; nr && word <= (end - 1) / 64; word++) {
		uint64_t mask = mask_in_word(word, first, end);

		if (~atomic_load_explicit(&map->words[word], memory_order_acquire) & mask)
			return false;
	}
	return true;
}

uint64_t region_map_find(const struct region_map *map, uint64_t start, bool hydrated)
{
	if (start >= map->nr_regions)
		return map->nr_regions;
	for (uint64_t word = start / 64; word < map->nr_words; word++) {
		uint64_t bits = atomic_load_explicit(&map->words[word], memory_order_acquire);
		uint64_t found =
		        (hydrated ? bits : ~bits) & mask_in_word(word, start, map->nr_regions);

		if (found)
			return word * 64 + (uint64_t)__builtin_ctzll(found);
	}
	return map->nr_regions;
}

static void set_mark(struct region_set *set, uint64_t word, uint64_t bits)
{
	uint32_t array = (uint32_t)(word / ARRAY_WORDS);
	uint64_t bit = UINT64_C(1) << (array % 64);

	set->words[word] |= bits;
	if (!(set->arrays[array / 64] & bit)) {
		set->arrays[array / 64] |= bit;
		set->nr_arrays++;
		set->nr_touched++;
	}
	set->changed = true;
}

void region_map_set_range_locked(struct region_map *map, uint64_t first, uint64_t nr)
{
	uint64_t end = first + nr, nr_new = 0;

	for (uint64_t word = first / 64; nr && word <= (end - 1) / 64; word++) {
		uint64_t old = atomic_load_explicit(&map->words[word], memory_order_relaxed);
		uint64_t new = mask_in_word(word, first, end) & ~old;

		if (!new)
			continue;
		set_mark(&map->sets[map->current], word, new);
		atomic_store_explicit(&map->words[word], old | new, memory_order_release);
		nr_new += (uint64_t)__builtin_popcountll(new);
	}
	atomic_fetch_add_explicit(&map->nr_hydrated, nr_new, memory_order_relaxed);
}

bool region_map_changed_locked(const struct region_map *map)
{
	return map->sets[0].changed || map->sets[1].changed;
}

void region_map_swap_locked(struct region_map *map)
{
	map->current ^= 1;
	assert(!map->sets[map->current].changed && !map->sets[map->current].nr_arrays);
}

static const struct region_set *frozen_set(const struct region_map *map)
{
	return &map->sets[map->current ^ 1];
}

uint32_t region_map_frozen_next(const struct region_map *map, uint32_t start)
{
	const struct region_set *set = frozen_set(map);
	uint32_t array = start;

	while (array < map->nr_arrays) {
		uint64_t bits = set->arrays[array / 64] >> (array % 64);

		if (bits)
			return array + (uint32_t)__builtin_ctzll(bits);
		array = (array / 64 + 1) * 64;
	}
	return map->nr_arrays;
}

uint32_t region_map_frozen_nr_arrays(const struct region_map *map)
{
	return frozen_set(map)->nr_arrays;
}

const uint64_t *region_map_frozen_words(const struct region_map *map, uint32_t array)
{
	return &frozen_set(map)->words[(size_t)array * ARRAY_WORDS];
}

static uint32_t words_in_array(const struct region_map *map, uint32_t array)
{
	uint64_t rest = map->nr_words - (uint64_t)array * ARRAY_WORDS;

	return rest < ARRAY_WORDS ? (uint32_t)rest : ARRAY_WORDS;
}

static void set_remove(struct region_set *set, const struct region_map *map, uint32_t array)
{
	uint64_t bit = UINT64_C(1) << (array % 64);

	if (!(set->arrays[array / 64] & bit))
		return;
	memset(&set->words[(size_t)array * ARRAY_WORDS], 0,
	       words_in_array(map, array) * sizeof(*set->words));
	set->arrays[array / 64] &= ~bit;
	set->nr_arrays--;
}

/* An empty set that has touched much memory lets it go. */
static void set_give_back(struct region_set *set, const struct region_map *map)
{
	if (set->nr_touched <= KEEP_ARRAYS)
		return;
	/* The words are zero already: whether the pages go or stay makes no difference. */
	(void)madvise(set->words, map_bytes(map), MADV_DONTNEED);
	set->nr_touched = 0;
}

void region_map_frozen_remove(struct region_map *map, uint32_t array)
{
	set_remove(&map->sets[map->current ^ 1], map, array);
}

void region_map_frozen_done_locked(struct region_map *map)
{
	struct region_set *set = &map->sets[map->current ^ 1];

	assert(set->nr_arrays == 0);
	set->changed = false;
	set_give_back(set, map);
}

void region_map_forget_locked(struct region_map *map)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct region_set *set = &map->sets[i];

		for (uint32_t array = 0; set->nr_arrays; array++)
			set_remove(set, map, array);
		set->changed = false;
		set_give_back(set, map);
	}
}

/* Most words are all or nothing, and counting is a call on processors of the oldest kind. */
static uint64_t count_ones(uint64_t word)
{
	if (word == 0 || word == UINT64_MAX)
		return word ? 64 : 0;
	return (uint64_t)__builtin_popcountll(word);
}

void region_map_replace_locked(struct region_map *map, uint64_t first, const uint64_t *words,
                               uint64_t nr)
{
	uint64_t nr_hydrated = map->nr_hydrated;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t old = atomic_load_explicit(&map->words[first + i], memory_order_relaxed);

		/* Pages of the map that were never touched stay so. */
		if (words[i] == old)
			continue;
		atomic_store_explicit(&map->words[first + i], words[i], memory_order_release);
		nr_hydrated += count_ones(words[i]) - count_ones(old);
	}
	atomic_store_explicit(&map->nr_hydrated, nr_hydrated, memory_order_relaxed);
}
