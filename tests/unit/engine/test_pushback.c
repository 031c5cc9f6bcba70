#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/engine/pushback.h"

#define AT(seconds) ((uint64_t)((1000 + (seconds)) * (double)CF_NS_PER_S))

/* A source that served @others when it refused one. */
static struct pushback refused_beside(unsigned int others)
{
	struct pushback pushback;

	pushback_init(&pushback);
	pushback_refused(&pushback, others, AT(0));
	return pushback;
}

static void nothing_is_known_at_first(void **state)
{
	struct pushback pushback;

	(void)state;
	pushback_init(&pushback);
	pushback_served(&pushback, AT(0));
	assert_int_equal(pushback.limit, UINT_MAX);
}

static void as_many_as_are_served_are_the_limit(void **state)
{
	struct pushback pushback = refused_beside(11);

	(void)state;
	assert_int_equal(pushback.limit, 11);
	pushback_refused(&pushback, 4, AT(0));
	assert_int_equal(pushback.limit, 4);
	/* Somebody else's requests are over: that more run than were allowed proves nothing. */
	pushback_refused(&pushback, 6, AT(0));
	assert_int_equal(pushback.limit, 4);
}

static void one_more_is_tried_every_two_seconds(void **state)
{
	struct pushback pushback = refused_beside(4);

	(void)state;
	pushback_served(&pushback, AT(1.9));
	assert_int_equal(pushback.limit, 4);
	pushback_served(&pushback, AT(2.1));
	pushback_served(&pushback, AT(2.2));
	assert_int_equal(pushback.limit, 5);
	pushback_served(&pushback, AT(4.0));
	assert_int_equal(pushback.limit, 5);
	/* It does not add up while nothing is asked for. */
	pushback_served(&pushback, AT(20));
	assert_int_equal(pushback.limit, 6);
	pushback_refused(&pushback, 5, AT(21));
	pushback_served(&pushback, AT(22.9));
	assert_int_equal(pushback.limit, 5);
	pushback_served(&pushback, AT(23));
	assert_int_equal(pushback.limit, 6);
}

static void half_a_minute_without_a_refusal_ends_it(void **state)
{
	struct pushback pushback = refused_beside(4);

	(void)state;
	pushback_refused(&pushback, 4, AT(10));
	pushback_served(&pushback, AT(39.9));
	assert_int_equal(pushback.limit, 5);
	pushback_served(&pushback, AT(40));
	assert_int_equal(pushback.limit, UINT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_is_known_at_first),
	        cmocka_unit_test(as_many_as_are_served_are_the_limit),
	        cmocka_unit_test(one_more_is_tried_every_two_seconds),
	        cmocka_unit_test(half_a_minute_without_a_refusal_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
