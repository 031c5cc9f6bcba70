#include "metadata_fixture.h"

#include <endian.h>

#include "core/metadata/space_map.h"

static void blocks_are_handed_out_ascending_and_wrap_around(void **state)
{
	struct space_map map;
	uint64_t block;

	(void)state;
	assert_int_equal(space_map_init(&map, 5), 0);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(space_map_alloc(&map, &block), 0);
		assert_int_equal(block, i);
	}
	assert_int_equal(space_map_alloc(&map, &block), -ENOSPC);
	space_map_release(&map, 1);
	space_map_release(&map, 3);
	space_map_reclaim(&map, 1);
	space_map_reclaim(&map, 3);
	assert_int_equal(space_map_alloc(&map, &block), 0);
	assert_int_equal(block, 1);
	assert_int_equal(space_map_alloc(&map, &block), 0);
	assert_int_equal(block, 3);
	space_map_fini(&map);
}

/* Invariant (1) */
static void a_released_block_stays_busy_until_reclaimed(void **state)
{
	struct space_map map;
	uint64_t block;

	(void)state;
	assert_int_equal(space_map_init(&map, 2), 0);
	assert_int_equal(space_map_alloc(&map, &block), 0);
	assert_int_equal(space_map_alloc(&map, &block), 0);
	space_map_release(&map, 0);
	assert_int_equal(space_map_count(&map, 0), 0);
	assert_int_equal(map.nr_allocated, 1);
	assert_int_equal(map.nr_available, 0);
	assert_int_equal(space_map_alloc(&map, &block), -ENOSPC);
	space_map_reclaim(&map, 0);
	assert_int_equal(space_map_alloc(&map, &block), 0);
	assert_int_equal(block, 0);
	space_map_fini(&map);
}

static void undo_restores_counts_and_totals(void **state)
{
	struct space_map map;
	uint64_t first, second;

	(void)state;
	assert_int_equal(space_map_init(&map, 100), 0);
	assert_int_equal(space_map_alloc(&map, &first), 0);
	assert_int_equal(space_map_alloc(&map, &second), 0);
	space_map_release(&map, first);
	space_map_undo_release(&map, first, 1);
	space_map_undo_alloc(&map, second);
	assert_int_equal(map.nr_allocated, 1);
	assert_int_equal(map.nr_available, 99);
	assert_int_equal(space_map_count(&map, first), 1);
	assert_int_equal(space_map_count(&map, second), 0);
	space_map_fini(&map);
}

/* Invariant (2) */
static void counts_above_one_fall_by_one_and_three_stays(void **state)
{
	struct space_map map;

	(void)state;
	assert_int_equal(space_map_init(&map, 8), 0);
	space_map_undo_release(&map, 4, 2);
	space_map_undo_release(&map, 5, 3);
	assert_int_equal(space_map_count(&map, 4), 2);
	assert_int_equal(space_map_count(&map, 5), 3);
	space_map_release(&map, 4);
	space_map_release(&map, 5);
	assert_int_equal(space_map_count(&map, 4), 1);
	assert_int_equal(space_map_count(&map, 5), 3);
	space_map_fini(&map);
}

/* The bytes of the format's description: 0xAA for four counts of 1; the lower bit is worth two. */
static void counts_have_the_documented_bits(void **state)
{
	static const struct {
		unsigned int count;
		uint8_t byte;
	} cases[] = {{0, 0x00}, {1, 0x08}, {2, 0x04}, {3, 0x0c}};
	union metadata_block block;
	struct space_map map;
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(space_map_init(&map, 16), 0);
		space_map_undo_release(&map, 1, cases[i].count);
		space_map_encode_bitmap(&map, 0, &block);
		assert_int_equal(block.bytes[16], cases[i].byte);
		space_map_fini(&map);
	}
	assert_int_equal(space_map_init(&map, 16), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(space_map_alloc(&map, &got), 0);
	space_map_encode_bitmap(&map, 0, &block);
	assert_int_equal(block.bytes[16], 0xAA);
	assert_int_equal(block.bytes[17], 0);
	space_map_fini(&map);
}

static void hint_follows_the_kernels_rules(void **state)
{
	union metadata_block block;
	struct space_map map;
	uint64_t got;

	(void)state;
	assert_int_equal(space_map_init(&map, 20000), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(space_map_alloc(&map, &got), 0);
	assert_int_equal(map.bitmaps[0].none_free_before, 6);
	space_map_release(&map, 4);
	space_map_release(&map, 2);
	assert_int_equal(map.bitmaps[0].none_free_before, 2);
	space_map_reclaim(&map, 2);
	assert_int_equal(space_map_alloc(&map, &got), 0);
	assert_int_equal(got, 6);
	assert_int_equal(map.bitmaps[0].none_free_before, 2);
	space_map_encode_index(&map, &block);
	assert_int_equal(le32toh(block.index.entries[0].nr_free), 16320 - 5);
	assert_int_equal(le32toh(block.index.entries[1].nr_free), 16320);
	assert_int_equal(le32toh(block.index.entries[0].none_free_before), 2);
	assert_int_equal(block.index.entries[2].nr_free, 0);
	space_map_fini(&map);
}

static void bitmaps_needed(void **state)
{
	(void)state;
	assert_int_equal(space_map_nr_bitmaps(1), 1);
	assert_int_equal(space_map_nr_bitmaps(16320), 1);
	assert_int_equal(space_map_nr_bitmaps(16321), 2);
	assert_int_equal(space_map_nr_bitmaps(4161600), 255);
}

static void changed_bitmaps_are_touched(void **state)
{
	struct space_map map;
	uint64_t got;

	(void)state;
	assert_int_equal(space_map_init(&map, 16322), 0);
	map.cursor = 16320;
	assert_int_equal(space_map_alloc(&map, &got), 0);
	assert_int_equal(got, 16320);
	assert_false(map.bitmaps[0].touched);
	assert_true(map.bitmaps[1].touched);
	space_map_end_transaction(&map);
	assert_false(map.bitmaps[1].touched);
	space_map_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(blocks_are_handed_out_ascending_and_wrap_around),
	        cmocka_unit_test(a_released_block_stays_busy_until_reclaimed),
	        cmocka_unit_test(undo_restores_counts_and_totals),
	        cmocka_unit_test(counts_above_one_fall_by_one_and_three_stays),
	        cmocka_unit_test(counts_have_the_documented_bits),
	        cmocka_unit_test(hint_follows_the_kernels_rules),
	        cmocka_unit_test(bitmaps_needed),
	        cmocka_unit_test(changed_bitmaps_are_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
