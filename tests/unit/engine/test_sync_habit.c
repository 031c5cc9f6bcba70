#include "engine_fixture.h"

#include "core/engine/sync_habit.h"

/* How many of @nr writes a sync is expected for; then that sync comes. */
static unsigned int write_and_sync(struct sync_habit *habit, unsigned int nr)
{
	unsigned int nr_expected = 0;

	for (unsigned int i = 0; i < nr; i++)
		nr_expected += sync_habit_changed(habit);
	sync_habit_synced(habit);
	return nr_expected;
}

/* Without a habit so far: of syncing after each write. */
static void get_used_to(struct sync_habit *habit)
{
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(write_and_sync(habit, 1), 0);
	assert_int_equal(write_and_sync(habit, 1), 1);
}

static void a_few_pairs_in_a_row_make_a_habit(void **state)
{
	struct sync_habit habit;

	(void)state;
	sync_habit_init(&habit);
	get_used_to(&habit);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(write_and_sync(&habit, 1), 1);
}

static void a_sync_of_two_writes_ends_it(void **state)
{
	struct sync_habit habit;

	(void)state;
	sync_habit_init(&habit);
	get_used_to(&habit);
	/* The first, before the other is known. */
	assert_int_equal(write_and_sync(&habit, 2), 1);
	get_used_to(&habit);
}

static void who_never_syncs_has_none(void **state)
{
	struct sync_habit habit;

	(void)state;
	sync_habit_init(&habit);
	for (unsigned int i = 0; i < 1000; i++)
		assert_false(sync_habit_changed(&habit));
}

static void syncs_of_nothing_say_nothing(void **state)
{
	struct sync_habit habit;

	(void)state;
	sync_habit_init(&habit);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(write_and_sync(&habit, 0), 0);
	get_used_to(&habit);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(write_and_sync(&habit, 0), 0);
	assert_true(sync_habit_changed(&habit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_few_pairs_in_a_row_make_a_habit),
	        cmocka_unit_test(a_sync_of_two_writes_ends_it),
	        cmocka_unit_test(who_never_syncs_has_none),
	        cmocka_unit_test(syncs_of_nothing_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
