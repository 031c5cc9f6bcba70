/*
 * How it comes about (k is the number of keys so far, a node holds 252):
 * - k = 252: the root leaf is full; it becomes an internal node above two new leaves of 126.
 * - A full last leaf first gives entries to its left neighbour while that has at least 8 free
 *   slots, both getting half: 126, 189, 220, 236, 244, 248 on the left.
 * - At 248 there are only four left: the last leaf is split into 126 and 126. So leaves end up
 *   with 248 entries but for the last two, and a leaf is made every 248 keys.
 * - A full root of 252 leaves is split in the same way by the insert that finds it full.
 */
#include "core/metadata/btree_shape.h"

#define FULL     BITSET_NODE_MAX
#define HALF     (FULL / 2)
#define SETTLED  248u /* entries of a leaf that gets no more */
#define MIN_FREE 8u   /* slots the left neighbour must have to take entries */
/* The insert of this key finds a root of 252 leaves. */
#define ROOT_SPLIT_KEY (FULL + 1 + SETTLED * (FULL - 2))

static uint32_t nr_leaves(uint32_t nr_keys)
{
	return nr_keys <= FULL ? 1 : 2 + (nr_keys - FULL - 1) / SETTLED;
}

static bool has_three_levels(uint32_t nr_keys)
{
	return nr_keys > ROOT_SPLIT_KEY;
}

uint32_t btree_shape_nr_nodes(uint32_t nr_keys)
{
	if (nr_keys <= FULL)
		return 1;
	return nr_leaves(nr_keys) + (has_three_levels(nr_keys) ? 3 : 1);
}

/* Entries of the last but one leaf when it and the last one together have @nr_keys. */
static uint32_t left_of_pair(uint32_t nr_keys)
{
	uint32_t left = HALF;

	while (nr_keys - left > FULL && FULL - left >= MIN_FREE)
		left = (left + FULL) / 2;
	return left;
}

static uint32_t leaf_entries(uint32_t nr_keys, uint32_t leaf)
{
	uint32_t leaves = nr_leaves(nr_keys);
	uint32_t pair;

	if (leaves == 1)
		return nr_keys;
	if (leaf + 2 < leaves)
		return SETTLED;
	pair = nr_keys - SETTLED * (leaves - 2);
	return leaf + 2 == leaves ? left_of_pair(pair) : pair - left_of_pair(pair);
}

/* The internal nodes: index 0, and below it 1 and 2 when there are three levels. */
static int make_internal(struct btree *tree, uint32_t nr_keys)
{
	uint32_t leaves = nr_leaves(nr_keys);
	struct btree_node root = {.end_key = nr_keys, .nr_entries = leaves, .first_child = 1};
	struct btree_node left = {.nr_entries = HALF, .first_child = 3, .depth = 1};
	struct btree_node right = {
	        .nr_entries = leaves - HALF, .first_child = 3 + HALF, .depth = 1};
	int64_t r;

	if (has_three_levels(nr_keys))
		root.nr_entries = 2;
	r = btree_append(tree, &root);
	if (r >= 0 && has_three_levels(nr_keys))
		r = btree_append(tree, &left);
	if (r >= 0 && has_three_levels(nr_keys))
		r = btree_append(tree, &right);
	return r < 0 ? (int)r : 0;
}

/* Ranges of the two internal nodes below the root, once their leaves are known. */
static void close_internal(struct btree *tree)
{
	for (uint32_t i = 1; i <= 2; i++) {
		struct btree_node *node = &tree->nodes[i];

		node->first_key = tree->nodes[node->first_child].first_key;
		node->end_key = tree->nodes[node->first_child + node->nr_entries - 1].end_key;
	}
}

int btree_shape_make(struct btree *ret, uint32_t nr_keys)
{
	bool three = has_three_levels(nr_keys);
	uint32_t leaves = nr_leaves(nr_keys);
	uint64_t key = 0;
	int64_t r = 0;

	*ret = (struct btree){0};
	if (leaves > 1)
		r = make_internal(ret, nr_keys);
	for (uint32_t leaf = 0; leaf < leaves && r >= 0; leaf++) {
		struct btree_node node = {
		        .first_key = key,
		        .nr_entries = leaf_entries(nr_keys, leaf),
		        .parent = !three        ? 0
		                  : leaf < HALF ? 1
		                                : 2,
		        .depth = leaves == 1 ? 0
		                 : three     ? 2
		                             : 1,
		};

		key += node.nr_entries;
		node.end_key = key;
		r = btree_append(ret, &node);
	}
	if (r < 0) {
		btree_fini(ret);
		return (int)r;
	}
	if (three)
		close_internal(ret);
	return 0;
}

uint32_t btree_shape_nodes_after(uint32_t nr_keys, uint32_t key, uint32_t ret_nodes[static 4])
{
	uint32_t first_leaf = has_three_levels(nr_keys) ? 3 : 1;
	uint32_t nr = 0;

	if (key == ROOT_SPLIT_KEY) {
		ret_nodes[nr++] = 1;
		ret_nodes[nr++] = 2;
	}
	if (key == FULL) {
		ret_nodes[nr++] = first_leaf;
		ret_nodes[nr++] = first_leaf + 1;
	} else if (key > FULL && (key - FULL) % SETTLED == 0) {
		ret_nodes[nr++] = first_leaf + 1 + (key - FULL) / SETTLED;
	}
	return nr;
}
