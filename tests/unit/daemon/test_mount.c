#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/mount.h"
#include "daemon/mountinfo.h"

static const char mountinfo[] =
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        "60 22 0:50 / /mnt/a rw - fuse.clonefs http://h/disk.raw rw,user_id=0\n"
        "61 22 0:51 / /mnt/a\\040b\\134 rw master:1 propagate_from:2 - fuse.clonefs x rw\n"
        "62 22 0:52 / /mnt/a ro,nosuid shared:5 - tmpfs none rw\n"
        "63 22 0:53 / /mnt/broken";

static void the_topmost_mount_is_found(void **state)
{
	struct mountinfo_entry entry;

	(void)state;
	assert_true(mountinfo_find(mountinfo, "/mnt/a", &entry));
	assert_string_equal(entry.type, "tmpfs");
	assert_int_equal(entry.device, makedev(0, 52));
	assert_true(mountinfo_find(mountinfo, "/", &entry));
	assert_string_equal(entry.type, "ext4");
	assert_int_equal(entry.device, makedev(254, 1));
}

static void escaped_names_are_understood(void **state)
{
	struct mountinfo_entry entry;

	(void)state;
	assert_true(mountinfo_find(mountinfo, "/mnt/a b\\", &entry));
	assert_string_equal(entry.type, "fuse.clonefs");
	assert_int_equal(entry.device, makedev(0, 51));
}

static void other_names_are_not_found(void **state)
{
	static const char *const paths[] = {"/mnt", "/mnt/", "/mnt/a ", "/mnt/broken", "/mnt/a b"};
	struct mountinfo_entry entry;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_false(mountinfo_find(mountinfo, paths[i], &entry));
	assert_false(mountinfo_find("", "/", &entry));
}

static void the_root_is_mounted(void **state)
{
	struct mountinfo_entry entry;

	(void)state;
	assert_int_equal(mountinfo_look("/", &entry), 0);
	assert_int_equal(mountinfo_look("/no/such/mountpoint", &entry), -ENOENT);
}

static void the_source_is_escaped(void **state)
{
	static const struct {
		const char *source;
		bool read_only, allow_other;
		const char *kernel;
		const char *expected;
	} cases[] = {
	        {"/a", false, false, NULL,
	         "fsname=/a,subtype=clonefs,default_permissions,max_read=1032192"},
	        {"http://h/a,suid,b\\", true, true, "nosuid,noexec",
	         "fsname=http://h/a\\,suid\\,b\\\\,subtype=clonefs,default_permissions,"
	         "max_read=1032192,ro,allow_other,nosuid,noexec"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = mount_option_string(cases[i].source, cases[i].read_only,
		                                 cases[i].allow_other, cases[i].kernel);

		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

static void folders_and_regular_files_are_places(void **state)
{
	char folder[] = "/tmp/clonefs-place-XXXXXX";
	char file[64], link[64], fifo[64];
	struct mount_place place;
	struct cf_error err;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/file", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	f = fopen(file, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);

	assert_int_equal(mount_place_find(folder, false, &place, &err), 0);
	assert_false(place.is_file);
	mount_place_fini(&place);
	assert_int_equal(mount_place_find(link, false, &place, &err), 0);
	assert_true(place.is_file);
	assert_string_equal(place.path, file);
	mount_place_fini(&place);
	assert_int_equal(mount_place_find(link, true, &place, &err), 0);
	assert_true(place.is_file);
	mount_place_fini(&place);
	assert_int_equal(mount_place_find(fifo, false, &place, &err), -EINVAL);
	assert_non_null(strstr(err.text, fifo));
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(mount_place_find(fifo, false, &place, &err), -ENOENT);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void what_is_not_mounted_is_detached_already(void **state)
{
	(void)state;
	assert_int_equal(mount_detach("/no/such/mountpoint", makedev(0, 1)), 0);
	/* The root is another device's: it must not be touched. */
	assert_int_equal(mount_detach("/", makedev(0, 0xfffff)), -EBUSY);
}

static void what_is_there_answers(void **state)
{
	(void)state;
	assert_int_equal(mount_ask("/"), 0);
	assert_int_equal(mount_ask("/no/such/mountpoint"), -ENOENT);
	assert_int_equal(mount_ask("/dev/null/file"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_topmost_mount_is_found),
	        cmocka_unit_test(escaped_names_are_understood),
	        cmocka_unit_test(other_names_are_not_found),
	        cmocka_unit_test(the_root_is_mounted),
	        cmocka_unit_test(the_source_is_escaped),
	        cmocka_unit_test(folders_and_regular_files_are_places),
	        cmocka_unit_test(what_is_not_mounted_is_detached_already),
	        cmocka_unit_test(what_is_there_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
