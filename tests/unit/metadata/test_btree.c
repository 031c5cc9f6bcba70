#include "metadata_fixture.h"

#include <endian.h>
#include <stdlib.h>

#include "core/metadata/array.h"
#include "core/metadata/btree.h"
#include "core/metadata/btree_shape.h"
#include "core/metadata/fresh.h"

/* From kernel-made devices, and the table of sizes in the format's description. */
static void shape_is_the_kernels(void **state)
{
	static const struct {
		uint32_t nr_keys, nr_nodes, first_leaf, last_leaf;
	} cases[] = {{1, 1, 1, 1},       {252, 1, 252, 252}, {253, 3, 126, 127},
	             {277, 3, 126, 151}, {379, 3, 189, 190}, {500, 3, 248, 252},
	             {501, 4, 248, 127}, {516, 4, 248, 142}, {65923, 269, 248, 231}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t nr_keys = cases[i].nr_keys, leaf;
		struct btree tree;

		assert_int_equal(btree_shape_nr_nodes(nr_keys), cases[i].nr_nodes);
		assert_int_equal(btree_shape_make(&tree, nr_keys), 0);
		assert_int_equal(tree.nr_nodes, cases[i].nr_nodes);
		leaf = btree_leaf_of(&tree, 0);
		assert_int_equal(tree.nodes[leaf].nr_entries, cases[i].first_leaf);
		leaf = btree_leaf_of(&tree, nr_keys - 1);
		assert_int_equal(leaf, tree.nr_nodes - 1);
		assert_int_equal(tree.nodes[leaf].nr_entries, cases[i].last_leaf);
		btree_fini(&tree);
	}
}

/* Invariants (1) to (4) for all sizes around the places where the shape changes. */
static void check_shape(uint32_t nr_keys)
{
	struct btree tree;
	uint64_t key = 0;

	assert_int_equal(btree_shape_make(&tree, nr_keys), 0);
	for (uint32_t i = 0; i < tree.nr_nodes; i++) {
		const struct btree_node *node = &tree.nodes[i];

		assert_in_range(node->nr_entries, 1, BITSET_NODE_MAX);
		assert_true(i == 0 || node->parent < i);
		if (node->first_child) {
			const struct btree_node *child = &tree.nodes[node->first_child];

			assert_int_equal(child[0].first_key, node->first_key);
			assert_int_equal(child[node->nr_entries - 1].end_key, node->end_key);
			for (uint32_t c = 0; c < node->nr_entries; c++)
				assert_int_equal(child[c].parent, i);
		} else {
			assert_int_equal(node->first_key, key);
			assert_int_equal(node->end_key, key + node->nr_entries);
			key = node->end_key;
		}
	}
	assert_int_equal(key, nr_keys);
	assert_int_equal(tree.nodes[0].end_key, nr_keys);
	btree_fini(&tree);
}

static void shape_keeps_the_invariants(void **state)
{
	(void)state;
	for (uint32_t nr_keys = 1; nr_keys < 1300; nr_keys++)
		check_shape(nr_keys);
	for (uint32_t nr_keys = 62000; nr_keys < 62600; nr_keys++)
		check_shape(nr_keys);
	check_shape(65923);
}

static void every_node_is_placed_once(void **state)
{
	static const uint32_t sizes[] = {1, 252, 253, 500, 501, 749, 62253, 62254, 65923};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t nr_nodes = btree_shape_nr_nodes(sizes[i]);
		uint8_t *placed = calloc(nr_nodes, 1);
		uint32_t nr_placed = 1;

		assert_non_null(placed);
		for (uint32_t key = 0; key < sizes[i]; key++) {
			uint32_t nodes[4];
			uint32_t nr = btree_shape_nodes_after(sizes[i], key, nodes);

			for (uint32_t n = 0; n < nr; n++) {
				assert_in_range(nodes[n], 1, nr_nodes - 1);
				assert_int_equal(placed[nodes[n]]++, 0);
				nr_placed++;
			}
		}
		assert_int_equal(nr_placed, nr_nodes);
		free(placed);
	}
}

static void sizes_are_the_documented_ones(void **state)
{
	static const struct {
		uint64_t nr_regions, safe;
	} cases[] = {{1, 10},        {32576, 10},      {262144, 26},
	             {1000000, 70},  {1048577, 74},    {8209152, 512},
	             {8209153, 518}, {16777216, 1046}, {UINT64_C(1) << 31, 132406}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(metadata_blocks_to_be_safe(cases[i].nr_regions), cases[i].safe);
}

/* A tree written by hand on a device of 64 blocks, read back as a dense tree. */
struct hand {
	struct block_io *io;
	struct usage usage;
	struct damage_error damage;
	struct cf_error err;
	struct btree tree;
	uint64_t values[600];
	uint64_t nr_taken;
};

static int take(void *user, uint64_t key, uint64_t value)
{
	struct hand *hand = user;

	hand->values[key] = value;
	hand->nr_taken++;
	return 0;
}

static int set_up(void **state)
{
	struct hand *hand = calloc(1, sizeof(*hand));

	hand->io = memory_io_new(64 * METADATA_BLOCK_SIZE, NULL);
	*state = hand;
	return 0;
}

static int tear_down(void **state)
{
	struct hand *hand = *state;

	btree_fini(&hand->tree);
	usage_fini(&hand->usage);
	block_io_close(hand->io);
	free(hand);
	return 0;
}

static void put_node(struct hand *hand, uint64_t number, uint32_t flags, uint32_t nr,
                     const uint64_t *keys, const uint64_t *values)
{
	union metadata_block *block = fixture_block(hand->io, number);

	memset(block, 0, sizeof(*block));
	block->node.flags = htole32(flags);
	block->node.nr_entries = htole32(nr);
	block->node.max_entries = htole32(BITSET_NODE_MAX);
	block->node.value_size = htole32(8);
	for (uint32_t i = 0; i < nr && i < BITSET_NODE_MAX; i++) {
		memcpy(block->node.entries + 8 * i, &keys[i], 8);
		memcpy(block->node.entries + 8 * (252 + i), &values[i], 8);
	}
	fixture_seal(hand->io, BLOCK_NODE, number);
}

static int load(struct hand *hand, uint64_t nr_keys)
{
	const struct btree_kind kind = {
	        .role = USAGE_BITSET_NODE, .value_size = 8, .end_key = nr_keys, .dense = true};

	btree_fini(&hand->tree);
	usage_fini(&hand->usage);
	assert_int_equal(usage_init(&hand->usage, 64), 0);
	hand->damage = damage_to_error(&hand->err);
	hand->nr_taken = 0;
	return btree_load(&hand->tree, hand->io, 1, &kind, &hand->usage, &hand->damage.sink, take,
	                  hand);
}

static const uint64_t keys_0_2[] = {0, 2}, keys_0_1[] = {0, 1}, keys_2_3[] = {2, 3};

static void two_levels_are_read(void **state)
{
	struct hand *hand = *state;

	put_node(hand, 1, NODE_INTERNAL, 2, keys_0_2, (const uint64_t[]){2, 3});
	put_node(hand, 2, NODE_LEAF, 2, keys_0_1, (const uint64_t[]){10, 11});
	put_node(hand, 3, NODE_LEAF, 2, keys_2_3, (const uint64_t[]){12, 13});
	assert_int_equal(load(hand, 4), 0);
	assert_int_equal(hand->nr_taken, 4);
	assert_int_equal(hand->values[3], 13);
	assert_int_equal(btree_leaf_of(&hand->tree, 1), 1);
	assert_int_equal(btree_leaf_of(&hand->tree, 2), 2);
}

static void wrong_keys_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint64_t root[2], left[2], right[2];
		int code;
	} cases[] = {
	        {"right", {0, 2}, {0, 1}, {2, 3}, 0},
	        {"root does not begin with 0", {1, 2}, {0, 1}, {2, 3}, -EINVAL},
	        {"root descends", {2, 0}, {0, 1}, {2, 3}, -EINVAL},
	        {"root repeats", {0, 0}, {0, 1}, {2, 3}, -EINVAL},
	        {"root beyond the end", {0, 4}, {0, 1}, {2, 3}, -EINVAL},
	        {"gap in a leaf", {0, 2}, {0, 2}, {2, 3}, -EINVAL},
	        {"overlap", {0, 2}, {0, 1}, {1, 2}, -EINVAL},
	        {"last beyond the end", {0, 2}, {0, 1}, {2, 4}, -EINVAL},
	        {"huge key", {0, 2}, {0, 1}, {2, UINT64_MAX}, -EINVAL},
	        {"left too short", {0, 3}, {0, 1}, {3, 4}, -ENODATA},
	};
	struct hand *hand = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_node(hand, 1, NODE_INTERNAL, 2, cases[i].root, (const uint64_t[]){2, 3});
		put_node(hand, 2, NODE_LEAF, 2, cases[i].left, (const uint64_t[]){10, 11});
		put_node(hand, 3, NODE_LEAF, 2, cases[i].right, (const uint64_t[]){12, 13});
		print_message("%s\n", cases[i].what);
		assert_int_equal(load(hand, 4), cases[i].code);
	}
}

static void a_leaf_that_lacks_entries_is_too_little_data(void **state)
{
	struct hand *hand = *state;

	put_node(hand, 1, NODE_LEAF, 2, keys_0_1, (const uint64_t[]){10, 11});
	assert_int_equal(load(hand, 3), -ENODATA);
	put_node(hand, 1, NODE_LEAF, 0, keys_0_1, (const uint64_t[]){10, 11});
	assert_int_equal(load(hand, 3), -ENODATA);
}

static void loops_and_shared_nodes_are_refused(void **state)
{
	struct hand *hand = *state;

	put_node(hand, 1, NODE_INTERNAL, 2, keys_0_2, (const uint64_t[]){2, 2});
	put_node(hand, 2, NODE_LEAF, 2, keys_0_1, (const uint64_t[]){10, 11});
	assert_int_equal(load(hand, 4), -EINVAL);
	put_node(hand, 1, NODE_INTERNAL, 1, keys_0_2, (const uint64_t[]){1});
	assert_int_equal(load(hand, 4), -EINVAL);
	put_node(hand, 1, NODE_INTERNAL, 1, keys_0_2, (const uint64_t[]){64});
	assert_int_equal(load(hand, 4), -EIO);
	put_node(hand, 1, NODE_INTERNAL, 1, keys_0_2, (const uint64_t[]){UINT64_MAX});
	assert_int_equal(load(hand, 4), -EIO);
}

static void depth_is_limited(void **state)
{
	struct hand *hand = *state;

	/* A chain of internal nodes 1, 2, ..., then a leaf at depth 15 and at depth 16. */
	for (uint64_t depth = 0; depth < 15; depth++)
		put_node(hand, 1 + depth, NODE_INTERNAL, 1, keys_0_1, &(uint64_t){2 + depth});
	put_node(hand, 16, NODE_LEAF, 1, keys_0_1, (const uint64_t[]){40});
	assert_int_equal(load(hand, 1), 0);
	put_node(hand, 16, NODE_INTERNAL, 1, keys_0_1, (const uint64_t[]){17});
	put_node(hand, 17, NODE_LEAF, 1, keys_0_1, (const uint64_t[]){40});
	assert_int_equal(load(hand, 1), -EILSEQ);
}

static void unparsable_nodes_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} cases[] = {{4, 0},    {4, 3},    {4, 0xffffffff},  {16, 253}, {16, 0xffffffff},
	             {20, 249}, {20, 336}, {20, 0xffffffff}, {24, 4},   {24, 0}};
	struct hand *hand = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t value = htole32(cases[i].value);

		put_node(hand, 1, NODE_LEAF, 2, keys_0_1, (const uint64_t[]){10, 11});
		memcpy(fixture_block(hand->io, 1)->bytes + cases[i].offset, &value, 4);
		fixture_seal(hand->io, BLOCK_NODE, 1);
		assert_int_equal(load(hand, 2), -EILSEQ);
	}
	put_node(hand, 1, NODE_INTERNAL, 0, keys_0_1, keys_0_1);
	assert_true(load(hand, 2) < 0);
}

static void encoding_and_reading_agree(void **state)
{
	const uint32_t nr_keys = 501;
	struct hand *hand = *state;
	uint64_t values[501];
	struct btree tree;

	for (uint32_t i = 0; i < nr_keys; i++)
		values[i] = 1000 + i;
	assert_int_equal(btree_shape_make(&tree, nr_keys), 0);
	for (uint32_t i = 0; i < tree.nr_nodes; i++)
		tree.nodes[i].block = 1 + i;
	for (uint32_t i = 0; i < tree.nr_nodes; i++) {
		btree_encode(&tree, i, values, fixture_block(hand->io, 1 + i));
		fixture_seal(hand->io, BLOCK_NODE, 1 + i);
	}
	assert_int_equal(load(hand, nr_keys), 0);
	assert_memory_equal(hand->values, values, sizeof(values));
	assert_int_equal(hand->tree.nr_nodes, tree.nr_nodes);
	for (uint32_t i = 0; i < tree.nr_nodes; i++)
		assert_int_equal(hand->tree.nodes[i].end_key, tree.nodes[i].end_key);
	btree_fini(&tree);
}

static void array_headers_are_checked(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		int code;
	} cases[] = {{8, 20, 0},        {8, 19, -ENODATA}, {8, 21, -EINVAL},
	             {4, 508, -EINVAL}, {12, 4, -EINVAL},  {8, 0xffffffff, -EINVAL},
	             {8, 0, -ENODATA}};
	struct damage_error damage = damage_to_error(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t value = htole32(cases[i].value);
		union metadata_block block;

		array_encode_zeros(&block, 20);
		memcpy(block.bytes + cases[i].offset, &value, 4);
		assert_int_equal(array_check(7, &block, 20, &damage.sink), cases[i].code);
	}
	assert_int_equal(array_nr_words(509, 0), 509);
	assert_int_equal(array_nr_words(510, 0), 509);
	assert_int_equal(array_nr_words(510, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(shape_is_the_kernels),
	        cmocka_unit_test(shape_keeps_the_invariants),
	        cmocka_unit_test(every_node_is_placed_once),
	        cmocka_unit_test(sizes_are_the_documented_ones),
	        cmocka_unit_test_setup_teardown(two_levels_are_read, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(wrong_keys_are_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_leaf_that_lacks_entries_is_too_little_data,
	                                        set_up, tear_down),
	        cmocka_unit_test_setup_teardown(loops_and_shared_nodes_are_refused, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(depth_is_limited, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(unparsable_nodes_are_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(encoding_and_reading_agree, set_up, tear_down),
	        cmocka_unit_test(array_headers_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
