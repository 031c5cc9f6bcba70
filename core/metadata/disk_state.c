#include "core/metadata/disk_state.h"

#include <errno.h>

void disk_state_fini(struct disk_state *state)
{
	bitset_fini(&state->bitset);
	space_map_fini(&state->space);
}

struct superblock disk_state_superblock(const struct disk_state *state)
{
	return (struct superblock){
	        .nr_blocks = state->space.nr_blocks,
	        .nr_allocated = state->space.nr_allocated,
	        .index_block = state->space.index_block,
	        .count_root = state->count_root,
	        .bitset_root = state->bitset.tree.nodes[0].block,
	        .region_sectors = state->region_sectors,
	        .target_sectors = state->target_sectors,
	};
}

int disk_state_write_superblock(struct disk_state *state)
{
	struct superblock superblock = disk_state_superblock(state);
	int r = superblock_write(state->io, &superblock);

	return r < 0 ? r : block_io_sync(state->io);
}

static int ignore_entry(void *user, uint64_t key, uint64_t value)
{
	(void)user;
	(void)key;
	(void)value;
	return 0;
}

/* Nobody needs the ref counts, but their nodes must not be handed out. */
static int claim_count_nodes(struct disk_state *state, struct usage *usage,
                             struct damage_sink *sink)
{
	const struct btree_kind kind = {
	        .role = USAGE_COUNT_NODE,
	        .value_size = COUNT_VALUE_SIZE,
	        .end_key = state->space.nr_blocks,
	};
	struct btree tree;
	int r = btree_load(&tree, state->io, state->count_root, &kind, usage, sink, ignore_entry,
	                   NULL);

	btree_fini(&tree);
	return r;
}

/* A block in use whose count is 0 would be handed out and overwritten by the next commits. */
static int check_counted(const struct disk_state *state, const struct usage *usage,
                         struct damage_sink *sink)
{
	for (uint64_t block = 0; block < usage->nr_blocks; block++)
		if (usage->roles[block] != USAGE_NONE && !space_map_count(&state->space, block))
			return damage_text(sink, -EINVAL, block, "count of a block in use", "1",
			                   "0");
	return 0;
}

static int load_parts(struct disk_state *state, const struct superblock *superblock,
                      struct usage *usage, struct damage_sink *sink, bitset_words_fn *take,
                      void *user)
{
	int r;

	/* The kernel's order, so that damage found by both has the kernel's errno. */
	r = usage_claim(usage, SUPERBLOCK_BLOCK, USAGE_SUPERBLOCK, SUPERBLOCK_BLOCK, sink);
	if (r == 0)
		r = space_map_load_index(&state->space, state->io, superblock->index_block, usage,
		                         sink);
	if (r == 0)
		r = bitset_load(&state->bitset, state->io, superblock->bitset_root, usage, sink);
	if (r == 0)
		r = bitset_read_words(&state->bitset, state->io, usage, sink, take, user);
	if (r == 0)
		r = space_map_load_bitmaps(&state->space, state->io, usage, sink);
	if (r == 0)
		r = claim_count_nodes(state, usage, sink);
	return r == 0 ? check_counted(state, usage, sink) : r;
}

int disk_state_load(struct disk_state *ret, struct block_io *io,
                    const struct superblock *superblock, struct damage_sink *sink,
                    bitset_words_fn *take, void *user)
{
	struct usage usage = {0};
	int r;

	*ret = (struct disk_state){
	        .io = io,
	        .region_sectors = superblock->region_sectors,
	        .target_sectors = superblock->target_sectors,
	        .count_root = superblock->count_root,
	        .unsettled = true,
	};
	r = usage_init(&usage, superblock->nr_blocks);
	if (r == 0)
		r = space_map_init(&ret->space, superblock->nr_blocks);
	if (r == 0)
		r = bitset_init(&ret->bitset, superblock_nr_regions(superblock));
	if (r == 0)
		r = load_parts(ret, superblock, &usage, sink, take, user);
	usage_fini(&usage);
	if (r < 0)
		disk_state_fini(ret);
	return r;
}
