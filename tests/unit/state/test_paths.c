#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/state/paths.h"
#include "core/state/places.h"

#define NR(array) (sizeof(array) / sizeof(*(array)))

static char folder[64];

static int make_folder(void **context)
{
	(void)context;
	strcpy(folder, "/tmp/clonefs-paths-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **context)
{
	char command[128];

	(void)context;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static char *below(const char *rest)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, rest) > 0);
	return path;
}

static void touch(const char *rest)
{
	char *path = below(rest);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	free(path);
}

static void absolute_paths_are_cleaned_but_keep_dot_dot(void **context)
{
	static const struct {
		const char *given, *absolute;
	} cases[] = {
	        {"/", "/"},
	        {"//a///b/", "/a/b"},
	        {"/a/./b/.", "/a/b"},
	        {"/a/../b", "/a/../b"},
	        {"x", "/usr/x"},
	        {"./x/", "/usr/x"},
	        {"../x", "/usr/../x"},
	        {".x", "/usr/.x"},
	};

	(void)context;
	assert_int_equal(chdir("/usr"), 0);
	for (size_t i = 0; i < NR(cases); i++) {
		char *path;

		assert_int_equal(path_absolute(cases[i].given, &path), 0);
		assert_string_equal(path, cases[i].absolute);
		free(path);
	}
	assert_int_equal(chdir("/"), 0);
}

static void the_real_path_of_something_missing_is_that_of_its_folder_and_the_rest(void **context)
{
	char *target = below("real");
	char *link_ = below("link");
	char *asked = below("link/a/b");
	char *expected = below("real/a/b");
	char *path;

	(void)context;
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink("real", link_), 0);
	assert_int_equal(path_real(asked, &path), 0);
	assert_string_equal(path, expected);
	free(path);
	assert_int_equal(path_real(link_, &path), 0);
	assert_string_equal(path, target);
	free(path);
	assert_int_equal(path_real("/no-such-thing/x", &path), 0);
	assert_string_equal(path, "/no-such-thing/x");
	free(path);
	assert_int_equal(path_real("/", &path), 0);
	assert_string_equal(path, "/");
	free(path);
	free(target);
	free(link_);
	free(asked);
	free(expected);
}

static void within_means_at_or_below_and_not_beside(void **context)
{
	(void)context;
	assert_true(path_is_within("/a/b", "/a/b"));
	assert_true(path_is_within("/a/b/c", "/a/b"));
	assert_true(path_is_within("/a", "/"));
	assert_false(path_is_within("/a/bc", "/a/b"));
	assert_false(path_is_within("/a", "/a/b"));
}

static void folders_are_made_with_their_mode_and_taken_away_again(void **context)
{
	char *path = below("x/y/z");
	char *first = below("x");
	unsigned int made = 9;
	struct cf_error err;
	struct stat st;
	mode_t mask = umask(0277);

	(void)context;
	assert_int_equal(path_make_folder(path, 0700, &made, &err), 0);
	umask(mask);
	assert_int_equal(made, 3);
	assert_int_equal(stat(first, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(path_make_folder(path, 0700, &made, &err), 0);
	assert_int_equal(made, 0);
	path_remove_folders(path, 2);
	assert_int_equal(stat(first, &st), 0);
	touch("x/file");
	assert_int_equal(path_make_folder(path, 0700, &made, &err), 0);
	assert_int_equal(made, 2);
	path_remove_folders(path, 3);
	assert_int_equal(stat(first, &st), 0);
	free(path);
	free(first);
}

static void a_file_in_the_way_is_named(void **context)
{
	char *path = below("f/g");
	struct cf_error err;

	(void)context;
	touch("f");
	assert_int_equal(path_make_folder(path, 0700, NULL, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, path));
	free(path);
}

/* As an ordinary user, in a child, with the given environment. */
static void check_as_user(const char *home, const char *state, const char *runtime,
                          const char *expected_root, const char *expected_socket)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		char *root = NULL, *socket = NULL;
		struct cf_error err;

		clearenv();
		if (home)
			setenv("HOME", home, 1);
		if (state)
			setenv("XDG_STATE_HOME", state, 1);
		if (runtime)
			setenv("XDG_RUNTIME_DIR", runtime, 1);
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		if (path_state_root(&root, &err) < 0 || path_socket("n", "/s", &socket, &err) < 0)
			_exit(3);
		if (strcmp(root, expected_root) != 0)
			_exit(4);
		if (strcmp(socket, expected_socket) != 0)
			_exit(5);
		free(root);
		free(socket);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void root_and_users_have_their_own_places(void **context)
{
	char *path;
	struct cf_error err;

	(void)context;
	if (geteuid() != 0)
		skip();
	assert_int_equal(path_state_root(&path, &err), 0);
	assert_string_equal(path, "/var/lib/clonefs");
	free(path);
	assert_int_equal(path_socket("n", "/s", &path, &err), 0);
	assert_string_equal(path, "/run/clonefs/n.sock");
	free(path);
	check_as_user("/h", "/xs", "/xr", "/xs/clonefs", "/xr/clonefs/n.sock");
	check_as_user("/h", NULL, NULL, "/h/.local/state/clonefs", "/s/n.sock");
	check_as_user("/h", "relative", "relative", "/h/.local/state/clonefs", "/s/n.sock");
	/* nobody's home in the user database */
	check_as_user(NULL, NULL, "/xr", "/nonexistent/.local/state/clonefs", "/xr/clonefs/n.sock");
}

static void a_socket_path_that_does_not_fit_is_refused(void **context)
{
	/* "/run/clonefs/" and ".sock" are 18 bytes of the 107 */
	char name[128];
	char *path = NULL;
	struct cf_error err;

	(void)context;
	if (geteuid() != 0)
		skip();
	memset(name, 'n', sizeof(name));
	name[89] = 0;
	assert_int_equal(path_socket(name, NULL, &path, &err), 0);
	assert_int_equal(strlen(path), 107);
	free(path);
	name[89] = 'n';
	name[90] = 0;
	assert_int_equal(path_socket(name, NULL, &path, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "has 108 bytes, expected at most 107"));
}

static void a_runtime_folder_that_others_may_write_to_is_refused(void **context)
{
	char *path = below("run");
	struct cf_error err;
	struct stat st;

	(void)context;
	assert_int_equal(path_make_runtime_dir(path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0755 : 0700);
	assert_int_equal(path_make_runtime_dir(path, &err), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(path_make_runtime_dir(path, &err), -EACCES);
	free(path);
}

/* Puts the folder in the place of each '@'. */
static void expand(const char *text, char *ret, size_t size)
{
	for (; *text; text++) {
		if (*text == '@')
			(void)snprintf(ret + strlen(ret), size - strlen(ret), "%s", folder);
		else
			(void)snprintf(ret + strlen(ret), size - strlen(ret), "%c", *text);
	}
}

static void parts_in_the_clones_own_places_are_refused(void **context)
{
	static const struct {
		const char *source, *destination, *metadata, *state_dir, *mountpoint;
		const char *sentence; /* NULL: none; @ is the folder */
	} cases[] = {
	        {"a", "b", "c", "s", "m", NULL},
	        {NULL, "s/disk.img", "s/metadata", "s", "m", NULL},
	        {"m/a", "b", "c", "s", "m", "source @/m/a lies in the clone's own mountpoint @/m"},
	        {"m", "b", "c", "s", "m", "source @/m lies in the clone's own mountpoint @/m"},
	        {"mm", "b", "c", "s", "m", NULL},
	        {"a", "m/b", "c", "s", "m",
	         "destination @/m/b lies in the clone's own mountpoint @/m"},
	        {"a", "b", "m/c", "s", "m",
	         "metadata @/m/c lies in the clone's own mountpoint @/m"},
	        {"a", "b", "c", "m/s", "m",
	         "state folder @/m/s lies in the clone's own mountpoint @/m"},
	        {"a", "b", "c", "s", "s",
	         "state folder @/s lies in the clone's own mountpoint @/s"},
	        {"a", "b", "c", "s", "s/m", NULL},
	        {"s/a", "b", "c", "s", "m",
	         "source @/s/a lies in the clone's own state folder @/s"},
	        {"a", "a", "c", "s", "m", "destination @/a is the source itself"},
	        {"a", "b", "a", "s", "m", "metadata @/a is the source itself"},
	        {"a", "b", "b", "s", "m", "destination @/b and metadata @/b are the same file"},
	        {"there", "hard", "c", "s", "m", "destination @/hard is the source itself"},
	        {"there", "soft", "c", "s", "m", "destination @/soft is the source itself"},
	        {"into/a", "b", "c", "s", "m",
	         "source @/into/a lies in the clone's own mountpoint @/m"},
	        {"a", "s/lock", "c", "s", "m",
	         "destination @/s/lock is a file that the state folder needs itself"},
	        {"a", "b", "s/clone.json", "s", "m",
	         "metadata @/s/clone.json is a file that the state folder needs itself"},
	};
	char *there = below("there"), *hard = below("hard"), *soft = below("soft");
	char *m = below("m"), *into = below("into");

	(void)context;
	touch("there");
	assert_int_equal(mkdir(m, 0700), 0);
	assert_int_equal(link(there, hard), 0);
	assert_int_equal(symlink("there", soft), 0);
	assert_int_equal(symlink("m", into), 0);
	for (size_t i = 0; i < NR(cases); i++) {
		char *source = cases[i].source ? below(cases[i].source) : NULL;
		char *destination = below(cases[i].destination);
		char *metadata = below(cases[i].metadata);
		char *state_dir = below(cases[i].state_dir);
		char *mountpoint = below(cases[i].mountpoint);
		const struct places places = {source, destination, metadata, state_dir, mountpoint};
		struct cf_error err = {0};
		char expected[512] = "";

		if (cases[i].sentence)
			expand(cases[i].sentence, expected, sizeof(expected));
		assert_int_equal(places_check(&places, &err), cases[i].sentence ? -EINVAL : 0);
		assert_string_equal(err.text, expected);
		free(source);
		free(destination);
		free(metadata);
		free(state_dir);
		free(mountpoint);
	}
	free(there);
	free(hard);
	free(soft);
	free(m);
	free(into);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(absolute_paths_are_cleaned_but_keep_dot_dot),
	        TEST(the_real_path_of_something_missing_is_that_of_its_folder_and_the_rest),
	        TEST(within_means_at_or_below_and_not_beside),
	        TEST(folders_are_made_with_their_mode_and_taken_away_again),
	        TEST(a_file_in_the_way_is_named),
	        TEST(root_and_users_have_their_own_places),
	        TEST(a_socket_path_that_does_not_fit_is_refused),
	        TEST(a_runtime_folder_that_others_may_write_to_is_refused),
	        TEST(parts_in_the_clones_own_places_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
