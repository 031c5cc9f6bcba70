#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_clone.h"
#include "run_clonectl.h"

/* Makes FOLDER/NAME with a clone.json that nobody needs to read. */
static void make_state_dir(const char *folder, const char *name, char *ret_path, size_t size)
{
	char file[512];
	int fd;

	(void)snprintf(ret_path, size, "%s/%s", folder, name);
	assert_int_equal(mkdir(ret_path, 0700), 0);
	(void)snprintf(file, sizeof(file), "%s/clone.json", ret_path);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void assert_is(const struct run *run, const char *name)
{
	if (run->status != 0)
		fail_msg("%s", run->err);
	assert_int_equal(strncmp(run->out, name, strlen(name)), 0);
	assert_int_equal(run->out[strlen(name)], '\n');
}

static void sockets_and_names_are_found(void **state)
{
	struct fake_clone one, two;
	char socket_path[sizeof(one.socket_path)];
	struct run run;

	(void)state;
	fake_clone_start_in(&one, run_folder, "one");
	fake_clone_start_in(&two, work_folder, "two");
	RUN(&run, "status", one.socket_path);
	assert_is(&run, "one");
	RUN(&run, "status", "one");
	assert_is(&run, "one");
	/* Not in RUN: no name leads there, but its socket does. */
	RUN(&run, "status", two.socket_path);
	assert_is(&run, "two");
	RUN(&run, "status", "two");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "there is no clone 'two'"));
	/* Only one of them counts as running, too. */
	RUN(&run, "status");
	assert_is(&run, "one");
	(void)snprintf(socket_path, sizeof(socket_path), "%s/../%s", work_folder,
	               strrchr(work_folder, '/') + 1);
	strcat(socket_path, "/two.sock");
	RUN(&run, "status", socket_path);
	assert_is(&run, "two");
	fake_clone_end(&one);
	fake_clone_end(&two);
}

static void nonsense_is_no_clone(void **state)
{
	static const char *const targets[] = {"",          "/no/such/path", "..",  "/",
	                                      "/dev/null", "name",          "a b", ".hidden"};
	struct fake_clone one;

	(void)state;
	fake_clone_start_in(&one, run_folder, "one");
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct run run;

		RUN(&run, "status", targets[i]);
		assert_int_equal(run.status, 1);
		assert_string_equal(run.out, "");
		assert_true(run.err[0]);
	}
	fake_clone_end(&one);
}

static void state_folders_are_found(void **state)
{
	struct fake_clone one;
	char folder[256], other[256], alias[300];
	struct run run;

	(void)state;
	make_state_dir(work_folder, "state-one", folder, sizeof(folder));
	make_state_dir(work_folder, "state-other", other, sizeof(other));
	(void)snprintf(alias, sizeof(alias), "%s/alias", work_folder);
	assert_int_equal(symlink(folder, alias), 0);
	fake_clone_start_in(&one, run_folder, "one");
	fake_clone_say(&one, &one.status.state_dir, folder);
	RUN(&run, "status", folder);
	assert_is(&run, "one");
	RUN(&run, "status", alias);
	assert_is(&run, "one");
	RUN(&run, "status", other);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "does not run"));
	fake_clone_end(&one);
	/* The socket may be in the state folder itself. */
	fake_clone_start_in(&one, folder, "one");
	fake_clone_say(&one, &one.status.state_dir, folder);
	RUN(&run, "status", alias);
	assert_is(&run, "one");
	fake_clone_end(&one);
}

/* A state folder and a name may look alike: the folder comes first. */
static void folder_that_is_no_state_folder_does_not_hide_a_name(void **state)
{
	struct fake_clone one;
	struct run run;
	char folder[256];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/one", work_folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(chdir(work_folder), 0);
	fake_clone_start_in(&one, run_folder, "one");
	RUN(&run, "status", "one");
	assert_is(&run, "one");
	fake_clone_end(&one);
	assert_int_equal(chdir("/"), 0);
}

/*
 * A FUSE mount of the right type whose daemon (this test) answers nothing at all: whoever opened
 * or asked anything below it would hang.
 */
static int mount_silent(const char *folder)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	(void)mkdir(folder, 0700);
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd >= 0 && mount("source", folder, "fuse.clonefs", MS_NOSUID | MS_NODEV, options) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void mountpoints_are_found_without_asking_the_daemon(void **state)
{
	struct fake_clone one, two;
	char folder[256], bind[256], spaced[256];
	struct run run;
	int fd;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/mnt", work_folder);
	(void)snprintf(spaced, sizeof(spaced), "%s/m n\tt", work_folder);
	(void)snprintf(bind, sizeof(bind), "%s/bind", work_folder);
	fd = geteuid() == 0 ? mount_silent(folder) : -1;
	if (fd < 0)
		skip();
	fake_clone_start_in(&one, run_folder, "one");
	fake_clone_start_in(&two, run_folder, "two");
	fake_clone_say(&two, &two.status.mountpoint, folder);
	RUN(&run, "status", folder);
	assert_is(&run, "two");
	/* The same file system elsewhere. */
	assert_int_equal(mkdir(bind, 0700), 0);
	assert_int_equal(mount(folder, bind, NULL, MS_BIND, NULL), 0);
	RUN(&run, "status", bind);
	assert_is(&run, "two");
	assert_int_equal(umount2(bind, MNT_DETACH), 0);
	/* Mounted, but by nobody who is known here. */
	fake_clone_say(&two, &two.status.mountpoint, "/elsewhere");
	RUN(&run, "status", folder);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "does not answer here"));
	assert_int_equal(umount2(folder, MNT_DETACH), 0);
	(void)close(fd);
	/* Taken away while the clone is still closing. */
	fake_clone_say(&two, &two.status.mountpoint, folder);
	RUN(&run, "status", folder);
	assert_is(&run, "two");
	fake_clone_end(&one);
	fake_clone_end(&two);
	/* The dead mount that kill -9 leaves. */
	fd = mount_silent(spaced);
	assert_true(fd >= 0);
	(void)close(fd);
	RUN(&run, "status", spaced);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "ended"));
	assert_int_equal(umount2(spaced, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sockets_and_names_are_found),
	        cmocka_unit_test(nonsense_is_no_clone),
	        cmocka_unit_test(state_folders_are_found),
	        cmocka_unit_test(folder_that_is_no_state_folder_does_not_hide_a_name),
	        cmocka_unit_test(mountpoints_are_found_without_asking_the_daemon),
	};

	return cmocka_run_group_tests(tests, surroundings_setup, surroundings_teardown);
}
