#include "metadata_fixture.h"

#include "core/metadata/region_map.h"

#define NR 100003u /* four array blocks, no multiple of 64 */

static int set_up(void **state)
{
	static struct region_map map;

	*state = &map;
	return region_map_init(&map, NR);
}

static int tear_down(void **state)
{
	region_map_fini(*state);
	return 0;
}

static void ranges_set_exactly_their_regions(void **state)
{
	static const struct {
		uint64_t first, nr;
	} cases[] = {{0, 1},     {63, 1},        {63, 2},     {64, 64},      {1, 62}, {5, 200},
	             {32575, 2}, {32576, 32576}, {NR - 1, 1}, {NR - 70, 70}, {0, NR}, {99968, 35}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t first = cases[i].first, end = first + cases[i].nr;
		struct region_map map;

		assert_int_equal(region_map_init(&map, NR), 0);
		region_map_set_range_locked(&map, first, cases[i].nr);
		for (uint64_t region = 0; region < NR; region++)
			assert_int_equal(region_map_test(&map, region),
			                 region >= first && region < end);
		assert_int_equal(map.nr_hydrated, cases[i].nr);
		assert_int_equal(region_map_find(&map, 0, true), first);
		assert_int_equal(region_map_find(&map, first, false), end);
		assert_int_equal(region_map_find(&map, end, true), NR);
		assert_true(region_map_test_range(&map, first, cases[i].nr));
		if (end < NR)
			assert_false(region_map_test_range(&map, first, cases[i].nr + 1));
		if (first > 0)
			assert_false(region_map_test_range(&map, first - 1, cases[i].nr + 1));
		region_map_fini(&map);
	}
}

static void finding_from_the_end_finds_nothing(void **state)
{
	struct region_map *map = *state;

	assert_int_equal(region_map_find(map, NR, false), NR);
	assert_int_equal(region_map_find(map, UINT64_MAX, false), NR);
	assert_int_equal(region_map_find(map, NR - 1, false), NR - 1);
	assert_int_equal(region_map_find(map, 0, true), NR);
}

static void setting_again_marks_nothing(void **state)
{
	struct region_map *map = *state;

	region_map_set_range_locked(map, 10, 5);
	region_map_swap_locked(map);
	region_map_set_range_locked(map, 8, 8);
	assert_int_equal(map->nr_hydrated, 8);
	/* Invariant (2): 10 to 14 stay in the frozen set only. */
	assert_int_equal(region_map_frozen_words(map, 0)[0], UINT64_C(0x7c00));
	assert_int_equal(map->sets[map->current].words[0], UINT64_C(0x8300));
}

static void swap_freezes_what_was_marked(void **state)
{
	struct region_map *map = *state;

	assert_false(region_map_changed_locked(map));
	region_map_set_range_locked(map, 32575, 2);
	region_map_set_range_locked(map, NR - 1, 1);
	assert_int_equal(region_map_frozen_nr_arrays(map), 0);
	region_map_swap_locked(map);
	assert_true(region_map_changed_locked(map));
	assert_int_equal(region_map_frozen_nr_arrays(map), 3);
	assert_int_equal(region_map_frozen_next(map, 0), 0);
	assert_int_equal(region_map_frozen_next(map, 1), 1);
	assert_int_equal(region_map_frozen_next(map, 2), 3);
	assert_int_equal(region_map_frozen_next(map, 4), map->nr_arrays);
	assert_int_equal(region_map_frozen_words(map, 0)[508], UINT64_C(1) << 63);
	assert_int_equal(region_map_frozen_words(map, 1)[0], 1);
}

static void removing_all_arrays_empties_the_frozen_set(void **state)
{
	struct region_map *map = *state;

	region_map_set_range_locked(map, 0, NR);
	region_map_swap_locked(map);
	for (uint32_t array = 0; array < map->nr_arrays; array++) {
		region_map_frozen_remove(map, array);
		region_map_frozen_remove(map, array);
	}
	assert_int_equal(region_map_frozen_nr_arrays(map), 0);
	region_map_frozen_done_locked(map);
	assert_false(region_map_changed_locked(map));
	assert_int_equal(map->nr_hydrated, NR);
	region_map_swap_locked(map);
	assert_int_equal(region_map_frozen_nr_arrays(map), 0);
}

static void forgetting_keeps_the_map(void **state)
{
	struct region_map *map = *state;

	region_map_set_range_locked(map, 100, 10);
	region_map_swap_locked(map);
	region_map_set_range_locked(map, 70000, 10);
	region_map_forget_locked(map);
	assert_false(region_map_changed_locked(map));
	assert_int_equal(map->nr_hydrated, 20);
	assert_true(region_map_test(map, 70005));
	region_map_swap_locked(map);
	assert_int_equal(region_map_frozen_nr_arrays(map), 0);
}

static void replacing_clears_bits_and_counts(void **state)
{
	const uint64_t words[3] = {0, 0xff, UINT64_MAX};
	struct region_map *map = *state;

	region_map_set_range_locked(map, 0, 256);
	region_map_replace_locked(map, 0, words, 3);
	assert_int_equal(map->nr_hydrated, 8 + 64 + 64);
	assert_false(region_map_test(map, 63));
	assert_true(region_map_test(map, 71));
	assert_false(region_map_test(map, 72));
	assert_true(region_map_test(map, 255));
}

/* More array blocks than a set keeps memory for, so that it is given back and used again. */
static void a_large_set_is_empty_after_its_memory_was_given_back(void **state)
{
	const uint64_t nr = UINT64_C(32576) * 1100;
	struct region_map map;

	(void)state;
	assert_int_equal(region_map_init(&map, nr), 0);
	for (int round = 0; round < 2; round++) {
		for (uint64_t array = 0; array < map.nr_arrays; array++)
			region_map_set_range_locked(&map, array * 32576 + (uint64_t)round, 1);
		region_map_swap_locked(&map);
		assert_int_equal(region_map_frozen_nr_arrays(&map), map.nr_arrays);
		for (uint32_t array = 0; array < map.nr_arrays; array++) {
			assert_int_equal(region_map_frozen_words(&map, array)[0], UINT64_C(1)
			                                                                  << round);
			region_map_frozen_remove(&map, array);
		}
		region_map_frozen_done_locked(&map);
		region_map_swap_locked(&map);
	}
	assert_int_equal(map.nr_hydrated, 2 * map.nr_arrays);
	region_map_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ranges_set_exactly_their_regions),
	        cmocka_unit_test_setup_teardown(finding_from_the_end_finds_nothing, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(setting_again_marks_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(swap_freezes_what_was_marked, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(removing_all_arrays_empties_the_frozen_set, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(forgetting_keeps_the_map, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(replacing_clears_bits_and_counts, set_up,
	                                        tear_down),
	        cmocka_unit_test(a_large_set_is_empty_after_its_memory_was_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
