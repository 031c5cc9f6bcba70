#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "daemon/opens.h"

#define BACKING 7

struct kernel {
	unsigned int nr_asked;
	int answer;
};

static struct kernel kernel;
static struct opens opens;

static int attach(void *user)
{
	struct kernel *asked = user;

	asked->nr_asked++;
	return asked->answer;
}

static struct open_grant begin(bool may_pass, bool writes)
{
	const struct open_wish wish = {
	        .writes = writes,
	        .may_pass = may_pass,
	        .attach = attach,
	        .user = &kernel,
	};

	return opens_begin(&opens, &wish);
}

static int setup(void **state)
{
	(void)state;
	kernel = (struct kernel){.answer = BACKING};
	opens_init(&opens);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opens_fini(&opens);
	return 0;
}

/* Opens: p may be passed and reads, w may be passed and writes; c and d are the same, not to be
 * passed. -C, -P, -D: one that was served so is released. Ways: cached, passed, direct, released.
 */
static void each_sequence_has_its_ways(void **state)
{
	static const struct {
		const char *opens, *ways;
	} cases[] = {
	        {"pp", "PP"},         {"wp", "CC"},         {"cp", "CC"},
	        {"pw", "PD"},         {"pc", "PD"},         {"pd", "PD"},
	        {"pwp", "PDP"},       {"pw-Pp", "PD-P"},    {"p-Pw", "P-C"},
	        {"w-Cp", "C-P"},      {"wp-Cp", "CC-C"},    {"wp-C-Cp", "CC--P"},
	        {"pw-P-Dp", "PD--P"}, {"pw-P-Dw", "PD--C"}, {"c-Cp-Pd", "C-P-C"},
	        {"dc", "CC"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const char letters[] = {
		        [OPEN_CACHED] = 'C',
		        [OPEN_PASSED] = 'P',
		        [OPEN_DIRECT] = 'D',
		};
		char ways[16] = "";
		size_t nr = 0;

		(void)setup(state);
		for (const char *at = cases[i].opens; *at; at++) {
			struct open_grant grant;

			if (*at == '-') {
				at++;
				opens_end(&opens, *at == 'C'   ? OPEN_CACHED
				                  : *at == 'P' ? OPEN_PASSED
				                               : OPEN_DIRECT);
				ways[nr++] = '-';
				continue;
			}
			grant = begin(*at == 'p' || *at == 'w', *at == 'w' || *at == 'd');
			ways[nr++] = letters[grant.way];
			assert_int_equal(grant.backing, grant.way == OPEN_CACHED ? 0 : BACKING);
			assert_int_equal(grant.refused, 0);
		}
		if (strcmp(ways, cases[i].ways) != 0)
			fail_msg("%s: %s instead of %s", cases[i].opens, ways, cases[i].ways);
		(void)teardown(state);
	}
}

static void the_destination_is_made_known_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(begin(true, false).way, OPEN_PASSED);
		opens_end(&opens, OPEN_PASSED);
	}
	assert_int_equal(kernel.nr_asked, 1);
}

static void a_refusal_is_told_once_and_final(void **state)
{
	struct open_grant grant;

	(void)state;
	kernel.answer = -EIO;
	grant = begin(true, false);
	assert_int_equal(grant.way, OPEN_CACHED);
	assert_int_equal(grant.refused, -EIO);
	opens_end(&opens, OPEN_CACHED);
	kernel.answer = BACKING;
	grant = begin(true, false);
	assert_int_equal(grant.way, OPEN_CACHED);
	assert_int_equal(grant.refused, 0);
	assert_int_equal(kernel.nr_asked, 1);
}

static void without_the_kernel_nothing_is_passed_or_asked(void **state)
{
	(void)state;
	opens_never_pass(&opens);
	assert_int_equal(begin(true, false).way, OPEN_CACHED);
	assert_int_equal(kernel.nr_asked, 0);
}

static void who_may_not_pass_is_not_asked_for(void **state)
{
	(void)state;
	assert_int_equal(begin(false, false).way, OPEN_CACHED);
	assert_int_equal(begin(true, true).way, OPEN_CACHED);
	assert_int_equal(kernel.nr_asked, 0);
}

static void what_was_cached_is_kept_until_somebody_could_write_past_it(void **state)
{
	(void)state;
	assert_true(begin(true, true).keep_cache);
	opens_end(&opens, OPEN_CACHED);
	/* A direct reader changes nothing. */
	assert_int_equal(begin(true, false).way, OPEN_PASSED);
	assert_int_equal(begin(false, false).way, OPEN_DIRECT);
	opens_end(&opens, OPEN_DIRECT);
	opens_end(&opens, OPEN_PASSED);
	assert_true(begin(true, true).keep_cache);
	opens_end(&opens, OPEN_CACHED);
	assert_int_equal(begin(true, false).way, OPEN_PASSED);
	assert_int_equal(begin(true, true).way, OPEN_DIRECT);
	opens_end(&opens, OPEN_DIRECT);
	opens_end(&opens, OPEN_PASSED);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(begin(true, true).way, OPEN_CACHED);
		assert_false(begin(true, true).keep_cache);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_sequence_has_its_ways),
	        cmocka_unit_test_setup_teardown(the_destination_is_made_known_once, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(a_refusal_is_told_once_and_final, setup, teardown),
	        cmocka_unit_test_setup_teardown(without_the_kernel_nothing_is_passed_or_asked,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(who_may_not_pass_is_not_asked_for, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                what_was_cached_is_kept_until_somebody_could_write_past_it, setup,
	                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
