#include "core/metadata/btree.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	struct btree *tree;
	struct block_io *io;
	const struct btree_kind *kind;
	struct usage *usage;
	struct damage_sink *sink;
	btree_entry_fn *entry;
	void *user;
};

void btree_fini(struct btree *tree)
{
	free(tree->nodes);
	*tree = (struct btree){0};
}

int64_t btree_append(struct btree *tree, const struct btree_node *node)
{
	if (tree->nr_nodes == tree->room) {
		uint32_t room = tree->room ? 2 * tree->room : 16;
		struct btree_node *nodes = reallocarray(tree->nodes, room, sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		tree->nodes = nodes;
		tree->room = room;
	}
	tree->nodes[tree->nr_nodes] = *node;
	return tree->nr_nodes++;
}

static uint32_t max_entries_of(uint32_t value_size)
{
	return value_size == COUNT_VALUE_SIZE ? COUNT_NODE_MAX : BITSET_NODE_MAX;
}

static uint64_t key_at(const union metadata_block *block, uint32_t i)
{
	uint64_t key;

	memcpy(&key, block->node.entries + 8 * (size_t)i, sizeof(key));
	return le64toh(key);
}

static uint64_t value_at(const union metadata_block *block, uint32_t value_size, uint32_t i)
{
	const uint8_t *values = block->node.entries + 8 * (size_t)max_entries_of(value_size);
	uint64_t wide;
	uint32_t narrow;

	if (value_size == COUNT_VALUE_SIZE) {
		memcpy(&narrow, values + 4 * (size_t)i, sizeof(narrow));
		return le32toh(narrow);
	}
	memcpy(&wide, values + 8 * (size_t)i, sizeof(wide));
	return le64toh(wide);
}

/* Checks the header. After 0 the entries can be read; the code is returned in any check. */
static int check_header(const struct walk *walk, const struct btree_node *node,
                        const union metadata_block *block)
{
	const struct node_disk *disk = &block->node;
	uint32_t flags = le32toh(disk->flags);
	uint32_t nr_entries = le32toh(disk->nr_entries);
	uint32_t value_size = flags == NODE_INTERNAL ? 8 : walk->kind->value_size;
	uint32_t most = max_entries_of(value_size);
	bool may_be_empty = flags == NODE_LEAF && node->depth == 0 &&
	                    (!walk->kind->dense || node->end_key == 0);

	if (flags != NODE_INTERNAL && flags != NODE_LEAF)
		damage_range(walk->sink, -EILSEQ, node->block, "btree node flags", NODE_INTERNAL,
		             NODE_LEAF, flags);
	else if (le32toh(disk->value_size) != value_size)
		damage_number(walk->sink, -EILSEQ, node->block, "btree node value size", value_size,
		              le32toh(disk->value_size));
	else if (le32toh(disk->max_entries) != most)
		damage_number(walk->sink, -EILSEQ, node->block, "btree node room", most,
		              le32toh(disk->max_entries));
	else if (nr_entries > most)
		damage_range(walk->sink, -EILSEQ, node->block, "btree node entries", 1, most,
		             nr_entries);
	else if (nr_entries == 0 && !may_be_empty)
		damage_range(walk->sink, walk->kind->dense ? -ENODATA : -EILSEQ, node->block,
		             "btree node entries", 1, most, nr_entries);
	else
		return 0;
	return nr_entries == 0 && walk->kind->dense ? -ENODATA : -EILSEQ;
}

/* (3) and (4) for the keys of one node. The code is returned in any check. */
static int check_keys(const struct walk *walk, const struct btree_node *node, bool leaf,
                      const union metadata_block *block)
{
	uint64_t expected = node->first_key;
	bool consecutive = leaf && walk->kind->dense;

	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t key = key_at(block, i);
		bool exact = consecutive || (i == 0 && walk->kind->dense);

		if (exact ? key != expected : key < expected) {
			damage_range(walk->sink, -EINVAL, node->block, "btree key", expected,
			             exact ? expected : node->end_key, key);
			return -EINVAL;
		}
		if (key >= node->end_key) {
			damage_range(walk->sink, -EINVAL, node->block, "btree key", expected,
			             node->end_key - 1, key);
			return -EINVAL;
		}
		expected = key + 1;
	}
	if (consecutive && expected != node->end_key) {
		damage_number(walk->sink, -ENODATA, node->block, "btree leaf entries",
		              node->end_key - node->first_key, node->nr_entries);
		return -ENODATA;
	}
	return 0;
}

static int take_children(struct walk *walk, uint32_t index, const union metadata_block *block)
{
	struct btree_node node = walk->tree->nodes[index];

	if (node.depth == NODE_DEPTH_MAX) {
		damage_range(walk->sink, -EILSEQ, node.block, "btree depth", 0, NODE_DEPTH_MAX,
		             node.depth + 1u);
		return usage_skip(walk->usage, walk->sink, -EILSEQ);
	}
	walk->tree->nodes[index].first_child = walk->tree->nr_nodes;
	for (uint32_t i = 0; i < node.nr_entries; i++) {
		struct btree_node child = {
		        .block = value_at(block, 8, i),
		        .first_key = key_at(block, i),
		        .end_key = i + 1 < node.nr_entries ? key_at(block, i + 1) : node.end_key,
		        .parent = index,
		        .depth = node.depth + 1,
		};
		int64_t r = btree_append(walk->tree, &child);

		if (r < 0)
			return (int)r;
	}
	return 0;
}

static int take_entries(struct walk *walk, const struct btree_node *node,
                        const union metadata_block *block)
{
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		int r = walk->entry(walk->user, key_at(block, i),
		                    value_at(block, walk->kind->value_size, i));

		if (r < 0)
			return r;
	}
	return 0;
}

static int visit(struct walk *walk, uint32_t index)
{
	struct btree_node *node = &walk->tree->nodes[index];
	uint64_t parent = index ? walk->tree->nodes[node->parent].block : SUPERBLOCK_BLOCK;
	union metadata_block block;
	bool leaf;
	int r;

	r = usage_claim(walk->usage, node->block, walk->kind->role, parent, walk->sink);
	if (r == 0)
		r = block_read(walk->io, BLOCK_NODE, node->block, &block, walk->sink);
	if (r == 0)
		r = check_header(walk, node, &block);
	if (r != 0)
		return usage_skip(walk->usage, walk->sink, r);
	leaf = le32toh(block.node.flags) == NODE_LEAF;
	node->nr_entries = le32toh(block.node.nr_entries);
	if (block.node.padding && walk->sink->thorough)
		damage_number(walk->sink, -EILSEQ, node->block, "btree node padding", 0,
		              le32toh(block.node.padding));
	r = check_keys(walk, node, leaf, &block);
	if (r < 0)
		return usage_skip(walk->usage, walk->sink, r);
	return leaf ? take_entries(walk, node, &block) : take_children(walk, index, &block);
}

int btree_load(struct btree *ret, struct block_io *io, uint64_t root, const struct btree_kind *kind,
               struct usage *usage, struct damage_sink *sink, btree_entry_fn *entry, void *user)
{
	struct walk walk = {ret, io, kind, usage, sink, entry, user};
	int64_t r;

	*ret = (struct btree){0};
	r = btree_append(ret, &(struct btree_node){.block = root, .end_key = kind->end_key});
	if (r < 0)
		return (int)r;
	for (uint32_t i = 0; i < ret->nr_nodes; i++) {
		r = visit(&walk, i);
		if (r < 0)
			return (int)r;
	}
	return 0;
}

uint32_t btree_leaf_of(const struct btree *tree, uint64_t key)
{
	uint32_t node = 0;

	while (tree->nodes[node].first_child) {
		uint32_t low = tree->nodes[node].first_child;
		uint32_t high = low + tree->nodes[node].nr_entries;

		while (high - low > 1) {
			uint32_t middle = low + (high - low) / 2;

			if (tree->nodes[middle].first_key <= key)
				low = middle;
			else
				high = middle;
		}
		node = low;
	}
	return node;
}

static void begin_node(union metadata_block *block, uint32_t flags, uint32_t nr_entries,
                       uint32_t value_size)
{
	memset(block, 0, sizeof(*block));
	block->node.flags = htole32(flags);
	block->node.nr_entries = htole32(nr_entries);
	block->node.max_entries = htole32(max_entries_of(value_size));
	block->node.value_size = htole32(value_size);
}

void btree_encode(const struct btree *tree, uint32_t node_index, const uint64_t *values,
                  union metadata_block *ret_block)
{
	const struct btree_node *node = &tree->nodes[node_index];
	const struct btree_node *children = &tree->nodes[node->first_child];
	bool leaf = node->first_child == 0;

	begin_node(ret_block, leaf ? NODE_LEAF : NODE_INTERNAL, node->nr_entries,
	           BITSET_VALUE_SIZE);
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t key = leaf ? node->first_key + i : children[i].first_key;
		uint64_t value = leaf ? values[key] : children[i].block;

		key = htole64(key);
		value = htole64(value);
		memcpy(ret_block->node.entries + 8 * (size_t)i, &key, sizeof(key));
		memcpy(ret_block->node.entries + 8 * ((size_t)BITSET_NODE_MAX + i), &value,
		       sizeof(value));
	}
}

void btree_encode_empty_counts(union metadata_block *ret_block)
{
	begin_node(ret_block, NODE_LEAF, 0, COUNT_VALUE_SIZE);
}
