#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control/control_socket.h"

static char folder[] = "/tmp/clonefs-socket-XXXXXX";
static char path[PATH_MAX];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/clonefs-socket-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/x.sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)rmdir(folder);
	return 0;
}

static int connect_to(const char *to)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	assert_true(strlen(to) < sizeof(address.sun_path));
	memcpy(address.sun_path, to, strlen(to) + 1);
	r = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

static void mode_is_0600_whatever_the_umask(void **state)
{
	static const mode_t umasks[] = {0, 022, 077, 0277, 0777};

	(void)state;
	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		struct control_socket *s = NULL;
		mode_t saved = umask(umasks[i]);
		struct stat st;

		assert_int_equal(control_socket_open(path, &s, NULL), 0);
		(void)umask(saved);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | 0600);
		control_socket_close(s);
		assert_int_equal(lstat(path, &st), -1);
	}
}

static void stale_socket_is_replaced(void **state)
{
	struct control_socket *stale = NULL;
	struct control_socket *s = NULL;

	(void)state;
	assert_int_equal(control_socket_open(path, &stale, NULL), 0);
	assert_int_equal(control_socket_open(path, &s, NULL), 0);
	/* Who closes late must not take the new one away. */
	control_socket_close(stale);
	assert_int_equal(connect_to(path), 0);
	control_socket_close(s);
	assert_int_equal(connect_to(path), -ENOENT);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct control_socket *s = NULL;
	struct cf_error err = {0};
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(control_socket_open(path, &s, &err), -EEXIST);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(access(path, F_OK), 0);
}

static void missing_folder_is_told(void **state)
{
	struct control_socket *s = NULL;
	struct cf_error err = {0};
	char missing[PATH_MAX];

	(void)state;
	(void)snprintf(missing, sizeof(missing), "%.64s/none/x.sock", folder);
	assert_int_equal(control_socket_open(missing, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, missing));
}

static void path_longer_than_an_address_works(void **state)
{
	struct control_socket *s = NULL;
	char deep[PATH_MAX];
	char by_fd[128];
	size_t used = (size_t)snprintf(deep, sizeof(deep), "%s", folder);
	int fd;

	(void)state;
	for (int i = 0; i < 5; i++) {
		used += (size_t)snprintf(deep + used, sizeof(deep) - used, "/%040d", i);
		assert_int_equal(mkdir(deep, 0700), 0);
	}
	fd = open(deep, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(deep + used, sizeof(deep) - used, "/x.sock");
	assert_int_equal(control_socket_open(deep, &s, NULL), 0);
	(void)snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d/x.sock", fd);
	assert_int_equal(connect_to(by_fd), 0);
	control_socket_close(s);
	assert_int_equal(access(deep, F_OK), -1);
	(void)close(fd);
	for (int i = 0; i < 5; i++) {
		*strrchr(deep, '/') = '\0';
		assert_int_equal(rmdir(deep), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
	        CASE(mode_is_0600_whatever_the_umask),   CASE(stale_socket_is_replaced),
	        CASE(what_is_no_socket_is_left_alone),   CASE(missing_folder_is_told),
	        CASE(path_longer_than_an_address_works),
#undef CASE
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
