#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/control/dmsetup_line.h"

static struct control_status sample(void)
{
	return (struct control_status){
	        .mode = "rw",
	        .size = (UINT64_C(2) << 30) + 1,
	        .region_size = 65536,
	        .regions_total = 32769,
	        .regions_hydrated = 17,
	        .regions_hydrating = 3,
	        .metadata_blocks_used = 21,
	        .metadata_blocks_total = 1024,
	        .settings = {.hydration_threshold = 1024, .hydration_batch_size = 128},
	};
}

/* Expected lines are dm-clone's own, as a kernel prints them for such a table. */
static void words_are_those_of_dm_clone(void **state)
{
	struct control_status s = sample();
	char line[DMSETUP_LINE_MAX];

	(void)state;
	assert_string_equal(dmsetup_line(&s, line),
	                    "0 4194305 clone 8 21/1024 128 17/32769 3 0 4 hydration_threshold 1024 "
	                    "hydration_batch_size 128 rw");
	s.no_hydration = true;
	assert_string_equal(dmsetup_line(&s, line),
	                    "0 4194305 clone 8 21/1024 128 17/32769 3 1 no_hydration 4 "
	                    "hydration_threshold 1024 hydration_batch_size 128 rw");
	s.no_discard_passdown = true;
	s.mode = "ro";
	assert_string_equal(dmsetup_line(&s, line),
	                    "0 4194305 clone 8 21/1024 128 17/32769 3 2 no_hydration "
	                    "no_discard_passdown 4 hydration_threshold 1024 hydration_batch_size "
	                    "128 ro");
	s.mode = "fail";
	assert_string_equal(dmsetup_line(&s, line), "0 4194305 clone Fail");
}

static void longest_line_fits(void **state)
{
	struct control_status s = {
	        .mode = "rw",
	        .size = UINT64_MAX,
	        .region_size = UINT64_MAX,
	        .regions_total = UINT64_MAX,
	        .regions_hydrated = UINT64_MAX,
	        .regions_hydrating = UINT64_MAX,
	        .metadata_blocks_used = UINT64_MAX,
	        .metadata_blocks_total = UINT64_MAX,
	        .settings = {.hydration_threshold = UINT64_MAX, .hydration_batch_size = UINT64_MAX},
	        .no_hydration = true,
	        .no_discard_passdown = true,
	};
	char line[DMSETUP_LINE_MAX];
	size_t length;

	(void)state;
	length = strlen(dmsetup_line(&s, line));
	assert_string_equal(line + length - 3, " rw");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words_are_those_of_dm_clone),
	        cmocka_unit_test(longest_line_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
