/*
 * Btrees of metadata. Nodes are read once, checked completely and kept as a list in breadth-first
 * order, so that the children of a node are neighbours in it; the bytes of a node are made anew
 * when it is written. The shape of the bitset's tree never changes after it was made: only the
 * places of its nodes and array blocks do.
 *
 * Invariants of a loaded tree (the readers enforce them on any bytes):
 * (1) nodes[0] is the root; a node's parent comes before it; depth is at most NODE_DEPTH_MAX;
 * (2) each node but an empty root has at least one entry and at most its maximum;
 * (3) a node's keys lie in [first_key, end_key); the ranges of the children of a node divide its
 * own without a gap, so that no walk can visit a key twice; (4) in a dense tree the leaves hold
 * each key from 0 to the number of values - 1 exactly once.
 */
#ifndef CLONEFS_METADATA_BTREE_H
#define CLONEFS_METADATA_BTREE_H

#include "core/metadata/block.h"
#include "core/metadata/usage.h"

struct btree_node {
	uint64_t block;
	uint64_t first_key, end_key;
	uint32_t nr_entries;
	uint32_t first_child; /* index in nodes; 0 for a leaf */
	uint32_t parent;      /* index in nodes; the root's is 0 */
	uint32_t depth : 31;  /* the root's is 0 */
	uint32_t moved : 1;   /* has its new place in this transaction */
};

struct btree {
	struct btree_node *nodes; /* owned */
	uint32_t nr_nodes;
	uint32_t room;
};

/* What kind of tree is to be read. */
struct btree_kind {
	enum usage_role role;
	uint32_t value_size; /* of a leaf: 4 or 8 */
	uint64_t end_key;    /* keys are below this */
	bool dense;          /* and all of them are there */
};

/* Called for each entry of a leaf, ascending within the leaf. 0, or an errno that ends the walk. */
typedef int btree_entry_fn(void *user, uint64_t key, uint64_t value);

/*
 * Reads the tree at @root, named by the superblock, into @ret (cleared first; btree_fini() it also
 * after an error). Codes: those of block_read() and usage_claim(); -EILSEQ for a node that cannot
 * be parsed; -ENODATA when a dense tree has fewer keys than it must; -EINVAL for wrong keys.
 */
int btree_load(struct btree *ret, struct block_io *io, uint64_t root, const struct btree_kind *kind,
               struct usage *usage, struct damage_sink *sink, btree_entry_fn *entry, void *user);
void btree_fini(struct btree *tree);

/* Appends a node and returns its index, or -ENOMEM. */
int64_t btree_append(struct btree *tree, const struct btree_node *node);

/* The leaf that holds @key; (3) and (4) must hold. */
uint32_t btree_leaf_of(const struct btree *tree, uint64_t key);

/*
 * Makes the bytes of a node of a dense tree whose values are 8 bytes: a leaf's are
 * @values[first_key...], an internal node's the places of its children. Not sealed.
 */
void btree_encode(const struct btree *tree, uint32_t node_index, const uint64_t *values,
                  union metadata_block *ret_block);

/* An empty leaf for the ref counts. Not sealed. */
void btree_encode_empty_counts(union metadata_block *ret_block);

#endif
