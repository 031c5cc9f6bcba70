#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/backoff.h"
#include "core/base/clock.h"

static void it_grows_to_a_limit(void **state)
{
	static const struct {
		unsigned int attempts;
		uint64_t most_ms;
	} cases[] = {{0, 100}, {1, 200}, {5, 3200}, {6, 5000}, {7, 5000}, {UINT32_MAX, 5000}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t most = 0;

		for (int n = 0; n < 200; n++) {
			uint64_t ns = backoff_ns(cases[i].attempts);

			assert_true(ns < cases[i].most_ms * CF_NS_PER_MS);
			most = ns > most ? ns : most;
		}
		/* All of 200 below the half: less likely than 1 in 10^60. */
		assert_true(most >= cases[i].most_ms * CF_NS_PER_MS / 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_grows_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
