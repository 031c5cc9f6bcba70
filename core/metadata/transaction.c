#include "core/metadata/transaction.h"

#include <errno.h>
#include <stdlib.h>

#include "core/metadata/array.h"

enum shadow_kind { SHADOW_ARRAY, SHADOW_NODE, SHADOW_BITMAP, SHADOW_INDEX };

/* A block on its way to another place. */
struct shadow {
	uint64_t new_block, old_block;
	uint32_t index; /* array block, node or bitmap */
	uint8_t kind;   /* enum shadow_kind */
	uint8_t old_count;
};

void transaction_begin(struct transaction *transaction, struct disk_state *state)
{
	*transaction = (struct transaction){.state = state, .cursor = state->space.cursor};
}

static uint64_t *place_of(struct disk_state *state, enum shadow_kind kind, uint32_t index)
{
	switch (kind) {
	case SHADOW_ARRAY:
		return &state->bitset.arrays[index];
	case SHADOW_NODE:
		return &state->bitset.tree.nodes[index].block;
	case SHADOW_BITMAP:
		return &state->space.bitmaps[index].block;
	case SHADOW_INDEX:
		break;
	}
	return &state->space.index_block;
}

static int make_room(struct transaction *transaction)
{
	size_t room = transaction->room ? 2 * transaction->room : 64;
	struct shadow *shadows;

	if (transaction->nr_shadows < transaction->room)
		return 0;
	shadows = reallocarray(transaction->shadows, room, sizeof(*shadows));
	if (!shadows)
		return -ENOMEM;
	transaction->shadows = shadows;
	transaction->room = room;
	return 0;
}

static int shadow_one(struct transaction *transaction, enum shadow_kind kind, uint32_t index)
{
	struct space_map *space = &transaction->state->space;
	uint64_t *place = place_of(transaction->state, kind, index);
	struct shadow shadow = {.kind = (uint8_t)kind, .index = index, .old_block = *place};
	int r;

	r = make_room(transaction);
	if (r == 0)
		r = space_map_alloc(space, &shadow.new_block);
	if (r < 0)
		return r;
	shadow.old_count = (uint8_t)space_map_count(space, shadow.old_block);
	space_map_release(space, shadow.old_block);
	*place = shadow.new_block;
	transaction->shadows[transaction->nr_shadows++] = shadow;
	return 0;
}

/* Moving a bitmap changes counts, perhaps in other bitmaps; each moves once, so this ends. */
static int shadow_bitmaps(struct transaction *transaction)
{
	struct space_map *space = &transaction->state->space;
	bool again = true;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < space->nr_bitmaps; i++) {
			int r;

			if (!space->bitmaps[i].touched || space->bitmaps[i].moved)
				continue;
			space->bitmaps[i].moved = true;
			r = shadow_one(transaction, SHADOW_BITMAP, i);
			if (r < 0)
				return r;
			again = true;
		}
	}
	return 0;
}

/* The nodes on the path to the leaf of @index, from the root down. */
static int shadow_path(struct transaction *transaction, uint32_t index)
{
	struct btree *tree = &transaction->state->bitset.tree;
	uint32_t path[NODE_DEPTH_MAX + 1] = {0};
	uint32_t node = btree_leaf_of(tree, index);
	uint32_t depth = tree->nodes[node].depth;

	for (uint32_t i = depth + 1; i-- > 0; node = tree->nodes[node].parent)
		path[i] = node;
	for (uint32_t i = 0; i <= depth; i++) {
		int r;

		if (tree->nodes[path[i]].moved)
			continue;
		r = shadow_one(transaction, SHADOW_NODE, path[i]);
		if (r < 0)
			return r;
		tree->nodes[path[i]].moved = true;
		r = shadow_bitmaps(transaction);
		if (r < 0)
			return r;
	}
	return 0;
}

int transaction_shadow_array(struct transaction *transaction, uint32_t index)
{
	int r = shadow_one(transaction, SHADOW_ARRAY, index);

	if (r == 0)
		r = shadow_bitmaps(transaction);
	return r < 0 ? r : shadow_path(transaction, index);
}

int transaction_shadow_index(struct transaction *transaction)
{
	int r = shadow_one(transaction, SHADOW_INDEX, 0);

	return r < 0 ? r : shadow_bitmaps(transaction);
}

static int by_new_block(const void *a, const void *b)
{
	const struct shadow *left = a, *right = b;

	return left->new_block < right->new_block ? -1 : left->new_block > right->new_block;
}

/* The committed words and the frozen regions. */
static int make_array(const struct transaction *transaction, const struct shadow *shadow,
                      const struct region_map *map, struct damage_sink *sink,
                      union metadata_block *block, uint64_t *nr_new)
{
	const uint64_t *frozen = region_map_frozen_words(map, shadow->index);
	uint32_t nr_words = array_nr_words(transaction->state->bitset.nr_words, shadow->index);
	int r = block_read(transaction->state->io, BLOCK_ARRAY, shadow->old_block, block, sink);

	if (r == 0)
		r = array_check(shadow->old_block, block, nr_words, sink);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < nr_words; i++) {
		uint64_t old = array_word(block, i);

		*nr_new += (uint64_t)__builtin_popcountll(frozen[i] & ~old);
		array_set_word(block, i, old | frozen[i]);
	}
	return 0;
}

static int write_blocks(struct transaction *transaction, struct block_writer *writer,
                        const struct region_map *map, struct damage_sink *sink, uint64_t *nr_new)
{
	static const enum block_type types[] = {
	        [SHADOW_ARRAY] = BLOCK_ARRAY,
	        [SHADOW_NODE] = BLOCK_NODE,
	        [SHADOW_BITMAP] = BLOCK_BITMAP,
	        [SHADOW_INDEX] = BLOCK_INDEX,
	};
	struct disk_state *state = transaction->state;
	union metadata_block block;

	for (size_t i = 0; i < transaction->nr_shadows; i++) {
		const struct shadow *shadow = &transaction->shadows[i];
		int r = 0;

		if (shadow->kind == SHADOW_ARRAY)
			r = make_array(transaction, shadow, map, sink, &block, nr_new);
		else if (shadow->kind == SHADOW_NODE)
			btree_encode(&state->bitset.tree, shadow->index, state->bitset.arrays,
			             &block);
		else if (shadow->kind == SHADOW_BITMAP)
			space_map_encode_bitmap(&state->space, shadow->index, &block);
		else
			space_map_encode_index(&state->space, &block);
		if (r < 0)
			return r;
		block_writer_put(writer, types[shadow->kind], shadow->new_block, &block);
	}
	return block_writer_flush(writer);
}

int transaction_write(struct transaction *transaction, const struct region_map *map,
                      struct damage_sink *sink, uint64_t *ret_nr_new)
{
	struct disk_state *state = transaction->state;
	struct block_writer writer;
	uint64_t nr_new = 0;
	int r;

	/* Neighbours on disk become neighbours in the list; dropping does not care about order. */
	qsort(transaction->shadows, transaction->nr_shadows, sizeof(*transaction->shadows),
	      by_new_block);
	r = block_writer_init(&writer, state->io, transaction->nr_shadows);
	if (r == 0)
		r = write_blocks(transaction, &writer, map, sink, &nr_new);
	block_writer_fini(&writer);
	if (r == 0)
		r = block_io_sync(state->io);
	if (r < 0)
		return r;
	state->unsettled = true;
	r = disk_state_write_superblock(state);
	if (r < 0)
		return r;
	state->unsettled = false;
	*ret_nr_new = nr_new;
	return 0;
}

static void end(struct transaction *transaction)
{
	struct disk_state *state = transaction->state;

	for (size_t i = 0; i < transaction->nr_shadows; i++)
		if (transaction->shadows[i].kind == SHADOW_NODE)
			state->bitset.tree.nodes[transaction->shadows[i].index].moved = false;
	space_map_end_transaction(&state->space);
	free(transaction->shadows);
	*transaction = (struct transaction){0};
}

void transaction_done(struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->nr_shadows; i++)
		space_map_reclaim(&transaction->state->space, transaction->shadows[i].old_block);
	end(transaction);
}

void transaction_drop(struct transaction *transaction)
{
	struct disk_state *state = transaction->state;

	for (size_t i = transaction->nr_shadows; i-- > 0;) {
		const struct shadow *shadow = &transaction->shadows[i];

		*place_of(state, (enum shadow_kind)shadow->kind, shadow->index) = shadow->old_block;
		space_map_undo_release(&state->space, shadow->old_block, shadow->old_count);
		space_map_undo_alloc(&state->space, shadow->new_block);
	}
	state->space.cursor = transaction->cursor;
	end(transaction);
}
