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

/* Half a second. */
static void look(struct walk *walk)
{
	uint64_t rate = walk->limit * walk->rates.each;

	walk->now_ns += CF_NS_PER_S / 2;
	walk->bytes += (rate < walk->rates.all ? rate : walk->rates.all) / 2;
	walk->limit = climb_next(&walk->climb, walk->limit, walk->bytes, walk->now_ns);
}

/* At the first look at a limit nothing happens. */
static void step(struct walk *walk)
{
	unsigned int before = walk->limit;

	look(walk);
	assert_int_equal(walk->limit, before);
	look(walk);
}

static struct walk walk_from(unsigned int limit, struct rates rates)
{
	struct walk walk = {.limit = limit, .rates = rates, .now_ns = CF_NS_PER_S};

	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	return walk;
}

static void connections_that_bring_more_are_taken(void **state)
{
	static const unsigned int limits[] = {2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22};
	struct walk walk = walk_from(1, (struct rates){8 * MIB, 1024 * MIB});

	(void)state;
	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		step(&walk);
		assert_int_equal(walk.limit, limits[i]);
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

		look(&walk);
		nr_tries += walk.limit > before;
		/* That it becomes less meanwhile is not held against what was before the step. */
		if (walk.limit < before)
			walk.rates.all = 100 * MIB;
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
	for (int i = 0; i < 40; i++)
		look(&walk);
	assert_in_range(walk.limit, 8, 10);
}

/* From 8 to 10 is a quarter more: an eighth of the bytes has to show. */
static void half_of_what_a_step_could_bring_has_to_show(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct walk walk = walk_from(8, (struct rates){8 * MIB, 1024 * MIB});

		step(&walk);
		assert_int_equal(walk.limit, 10);
		walk.rates.all = 8 * 8 * MIB * (i ? 1130 : 1120) / 1000;
		step(&walk);
		assert_int_equal(walk.limit, i ? 12 : 8);
	}
}

static void a_new_connection_may_begin_slowly(void **state)
{
	struct walk walk = walk_from(4, (struct rates){8 * MIB, 1024 * MIB});

	(void)state;
	step(&walk);
	assert_int_equal(walk.limit, 5);
	walk.rates.all = 4 * 8 * MIB;
	look(&walk);
	walk.rates.all = 1024 * MIB;
	look(&walk);
	assert_int_equal(walk.limit, 6);
}

/* Four fill the source, and one more was in vain. */
static struct walk walk_on_full(void)
{
	struct walk walk = walk_from(4, (struct rates){50 * MIB, 119 * MIB});

	step(&walk);
	assert_int_equal(walk.limit, 5);
	step(&walk);
	assert_int_equal(walk.limit, 4);
	return walk;
}

static void it_goes_on_when_there_is_more(void **state)
{
	struct walk walk = walk_on_full();

	(void)state;
	walk.rates.all = 1000 * MIB;
	for (int i = 0; i < 40; i++)
		look(&walk);
	assert_true(walk.limit > 10);
}

/* A step that was not its own is not held against it. */
static void a_change_from_outside_begins_anew(void **state)
{
	struct walk walk = walk_from(12, (struct rates){8 * MIB, 1024 * MIB});

	(void)state;
	step(&walk);
	assert_int_equal(walk.limit, 15);
	walk.limit = 6;
	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	/* Those that were let go have something to say still. */
	walk.bytes += 64 * MIB;
	step(&walk);
	assert_int_equal(walk.limit, 7);
	step(&walk);
	assert_int_equal(walk.limit, 8);
}

static void what_was_full_is_forgotten_then(void **state)
{
	struct walk walk = walk_on_full();

	(void)state;
	walk.limit = 2;
	climb_begin(&walk.climb, walk.bytes, walk.now_ns);
	step(&walk);
	assert_int_equal(walk.limit, 3);
}

static void nothing_at_all_is_no_reason_to_step_back(void **state)
{
	struct walk walk = walk_from(1, (struct rates){0, 0});

	(void)state;
	step(&walk);
	assert_int_equal(walk.limit, 2);
	step(&walk);
	assert_int_equal(walk.limit, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(connections_that_bring_more_are_taken),
	        cmocka_unit_test(what_is_full_gets_no_more),
	        cmocka_unit_test(it_stops_where_it_is_full),
	        cmocka_unit_test(half_of_what_a_step_could_bring_has_to_show),
	        cmocka_unit_test(a_new_connection_may_begin_slowly),
	        cmocka_unit_test(it_goes_on_when_there_is_more),
	        cmocka_unit_test(a_change_from_outside_begins_anew),
	        cmocka_unit_test(what_was_full_is_forgotten_then),
	        cmocka_unit_test(nothing_at_all_is_no_reason_to_step_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
