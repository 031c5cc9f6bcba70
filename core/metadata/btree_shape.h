/*
 * The shape that the kernel's dm-clone gives to a dense tree by inserting its keys in ascending
 * order, and the moments at which its nodes come into being. Known in closed form, so that a fresh
 * device gets the kernel's layout without a general insert.
 */
#ifndef CLONEFS_METADATA_BTREE_SHAPE_H
#define CLONEFS_METADATA_BTREE_SHAPE_H

#include "core/metadata/btree.h"

/* Number of nodes of a tree of @nr_keys. */
uint32_t btree_shape_nr_nodes(uint32_t nr_keys);

/* Fills @ret with the nodes, which have no blocks yet. -ENOMEM. */
int btree_shape_make(struct btree *ret, uint32_t nr_keys);

/*
 * Nodes that the kernel allocates between its allocations of the values of @key and @key + 1:
 * indexes in the tree made by btree_shape_make(), at most four; returns how many. The root is
 * allocated before all values.
 */
uint32_t btree_shape_nodes_after(uint32_t nr_keys, uint32_t key, uint32_t ret_nodes[static 4]);

#endif
