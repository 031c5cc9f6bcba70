#include "core/metadata/fresh.h"

#include <errno.h>
#include <inttypes.h>

#include "core/metadata/array.h"
#include "core/metadata/btree_shape.h"

static uint64_t blocks_needed(uint64_t nr_regions, uint32_t nr_bitmaps)
{
	uint32_t nr_arrays = bitset_nr_arrays(nr_regions);

	return 3 + (uint64_t)nr_bitmaps + nr_arrays + btree_shape_nr_nodes(nr_arrays);
}

uint64_t fresh_blocks_to_be_safe(uint64_t nr_regions)
{
	uint32_t nr_arrays = bitset_nr_arrays(nr_regions);
	uint64_t fixed = (uint64_t)1 + btree_shape_nr_nodes(nr_arrays) + nr_arrays;
	uint32_t nr_bitmaps = 1;

	/* More blocks need more bitmaps, which are blocks themselves. */
	while (space_map_nr_bitmaps(2 + 2 * (fixed + nr_bitmaps)) > nr_bitmaps)
		nr_bitmaps++;
	return 2 + 2 * (fixed + nr_bitmaps);
}

/* The bitset's places, in the kernel's order: the root, then array blocks with nodes in between. */
static int place_bitset(struct disk_state *state)
{
	struct bitset *bitset = &state->bitset;
	int r = btree_shape_make(&bitset->tree, bitset->nr_arrays);

	if (r == 0)
		r = space_map_alloc(&state->space, &bitset->tree.nodes[0].block);
	for (uint32_t i = 0; i < bitset->nr_arrays && r == 0; i++) {
		uint32_t nodes[4];
		uint32_t nr = btree_shape_nodes_after(bitset->nr_arrays, i, nodes);

		r = space_map_alloc(&state->space, &bitset->arrays[i]);
		for (uint32_t n = 0; n < nr && r == 0; n++)
			r = space_map_alloc(&state->space, &bitset->tree.nodes[nodes[n]].block);
	}
	return r;
}

/* The map hands out ascending numbers from 0 on. */
static int place_all(struct disk_state *state)
{
	uint64_t superblock;
	int r;

	r = space_map_alloc(&state->space, &superblock);
	if (r == 0)
		r = space_map_alloc(&state->space, &state->space.index_block);
	if (r == 0)
		r = space_map_alloc(&state->space, &state->count_root);
	for (uint32_t i = 0; i < state->space.nr_bitmaps && r == 0; i++)
		r = space_map_alloc(&state->space, &state->space.bitmaps[i].block);
	return r < 0 ? r : place_bitset(state);
}

static int write_all(const struct disk_state *state)
{
	const struct bitset *bitset = &state->bitset;
	struct block_writer writer;
	union metadata_block block;
	int r = block_writer_init(&writer, state->io, state->space.nr_allocated);

	if (r < 0)
		return r;
	space_map_encode_index(&state->space, &block);
	block_writer_put(&writer, BLOCK_INDEX, state->space.index_block, &block);
	btree_encode_empty_counts(&block);
	block_writer_put(&writer, BLOCK_NODE, state->count_root, &block);
	for (uint32_t i = 0; i < state->space.nr_bitmaps; i++) {
		space_map_encode_bitmap(&state->space, i, &block);
		block_writer_put(&writer, BLOCK_BITMAP, state->space.bitmaps[i].block, &block);
	}
	for (uint32_t i = 0; i < bitset->tree.nr_nodes; i++) {
		btree_encode(&bitset->tree, i, bitset->arrays, &block);
		block_writer_put(&writer, BLOCK_NODE, bitset->tree.nodes[i].block, &block);
	}
	for (uint32_t i = 0; i < bitset->nr_arrays && writer.error == 0; i++) {
		array_encode_zeros(&block, array_nr_words(bitset->nr_words, i));
		block_writer_put(&writer, BLOCK_ARRAY, bitset->arrays[i], &block);
	}
	r = block_writer_flush(&writer);
	block_writer_fini(&writer);
	return r;
}

int fresh_format(struct block_io *io, const struct fresh_sizes *sizes, struct cf_error *err)
{
	struct disk_state state = {
	        .io = io,
	        .region_sectors = sizes->region_sectors,
	        .target_sectors = sizes->target_sectors,
	};
	uint64_t nr_regions = (sizes->target_sectors - 1) / sizes->region_sectors + 1;
	uint64_t needed = blocks_needed(nr_regions, space_map_nr_bitmaps(sizes->nr_blocks));
	int r;

	if (needed > sizes->nr_blocks)
		return cf_error_set(err, -ENOSPC,
		                    "the metadata device is too small: %" PRIu64
		                    " regions need %" PRIu64
		                    " blocks of 4096 bytes, it has %" PRIu64,
		                    nr_regions, needed, sizes->nr_blocks);
	r = space_map_init(&state.space, sizes->nr_blocks);
	if (r == 0)
		r = bitset_init(&state.bitset, nr_regions);
	if (r == 0)
		r = place_all(&state);
	if (r == 0)
		r = write_all(&state);
	if (r == 0)
		r = block_io_sync(io);
	if (r == 0)
		r = disk_state_write_superblock(&state);
	disk_state_fini(&state);
	return r < 0 ? cf_error_errno(err, r, "the metadata device cannot be formatted") : 0;
}
