#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/geometry.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static void region_sizes_are_powers_of_two_from_4k_to_1g(void **state)
{
	static const struct {
		uint64_t size;
		bool valid;
	} cases[] = {
	        {0, false},
	        {1, false},
	        {512, false},
	        {2048, false},
	        {4095, false},
	        {4096, true},
	        {4097, false},
	        {12288, false},
	        {65536, true},
	        {UINT64_C(1) << 30, true},
	        {(UINT64_C(1) << 30) + 4096, false},
	        {UINT64_C(1) << 31, false},
	        {UINT64_C(1) << 63, false},
	        {UINT64_MAX, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (region_size_is_valid(cases[i].size) != cases[i].valid)
			fail_msg("%llu", (unsigned long long)cases[i].size);
}

static void regions_cover_the_image_without_gap_or_overlap(void **state)
{
	static const struct {
		uint64_t size, region_size, nr_regions, last_length;
	} cases[] = {
	        {1, 4096, 1, 1},
	        {4095, 4096, 1, 4095},
	        {4096, 4096, 1, 4096},
	        {4097, 4096, 2, 1},
	        {1000003, 65536, 16, 16963},
	        {1048576, 65536, 16, 65536},
	        {(UINT64_C(1) << 44) + 1, UINT64_C(1) << 30, (UINT64_C(1) << 14) + 1, 1},
	        {UINT64_C(1) << 43, 4096, UINT64_C(1) << 31, 4096},
	        {INT64_MAX, UINT64_C(1) << 30, UINT64_C(1) << 33, (UINT64_C(1) << 30) - 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct geometry g = geometry_make(cases[i].size, cases[i].region_size);
		uint64_t last = cases[i].nr_regions - 1;

		assert_int_equal(g.nr_regions, cases[i].nr_regions);
		assert_int_equal(geometry_region_size(&g), cases[i].region_size);
		assert_int_equal(geometry_region_start(&g, 0), 0);
		assert_int_equal(geometry_region_length(&g, last), cases[i].last_length);
		assert_int_equal(geometry_region_end(&g, last), cases[i].size);
		assert_int_equal(geometry_region_of(&g, cases[i].size - 1), last);
		assert_int_equal(geometry_region_of(&g, geometry_region_start(&g, last)), last);
		if (last) {
			assert_int_equal(geometry_region_end(&g, last - 1),
			                 geometry_region_start(&g, last));
			assert_int_equal(geometry_region_length(&g, 0), cases[i].region_size);
			assert_int_equal(
			        geometry_region_of(&g, geometry_region_start(&g, last) - 1),
			        last - 1);
		}
	}
}

static void sectors_are_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(geometry_target_sectors(1), 1);
	assert_int_equal(geometry_target_sectors(512), 1);
	assert_int_equal(geometry_target_sectors(513), 2);
	assert_int_equal(geometry_target_sectors(UINT64_MAX), UINT64_C(1) << 55);
}

static void whole_regions_are_those_inside(void **state)
{
	/* 10 regions of 4096, the last one of 100 bytes. */
	const struct geometry g = geometry_make(9 * 4096 + 100, 4096);
	static const struct {
		uint64_t offset, length, first, count;
	} cases[] = {
	        {0, 0, 0, 0},
	        {0, 1, 0, 0},
	        {0, 4095, 0, 0},
	        {0, 4096, 0, 1},
	        {0, 4097, 0, 1},
	        {1, 4096, 1, 0},
	        {1, 8191, 1, 1},
	        {4095, 4098, 1, 1},
	        {4096, 8192, 1, 2},
	        {100, 3 * 4096, 1, 2},
	        {0, 9 * 4096 + 100, 0, 10}, /* all, the short one too */
	        {9 * 4096, 100, 9, 1},      /* just the short one */
	        {9 * 4096, 99, 9, 0},
	        {9 * 4096 + 1, 99, 10, 0},
	        {8 * 4096 + 1, 4095 + 100, 9, 1},
	        {8 * 4096, 4096 + 99, 8, 1},
	        {9 * 4096 + 100, 0, 10, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t first = 77;
		uint64_t count =
		        geometry_whole_regions(&g, cases[i].offset, cases[i].length, &first);

		if (count != cases[i].count || (count && first != cases[i].first))
			fail_msg("case %zu: first %llu count %llu", i, (unsigned long long)first,
			         (unsigned long long)count);
	}
}

/* Against the definition, for every range of a small image. */
static void whole_regions_agree_with_counting(void **state)
{
	for (uint64_t size = 4 * 4096 - 3; size <= 4 * 4096 + 3; size++) {
		const struct geometry g = geometry_make(size, 4096);
		static const uint64_t edges[] = {0,    1,    4095,  4096,  4097,
		                                 8191, 8192, 12287, 12288, 16384};

		for (size_t a = 0; a < ARRAY_SIZE(edges); a++) {
			for (uint64_t end = edges[a]; end <= size; end += end < 16380 ? 511 : 1) {
				uint64_t first, found, expected = 0;

				found = geometry_whole_regions(&g, edges[a], end - edges[a],
				                               &first);
				for (uint64_t r = 0; r < g.nr_regions; r++)
					if (geometry_region_start(&g, r) >= edges[a] &&
					    geometry_region_end(&g, r) <= end)
						expected++;
				if (found != expected)
					fail_msg("size %llu, [%llu, %llu)",
					         (unsigned long long)size,
					         (unsigned long long)edges[a],
					         (unsigned long long)end);
			}
		}
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(region_sizes_are_powers_of_two_from_4k_to_1g),
	        cmocka_unit_test(regions_cover_the_image_without_gap_or_overlap),
	        cmocka_unit_test(sectors_are_rounded_up),
	        cmocka_unit_test(whole_regions_are_those_inside),
	        cmocka_unit_test(whole_regions_agree_with_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
