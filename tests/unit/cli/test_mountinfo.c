#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/mountinfo.h"

static const char sample[] =
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "30 21 0:44 / /mnt rw,nosuid shared:5 - fuse.clonefs https://host/a\\040-\\040b rw\n"
        "31 21 0:45 / /mnt/with\\040space\\134and\\011tab rw shared:6 master:2 - fuse.clonefs "
        "/src rw\n"
        "32 21 0:44 / /bind\\137mount rw - fuse.clonefs https://host/a rw\n"
        "33 21 0:46 / /other rw - fuse.sshfs x rw\n"
        "34 21 0:47 / /like rw - fuse.clonefsish x rw\n"
        "35 21 0:48 / /old rw - fuse x rw\n"
        "broken line\n"
        "36 21\n"
        "37 - fuse.clonefs x rw\n"
        "38 21 nonsense / /x rw - fuse.clonefs x rw\n"
        "39 21 0:49 / /cut rw - fuse.clonefs";

static void only_clonefs_of_that_device_counts(void **state)
{
	static const struct {
		unsigned int minor;
		const char *paths[3];
	} rows[] = {
	        {44, {"/mnt", "/bind_mount"}},
	        {45, {"/mnt/with space\\and\ttab"}},
	        {46, {NULL}},
	        {47, {NULL}},
	        {48, {NULL}},
	        {49, {NULL}},
	        {1, {NULL}},
	};
	char path[] = "/tmp/mountinfo-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, sample, sizeof(sample) - 1), sizeof(sample) - 1);
	(void)close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mountpoints found;
		size_t nr = 0;

		assert_int_equal(mountinfo_find_clonefs(path, makedev(0, rows[i].minor), &found),
		                 0);
		for (; rows[i].paths[nr]; nr++) {
			assert_true(nr < found.nr);
			assert_string_equal(found.paths[nr], rows[i].paths[nr]);
		}
		assert_int_equal(found.nr, nr);
		mountpoints_fini(&found);
	}
	(void)unlink(path);
}

static void missing_list_is_an_error(void **state)
{
	struct mountpoints found;

	(void)state;
	assert_int_equal(mountinfo_find_clonefs("/tmp/no/such/list", 1, &found), -ENOENT);
	mountpoints_fini(&found);
}

static void own_list_can_be_read(void **state)
{
	struct mountpoints found;

	(void)state;
	assert_int_equal(mountinfo_find_clonefs(NULL, makedev(8, 255), &found), 0);
	assert_int_equal(found.nr, 0);
	mountpoints_fini(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_clonefs_of_that_device_counts),
	        cmocka_unit_test(missing_list_is_an_error),
	        cmocka_unit_test(own_list_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
