/* System calls that do less than they were asked to: the kernel may at any time, and does where a
 * disk fills up or a signal arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/block_io.h"

#define LENGTH 1000
#define OLD    0x11
#define ALL    LENGTH

/* What the calls to come do, one after the other; then everything is as usual. */
static struct {
	const int *script; /* bytes at most, or a negative errno; 0 is 0 bytes; END ends it */
	int nr_calls;
} calls;

#define END INT32_MIN

static int next_call(void)
{
	calls.nr_calls++;
	return calls.script && *calls.script != END ? *calls.script++ : ALL;
}

ssize_t __real_pread64(int fd, void *buf, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t length, off_t offset)
{
	int most = next_call();

	if (most < 0) {
		errno = -most;
		return -1;
	}
	return __real_pread64(fd, buf, length < (size_t)most ? length : (size_t)most, offset);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr_iov, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr_iov, off_t offset)
{
	int most = next_call();
	ssize_t done = 0;

	if (most < 0) {
		errno = -most;
		return -1;
	}
	for (int i = 0; i < nr_iov && done < most; i++) {
		size_t room = (size_t)(most - done);
		size_t n = iov[i].iov_len < room ? iov[i].iov_len : room;

		if (pwrite(fd, iov[i].iov_base, n, offset + done) != (ssize_t)n)
			return -1;
		done += (ssize_t)n;
	}
	return done;
}

static void open_scratch(struct block_io **ret_io)
{
	char path[] = "/var/tmp/clonefs-short-io-XXXXXX";
	struct cf_error err = {0};
	char old[LENGTH];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	memset(old, OLD, sizeof(old));
	assert_int_equal(write(fd, old, sizeof(old)), sizeof(old));
	assert_int_equal(close(fd), 0);
	if (block_io_open(path, 0, ret_io, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(unlink(path), 0);
}

/* The bytes of a file that was never as long in one piece: 1 to 251, over and over. */
static uint8_t byte_at(size_t i)
{
	return (uint8_t)(1 + i % 251);
}

/* Four pieces, one of them empty. */
static int write_in_pieces(struct block_io *io)
{
	static const size_t lengths[] = {300, 0, 1, 699};
	uint8_t bytes[LENGTH];
	struct iovec iov[4];
	size_t at = 0;

	for (size_t i = 0; i < LENGTH; i++)
		bytes[i] = byte_at(i);
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){.iov_base = bytes + at, .iov_len = lengths[i]};
		at += lengths[i];
	}
	return block_io_pwritev(io, iov, 4, 0);
}

static void assert_contents(struct block_io *io, size_t nr_new)
{
	uint8_t bytes[LENGTH];

	calls.script = NULL;
	assert_int_equal(block_io_pread(io, bytes, LENGTH, 0), 0);
	for (size_t i = 0; i < LENGTH; i++)
		if (bytes[i] != (i < nr_new ? byte_at(i) : OLD))
			fail_msg("byte %zu is %u", i, bytes[i]);
}

struct row {
	const char *what;
	int script[8];
	int expected;  /* what the caller gets */
	size_t nr_new; /* bytes that are written, or right */
	int nr_calls;
};

static void a_short_write_is_finished_or_fails(void **state)
{
	static const struct row rows[] = {
	        {"whole", {ALL, END}, 0, LENGTH, 1},
	        {"within a piece", {100, END}, 0, LENGTH, 2},
	        {"where a piece ends", {300, END}, 0, LENGTH, 2},
	        {"behind the small piece", {301, END}, 0, LENGTH, 2},
	        {"byte by byte at first", {1, 1, 1, 298, 1, END}, 0, LENGTH, 6},
	        {"interrupted", {-EINTR, 400, -EINTR, -EINTR, END}, 0, LENGTH, 5},
	        {"then the disk is full", {512, -ENOSPC, END}, -ENOSPC, 512, 2},
	        {"then the disk fails", {512, -EIO, END}, -EIO, 512, 2},
	        {"then the quota is used up", {1, -EDQUOT, END}, -EDQUOT, 1, 2},
	        {"then nothing goes any more", {512, 0, END}, -ENOSPC, 512, 2},
	        {"the disk fails at once", {-EIO, END}, -EIO, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct block_io *io;
		int r;

		print_message("%s\n", rows[i].what);
		open_scratch(&io);
		calls.script = rows[i].script;
		calls.nr_calls = 0;
		r = write_in_pieces(io);
		assert_int_equal(r, rows[i].expected);
		assert_int_equal(calls.nr_calls, rows[i].nr_calls);
		assert_contents(io, rows[i].nr_new);
		block_io_close(io);
	}
}

static void a_short_read_is_finished_or_fails(void **state)
{
	static const struct row rows[] = {
	        {"whole", {ALL, END}, 0, LENGTH, 1},
	        {"in three parts", {1, 500, END}, 0, LENGTH, 3},
	        {"interrupted", {-EINTR, 400, -EINTR, END}, 0, LENGTH, 4},
	        {"then the disk fails", {512, -EIO, END}, -EIO, 512, 2},
	        {"then the file has been cut", {512, 0, END}, -ENODATA, 512, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[LENGTH] = {0};
		struct block_io *io;
		int r;

		print_message("%s\n", rows[i].what);
		open_scratch(&io);
		calls.script = NULL;
		assert_int_equal(write_in_pieces(io), 0);
		calls.script = rows[i].script;
		calls.nr_calls = 0;
		r = block_io_pread(io, bytes, LENGTH, 0);
		assert_int_equal(r, rows[i].expected);
		assert_int_equal(calls.nr_calls, rows[i].nr_calls);
		for (size_t at = 0; at < rows[i].nr_new; at++)
			assert_int_equal(bytes[at], byte_at(at));
		block_io_close(io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_short_write_is_finished_or_fails),
	        cmocka_unit_test(a_short_read_is_finished_or_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
