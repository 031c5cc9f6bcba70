#include "engine_fixture.h"

#include "core/base/clock.h"
#include "core/engine/climb.h"

/* A source with so much for each connection, and for all of them together. */
struct rates {
	uint64_t each, all;
};

struct walk {
	struct climb climb;
	struct rates rates;
	unsigned int limit;
	uint64_t bytes, now_ns;
};

static void step(struct walk *walk, uint64_t ms)
{
	uint64_t rate = walk->limit * walk->rates.each;

	if (rate > walk->rates.all)
		rate = walk->rates.all;
	walk->now_ns += ms * CF_NS_PER_MS;
	walk->bytes += rate * ms / 1000;
	walk->limit = climb_next(&walk->climb, walk->limit, walk->bytes, walk->now_ns);
}

static struct walk walk_from(unsigned int limit, struct rates rates)
{
	struct walk walk = {.limit = limit, .rates = rates, .now_ns = CF_NS_PER_S};

	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	step(&walk, 500);
	assert_int_equal(walk.limit, limit);
	return walk;
}

static void connections_that_bring_more_are_taken(void **state)
{
	struct walk walk = walk_from(1, (struct rates){8 * MIB, 1024 * MIB});

	(void)state;
	for (unsigned int i = 2; i < 100; i++) {
		step(&walk, 500);
		assert_int_equal(walk.limit, i);
	}
}

/* One step too many is taken back; it is tried again after a while, and once only. */
static void what_is_full_gets_no_more(void **state)
{
	struct walk walk = walk_from(4, (struct rates){50 * MIB, 119 * MIB});
	unsigned int most = 0;
	unsigned int nr_tries = 0;

	(void)state;
	for (int i = 0; i < 60; i++) {
		unsigned int before = walk.limit;

		step(&walk, 500);
		nr_tries += walk.limit > before;
		if (walk.limit > most)
			most = walk.limit;
	}
	assert_int_equal(most, 5);
	assert_int_equal(nr_tries, 3);
	assert_int_equal(walk.limit, 4);
}

static void it_stops_where_it_is_full(void **state)
{
	struct walk walk = walk_from(1, (struct rates){10 * MIB, 75 * MIB});

	(void)state;
	for (int i = 0; i < 20; i++)
		step(&walk, 500);
	assert_in_range(walk.limit, 8, 9);
}

static void it_goes_on_when_there_is_more(void **state)
{
	struct walk walk = walk_from(4, (struct rates){50 * MIB, 119 * MIB});

	(void)state;
	for (int i = 0; i < 4; i++)
		step(&walk, 500);
	assert_int_equal(walk.limit, 4);
	walk.rates.all = 1000 * MIB;
	for (int i = 0; i < 30; i++)
		step(&walk, 500);
	assert_true(walk.limit > 10);
}

/* A step that was not its own is not held against it. */
static void a_change_from_outside_begins_anew(void **state)
{
	struct walk walk = walk_from(12, (struct rates){8 * MIB, 1024 * MIB});

	(void)state;
	step(&walk, 500);
	assert_int_equal(walk.limit, 13);
	walk.limit = 6;
	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	/* Those that were let go have something to say still. */
	walk.bytes += 64 * MIB;
	step(&walk, 500);
	assert_int_equal(walk.limit, 6);
	step(&walk, 500);
	assert_int_equal(walk.limit, 7);
	step(&walk, 500);
	assert_int_equal(walk.limit, 8);
}

static void what_was_full_is_forgotten_then(void **state)
{
	struct walk walk = walk_from(4, (struct rates){50 * MIB, 119 * MIB});

	(void)state;
	step(&walk, 500);
	step(&walk, 500);
	assert_int_equal(walk.limit, 4);
	walk.limit = 2;
	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	for (int i = 0; i < 3; i++)
		step(&walk, 500);
	assert_int_equal(walk.limit, 4);
}

static void nothing_at_all_is_no_reason_to_step_back(void **state)
{
	struct walk walk = walk_from(1, (struct rates){0, 0});

	(void)state;
	assert_int_equal(climb_next(&walk.climb, 1, 0, walk.now_ns), 2);
	assert_int_equal(climb_next(&walk.climb, 2, 0, walk.now_ns), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(connections_that_bring_more_are_taken),
	        cmocka_unit_test(what_is_full_gets_no_more),
	        cmocka_unit_test(it_stops_where_it_is_full),
	        cmocka_unit_test(it_goes_on_when_there_is_more),
	        cmocka_unit_test(a_change_from_outside_begins_anew),
	        cmocka_unit_test(what_was_full_is_forgotten_then),
	        cmocka_unit_test(nothing_at_all_is_no_reason_to_step_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
