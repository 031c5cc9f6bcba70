#include "engine_fixture.h"

#include "core/engine/written.h"

#define NR_REGIONS (UINT64_C(100000))

static void both_sets_count_and_the_frozen_one_is_forgotten(void **state)
{
	struct written written;

	(void)state;
	assert_int_equal(written_init(&written, NR_REGIONS), 0);
	assert_true(written_is_empty(&written));
	written_mark(&written, 5, 3);
	written_freeze(&written);
	written_mark(&written, 7, 2);
	written_mark(&written, NR_REGIONS - 1, 1);
	assert_int_equal(written_count(&written), 5);
	assert_true(written_test(&written, 0, 6));
	assert_false(written_test(&written, 9, 1000));
	assert_true(written_test(&written, NR_REGIONS - 1, 1));
	written_forget_frozen(&written);
	assert_int_equal(written_count(&written), 3);
	assert_false(written_test(&written, 5, 2));
	assert_true(written_test(&written, 7, 1));
	written_freeze(&written);
	written_forget_frozen(&written);
	assert_true(written_is_empty(&written));
	assert_int_equal(written_count(&written), 0);
	written_fini(&written);
}

static bool is_even(void *user, uint64_t region)
{
	(void)user;
	return region % 2 == 0;
}

static void what_is_safe_leaves_both_sets(void **state)
{
	struct written written;
	char text[64];

	(void)state;
	assert_int_equal(written_init(&written, NR_REGIONS), 0);
	written_mark(&written, 10, 4);
	written_freeze(&written);
	written_mark(&written, 12, 4);
	written_forget_if(&written, is_even, NULL);
	assert_string_equal(written_describe(&written, text, sizeof(text)), "11, 13, 15");
	written_fini(&written);
}

static void ranges_are_named_and_cut_where_the_text_is_full(void **state)
{
	struct written written;
	char text[24];
	char tiny[8];

	(void)state;
	assert_int_equal(written_init(&written, NR_REGIONS), 0);
	assert_string_equal(written_describe(&written, text, sizeof(text)), "");
	written_mark(&written, 3, 3);
	written_mark(&written, 70000, 1);
	assert_string_equal(written_describe(&written, text, sizeof(text)), "3-5, 70000");
	written_mark(&written, 80000, 20000);
	assert_string_equal(written_describe(&written, text, sizeof(text)), "3-5, 70000, ...");
	written_mark(&written, 0, NR_REGIONS);
	assert_string_equal(written_describe(&written, tiny, sizeof(tiny)), "...");
	assert_int_equal(written_count(&written), NR_REGIONS);
	written_fini(&written);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_sets_count_and_the_frozen_one_is_forgotten),
	        cmocka_unit_test(what_is_safe_leaves_both_sets),
	        cmocka_unit_test(ranges_are_named_and_cut_where_the_text_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
