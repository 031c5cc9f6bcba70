#include "core/metadata/space_map.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BYTES (BITMAP_ENTRIES / 4)
#define FREE_RUN    32u /* blocks whose counts fill 64 bits; divides BITMAP_ENTRIES */

uint32_t space_map_nr_bitmaps(uint64_t nr_blocks)
{
	return (uint32_t)((nr_blocks + BITMAP_ENTRIES - 1) / BITMAP_ENTRIES);
}

int space_map_init(struct space_map *map, uint64_t nr_blocks)
{
	uint32_t nr_bitmaps = space_map_nr_bitmaps(nr_blocks);

	assert(nr_blocks > 0 && nr_blocks <= METADATA_BLOCKS_MAX);
	*map = (struct space_map){
	        .nr_blocks = nr_blocks,
	        .nr_available = nr_blocks,
	        .nr_bitmaps = nr_bitmaps,
	        .bitmaps = calloc(nr_bitmaps, sizeof(*map->bitmaps)),
	        .counts = calloc(nr_bitmaps, COUNT_BYTES),
	        .busy = calloc((nr_blocks + 63) / 64, sizeof(*map->busy)),
	};
	if (!map->bitmaps || !map->counts || !map->busy) {
		space_map_fini(map);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr_bitmaps; i++)
		map->bitmaps[i].nr_free = BITMAP_ENTRIES;
	return 0;
}

void space_map_fini(struct space_map *map)
{
	free(map->bitmaps);
	free(map->counts);
	free(map->busy);
	*map = (struct space_map){0};
}

static uint8_t *count_byte(const struct space_map *map, uint64_t block, unsigned int *ret_shift)
{
	uint64_t entry = block % BITMAP_ENTRIES;

	*ret_shift = (unsigned int)(entry % 4) * 2;
	return &map->counts[block / BITMAP_ENTRIES * COUNT_BYTES + entry / 4];
}

/* On disk the lower bit of an entry is worth two and the upper one is worth one. */
unsigned int space_map_count(const struct space_map *map, uint64_t block)
{
	unsigned int shift;
	unsigned int bits = *count_byte(map, block, &shift);

	bits >>= shift;
	return (bits & 1) * 2 + ((bits >> 1) & 1);
}

static void put_count(struct space_map *map, uint64_t block, unsigned int count)
{
	unsigned int shift;
	uint8_t *byte = count_byte(map, block, &shift);
	unsigned int bits = (count >> 1) | (count & 1) << 1;

	*byte = (uint8_t)((*byte & ~(3u << shift)) | bits << shift);
}

/* Keeps the totals and, by the kernel's rules, the hint when an entry becomes used or free. */
static void change_count(struct space_map *map, uint64_t block, unsigned int count)
{
	struct space_map_bitmap *bitmap = &map->bitmaps[block / BITMAP_ENTRIES];
	uint32_t entry = (uint32_t)(block % BITMAP_ENTRIES);
	bool was_used = space_map_count(map, block) > 0;

	put_count(map, block, count);
	bitmap->touched = true;
	if (!was_used && count > 0) {
		map->nr_allocated++;
		bitmap->nr_free--;
		if (bitmap->none_free_before == entry)
			bitmap->none_free_before++;
	} else if (was_used && count == 0) {
		map->nr_allocated--;
		bitmap->nr_free++;
		if (bitmap->none_free_before > entry)
			bitmap->none_free_before = entry;
	}
}

static bool is_busy(const struct space_map *map, uint64_t block)
{
	return map->busy[block / 64] >> (block % 64) & 1;
}

static void set_busy(struct space_map *map, uint64_t block)
{
	map->busy[block / 64] |= UINT64_C(1) << (block % 64);
	map->nr_available--;
}

static void clear_busy(struct space_map *map, uint64_t block)
{
	map->busy[block / 64] &= ~(UINT64_C(1) << (block % 64));
	map->nr_available++;
}

/* The first block in [from, to) that is not busy; @to when there is none. */
static uint64_t find_available(const struct space_map *map, uint64_t from, uint64_t to)
{
	uint64_t block = from;

	while (block < to) {
		uint64_t open = ~map->busy[block / 64] >> (block % 64);

		if (open) {
			block += (uint64_t)__builtin_ctzll(open);
			return block < to ? block : to;
		}
		block = (block / 64 + 1) * 64;
	}
	return to;
}

int space_map_alloc(struct space_map *map, uint64_t *ret_block)
{
	uint64_t block = find_available(map, map->cursor, map->nr_blocks);

	if (block == map->nr_blocks) {
		block = find_available(map, 0, map->cursor);
		if (block == map->cursor)
			return -ENOSPC;
	}
	set_busy(map, block);
	change_count(map, block, 1);
	map->cursor = block + 1;
	*ret_block = block;
	return 0;
}

void space_map_release(struct space_map *map, uint64_t block)
{
	unsigned int count = space_map_count(map, block);

	assert(count > 0);
	if (count < 3)
		change_count(map, block, count - 1);
}

void space_map_undo_alloc(struct space_map *map, uint64_t block)
{
	change_count(map, block, 0);
	clear_busy(map, block);
}

void space_map_undo_release(struct space_map *map, uint64_t block, unsigned int count)
{
	change_count(map, block, count);
}

void space_map_reclaim(struct space_map *map, uint64_t block)
{
	if (space_map_count(map, block) == 0 && is_busy(map, block))
		clear_busy(map, block);
}

void space_map_end_transaction(struct space_map *map)
{
	for (uint32_t i = 0; i < map->nr_bitmaps; i++)
		map->bitmaps[i].touched = map->bitmaps[i].moved = false;
}

int space_map_load_index(struct space_map *map, struct block_io *io, uint64_t index_block,
                         struct usage *usage, struct damage_sink *sink)
{
	union metadata_block block;
	int r;

	r = usage_claim(usage, index_block, USAGE_INDEX, SUPERBLOCK_BLOCK, sink);
	if (r == 0)
		r = block_read(io, BLOCK_INDEX, index_block, &block, sink);
	if (r != 0)
		return r;
	map->index_block = index_block;
	for (uint32_t i = 0; i < map->nr_bitmaps; i++) {
		const struct index_entry_disk *entry = &block.index.entries[i];

		map->bitmaps[i].block = le64toh(entry->blocknr);
		map->bitmaps[i].nr_free = le32toh(entry->nr_free);
		map->bitmaps[i].none_free_before = le32toh(entry->none_free_before);
	}
	if (!sink->thorough)
		return 0;
	if (block.index.padding)
		damage_number(sink, -EINVAL, index_block, "space map index padding", 0,
		              le32toh(block.index.padding));
	for (uint32_t i = map->nr_bitmaps; i < INDEX_ENTRIES; i++) {
		static const struct index_entry_disk unused;

		if (memcmp(&block.index.entries[i], &unused, sizeof(unused)) != 0)
			damage_number(sink, -EINVAL, index_block, "space map index entries in use",
			              map->nr_bitmaps, i + 1u);
	}
	return 0;
}

/* Blocks of the device that bitmap @i counts; the last bitmap has entries behind them. */
static uint32_t entries_within(const struct space_map *map, uint32_t i)
{
	uint64_t rest = map->nr_blocks - (uint64_t)i * BITMAP_ENTRIES;

	return rest < BITMAP_ENTRIES ? (uint32_t)rest : BITMAP_ENTRIES;
}

/* The first entry of bitmap @i from @entry on that may count more than 0: whole free runs are
 * passed over in one step. @entry is a multiple of FREE_RUN. */
static uint32_t skip_free_runs(const struct space_map *map, uint32_t i, uint32_t entry)
{
	const uint8_t *counts = map->counts + (size_t)i * COUNT_BYTES;
	uint64_t run = 0;

	while (entry < BITMAP_ENTRIES) {
		memcpy(&run, counts + entry / 4, sizeof(run));
		if (run)
			break;
		entry += FREE_RUN;
	}
	return entry;
}

/*
 * Takes what the counts of bitmap @i say, whatever the index says of them: a hint above a free
 * entry would hide it, and a wrong total would be handed on.
 */
static void take_counts(struct space_map *map, uint32_t i, struct damage_sink *sink)
{
	struct space_map_bitmap *bitmap = &map->bitmaps[i];
	uint32_t within = entries_within(map, i), first_free = BITMAP_ENTRIES, used = 0;

	for (uint32_t entry = 0; entry < BITMAP_ENTRIES; entry++) {
		uint32_t used_run = entry % FREE_RUN ? entry : skip_free_runs(map, i, entry);
		uint64_t block = (uint64_t)i * BITMAP_ENTRIES + entry;
		unsigned int count;

		if (used_run > entry) {
			if (first_free == BITMAP_ENTRIES)
				first_free = entry;
			entry = used_run - 1;
			continue;
		}
		count = space_map_count(map, block);
		if (count && entry >= within) {
			if (sink->thorough)
				damage_number(sink, -EINVAL, bitmap->block,
				              "count of a block behind the device", 0, count);
			put_count(map, block, 0);
			count = 0;
		}
		if (count) {
			set_busy(map, block);
			used++;
		} else if (first_free == BITMAP_ENTRIES) {
			first_free = entry;
		}
	}
	if (sink->thorough && bitmap->nr_free != BITMAP_ENTRIES - used)
		damage_number(sink, -EINVAL, map->index_block, "free entries of a bitmap",
		              BITMAP_ENTRIES - used, bitmap->nr_free);
	if (sink->thorough && bitmap->none_free_before > first_free)
		damage_range(sink, -EINVAL, map->index_block, "first entry to search of a bitmap",
		             0, first_free, bitmap->none_free_before);
	bitmap->nr_free = BITMAP_ENTRIES - used;
	if (bitmap->none_free_before > first_free)
		bitmap->none_free_before = first_free;
	map->nr_allocated += used;
}

int space_map_load_bitmaps(struct space_map *map, struct block_io *io, struct usage *usage,
                           struct damage_sink *sink)
{
	union metadata_block block;

	for (uint32_t i = 0; i < map->nr_bitmaps; i++) {
		uint64_t place = map->bitmaps[i].block;
		int r;

		r = usage_claim(usage, place, USAGE_BITMAP, map->index_block, sink);
		if (r == 0)
			r = block_read(io, BLOCK_BITMAP, place, &block, sink);
		if (r != 0) {
			r = usage_skip(usage, sink, r);
			if (r < 0)
				return r;
			continue;
		}
		if (block.bitmap.padding && sink->thorough)
			damage_number(sink, -EINVAL, place, "space map bitmap padding", 0,
			              le32toh(block.bitmap.padding));
		memcpy(map->counts + (size_t)i * COUNT_BYTES, block.bitmap.counts, COUNT_BYTES);
		take_counts(map, i, sink);
	}
	return 0;
}

void space_map_encode_bitmap(const struct space_map *map, uint32_t i,
                             union metadata_block *ret_block)
{
	memset(ret_block, 0, sizeof(*ret_block));
	memcpy(ret_block->bitmap.counts, map->counts + (size_t)i * COUNT_BYTES, COUNT_BYTES);
}

void space_map_encode_index(const struct space_map *map, union metadata_block *ret_block)
{
	memset(ret_block, 0, sizeof(*ret_block));
	for (uint32_t i = 0; i < map->nr_bitmaps; i++)
		ret_block->index.entries[i] = (struct index_entry_disk){
		        .blocknr = htole64(map->bitmaps[i].block),
		        .nr_free = htole32(map->bitmaps[i].nr_free),
		        .none_free_before = htole32(map->bitmaps[i].none_free_before),
		};
}
