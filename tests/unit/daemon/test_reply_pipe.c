#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/reply_pipe.h"

/* Most users have none. */
static int allow(void **state)
{
	struct reply_pipe *pipe;

	(void)state;
	reply_pipe_allow();
	pipe = reply_pipe_get();
	if (!pipe)
		skip();
	reply_pipe_put(pipe);
	return 0;
}

/* A file with more than a reply in it, read so that its pages are there. */
static int file_in_cache(void)
{
	char path[] = "/var/tmp/clonefs-reply-pipe-XXXXXX";
	int fd = mkstemp(path);
	char *bytes = malloc(2 * REPLY_PIPE_MAX);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_non_null(bytes);
	for (size_t i = 0; i < 2 * REPLY_PIPE_MAX; i++)
		bytes[i] = (char)(i / 4096 + i);
	assert_int_equal(write(fd, bytes, 2 * REPLY_PIPE_MAX), 2 * REPLY_PIPE_MAX);
	free(bytes);
	return fd;
}

static void put_bytes(const struct reply_pipe *pipe, int fd, off_t at, size_t length)
{
	while (length) {
		ssize_t n = splice(fd, &at, reply_pipe_in(pipe), NULL, length, SPLICE_F_NONBLOCK);

		if (n <= 0)
			fail_msg("%zu bytes do not fit error=%d", length, errno);
		length -= (size_t)n;
	}
}

static int bytes_in(const struct reply_pipe *pipe)
{
	int nr;

	assert_int_equal(ioctl(reply_pipe_out(pipe), FIONREAD, &nr), 0);
	return nr;
}

static void there_are_none_before_they_are_allowed(void **state)
{
	(void)state;
	assert_null(reply_pipe_get());
	assert_false(reply_pipe_forbid());
}

static void there_are_none_after_they_are_forbidden(void **state)
{
	(void)state;
	assert_true(reply_pipe_forbid());
	assert_null(reply_pipe_get());
	assert_false(reply_pipe_forbid());
}

static void ordinary_users_have_none(void **state)
{
	(void)state;
	assert_true(reply_pipe_forbid());
	assert_int_equal(seteuid(65534), 0);
	reply_pipe_allow();
	assert_int_equal(seteuid(0), 0);
	assert_null(reply_pipe_get());
}

static void an_end_that_has_nothing_does_not_wait(void **state)
{
	struct reply_pipe *pipe = reply_pipe_get();
	char byte;

	(void)state;
	assert_int_equal(read(reply_pipe_out(pipe), &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	reply_pipe_put(pipe);
}

/* The descriptors are all in use: an open one is found behind one that cannot be opened. */
static void one_that_is_open_is_found(void **state)
{
	struct reply_pipe *first = reply_pipe_get();
	struct reply_pipe *second = reply_pipe_get();
	struct rlimit limit, none;

	(void)state;
	assert_int_equal(write(reply_pipe_in(first), "x", 1), 1);
	reply_pipe_put(first); /* closed */
	reply_pipe_put(second);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_ptr_equal(reply_pipe_get(), second);
	assert_null(reply_pipe_get());
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	reply_pipe_put(second);
}

/* libfuse counts three pages and a header beside the bytes. */
static void a_pipe_holds_a_reply_and_what_libfuse_needs(void **state)
{
	struct reply_pipe *pipe = reply_pipe_get();
	int fd = file_in_cache();
	int size = fcntl(reply_pipe_in(pipe), F_GETPIPE_SZ);

	(void)state;
	assert_true((size_t)size >= REPLY_PIPE_MAX + 3 * (size_t)sysconf(_SC_PAGESIZE) + 16);
	put_bytes(pipe, fd, 4096, REPLY_PIPE_MAX);
	assert_int_equal(bytes_in(pipe), REPLY_PIPE_MAX);
	reply_pipe_put(pipe);
	/* From within a page it takes one more. */
	pipe = reply_pipe_get();
	put_bytes(pipe, fd, 512, REPLY_PIPE_MAX);
	assert_int_equal(bytes_in(pipe), REPLY_PIPE_MAX);
	reply_pipe_put(pipe);
	(void)close(fd);
}

static void nothing_is_left_for_the_next_one(void **state)
{
	struct reply_pipe *first = reply_pipe_get();
	struct reply_pipe *second;
	char bytes[100];
	int fd = file_in_cache();

	(void)state;
	put_bytes(first, fd, 0, 4096);
	reply_pipe_put(first);
	second = reply_pipe_get();
	assert_ptr_equal(second, first);
	assert_int_equal(bytes_in(second), 0);
	put_bytes(second, fd, 4000, sizeof(bytes));
	assert_int_equal(read(reply_pipe_out(second), bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(bytes[0], (char)4000);
	reply_pipe_put(second);
	(void)close(fd);
}

static void an_empty_one_is_used_again(void **state)
{
	struct reply_pipe *pipe = reply_pipe_get();
	int in = reply_pipe_in(pipe);

	(void)state;
	reply_pipe_put(pipe);
	pipe = reply_pipe_get();
	assert_int_equal(reply_pipe_in(pipe), in);
	reply_pipe_put(pipe);
}

static void there_are_so_many_and_no_more(void **state)
{
	struct reply_pipe *pipes[REPLY_PIPE_NR];

	(void)state;
	for (int i = 0; i < REPLY_PIPE_NR; i++) {
		pipes[i] = reply_pipe_get();
		assert_non_null(pipes[i]);
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(pipes[i], pipes[j]);
	}
	assert_null(reply_pipe_get());
	reply_pipe_put(pipes[3]);
	assert_ptr_equal(reply_pipe_get(), pipes[3]);
	for (int i = 0; i < REPLY_PIPE_NR; i++)
		reply_pipe_put(pipes[i]);
}

static void programs_we_start_do_not_have_them(void **state)
{
	struct reply_pipe *pipe = reply_pipe_get();

	(void)state;
	assert_true(fcntl(reply_pipe_in(pipe), F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(reply_pipe_out(pipe), F_GETFD) & FD_CLOEXEC);
	reply_pipe_put(pipe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(there_are_none_before_they_are_allowed),
	        cmocka_unit_test_setup(there_are_none_after_they_are_forbidden, allow),
	        cmocka_unit_test_setup(ordinary_users_have_none, allow),
	        cmocka_unit_test_setup(a_pipe_holds_a_reply_and_what_libfuse_needs, allow),
	        cmocka_unit_test_setup(nothing_is_left_for_the_next_one, allow),
	        cmocka_unit_test_setup(an_empty_one_is_used_again, allow),
	        cmocka_unit_test_setup(an_end_that_has_nothing_does_not_wait, allow),
	        cmocka_unit_test_setup(one_that_is_open_is_found, allow),
	        cmocka_unit_test_setup(there_are_so_many_and_no_more, allow),
	        cmocka_unit_test_setup(programs_we_start_do_not_have_them, allow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
