/* The wrappers of block_io, on a version that only writes down how it was called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/uio.h>

#include "core/base/block_io.h"

struct recorder {
	struct block_io io;
	unsigned int nr_calls;
	uint64_t offset, length;
	int nr_iov;
	const void *data;
};

static int record(struct block_io *io, uint64_t offset, uint64_t length)
{
	struct recorder *recorder = (struct recorder *)io;

	recorder->nr_calls++;
	recorder->offset = offset;
	recorder->length = length;
	return -EIO;
}

static int record_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	((struct recorder *)io)->data = buf;
	return record(io, offset, length);
}

static int record_splice(struct block_io *io, int pipe, size_t length, uint64_t offset)
{
	((struct recorder *)io)->nr_iov = pipe;
	return record(io, offset, length);
}

static int record_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	((struct recorder *)io)->nr_iov = nr_iov;
	((struct recorder *)io)->data = iov[0].iov_base;
	return record(io, offset, iov[0].iov_len);
}

static int record_sync(struct block_io *io)
{
	return record(io, 0, 0);
}

static int record_share(struct block_io *io, int fd, uint64_t offset, uint64_t length)
{
	((struct recorder *)io)->nr_iov = fd;
	return record(io, offset, length);
}

static void record_close(struct block_io *io)
{
	(void)record(io, 0, 0);
}

static const struct block_io_ops least_ops = {
        .pread = record_pread,
        .pwritev = record_pwritev,
        .sync = record_sync,
        .close = record_close,
};

static const struct block_io_ops all_ops = {
        .pread = record_pread,
        .splice = record_splice,
        .pwritev = record_pwritev,
        .sync = record_sync,
        .punch = record,
        .zero = record,
        .allocate = record,
        .share = record_share,
        .close = record_close,
};

static void calls_arrive_with_their_arguments_and_results(void **state)
{
	struct recorder recorder = {.io = {.ops = &all_ops, .size = 4096}};
	struct block_io *io = &recorder.io;
	char buf[8];

	(void)state;
	assert_int_equal(block_io_pread(io, buf, 8, 100), -EIO);
	assert_ptr_equal(recorder.data, buf);
	assert_int_equal(recorder.offset, 100);
	assert_int_equal(recorder.length, 8);
	assert_int_equal(block_io_pwrite(io, buf, 7, 200), -EIO);
	assert_ptr_equal(recorder.data, buf);
	assert_int_equal(recorder.nr_iov, 1);
	assert_int_equal(recorder.offset, 200);
	assert_int_equal(recorder.length, 7);
	assert_int_equal(block_io_punch(io, 1, 2), -EIO);
	assert_int_equal(block_io_zero(io, 3, 4), -EIO);
	assert_int_equal(block_io_allocate(io, 5, 6), -EIO);
	assert_int_equal(recorder.offset, 5);
	assert_int_equal(recorder.length, 6);
	assert_int_equal(block_io_share(io, 9, 7, 8), -EIO);
	assert_int_equal(recorder.nr_iov, 9);
	assert_int_equal(recorder.offset, 7);
	assert_int_equal(recorder.length, 8);
	assert_int_equal(block_io_splice(io, 4, 10, 11), -EIO);
	assert_int_equal(recorder.nr_iov, 4);
	assert_int_equal(recorder.offset, 11);
	assert_int_equal(recorder.length, 10);
	assert_int_equal(block_io_sync(io), -EIO);
	assert_int_equal(recorder.nr_calls, 8);
	block_io_close(io);
	assert_int_equal(recorder.nr_calls, 9);
}

static void nothing_to_do_is_not_passed_on(void **state)
{
	struct recorder recorder = {.io = {.ops = &all_ops}};
	struct iovec empty = {0};

	(void)state;
	assert_int_equal(block_io_pread(&recorder.io, NULL, 0, 9), 0);
	assert_int_equal(block_io_splice(&recorder.io, 1, 0, 9), 0);
	assert_int_equal(block_io_pwrite(&recorder.io, NULL, 0, 9), 0);
	assert_int_equal(block_io_pwritev(&recorder.io, &empty, 1, 9), 0);
	assert_int_equal(block_io_pwritev(&recorder.io, NULL, 0, 9), 0);
	assert_int_equal(block_io_punch(&recorder.io, 9, 0), 0);
	assert_int_equal(block_io_zero(&recorder.io, 9, 0), 0);
	assert_int_equal(block_io_allocate(&recorder.io, 9, 0), 0);
	assert_int_equal(block_io_share(&recorder.io, 1, 9, 0), 0);
	assert_int_equal(recorder.nr_calls, 0);
}

static void what_a_version_lacks_is_not_supported(void **state)
{
	struct recorder recorder = {.io = {.ops = &least_ops}};
	uint64_t offset = 77;

	(void)state;
	assert_int_equal(block_io_splice(&recorder.io, 1, 1, 0), -EOPNOTSUPP);
	assert_int_equal(block_io_punch(&recorder.io, 0, 1), -EOPNOTSUPP);
	assert_int_equal(block_io_zero(&recorder.io, 0, 1), -EOPNOTSUPP);
	assert_int_equal(block_io_allocate(&recorder.io, 0, 1), -EOPNOTSUPP);
	assert_int_equal(block_io_share(&recorder.io, 1, 0, 1), -EOPNOTSUPP);
	assert_int_equal(block_io_seek(&recorder.io, 0, 3, &offset), -EOPNOTSUPP);
	assert_int_equal(offset, 77);
	assert_int_equal(block_io_fd(&recorder.io), -1);
}

static void closing_nothing_is_allowed(void **state)
{
	(void)state;
	block_io_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(calls_arrive_with_their_arguments_and_results),
	        cmocka_unit_test(nothing_to_do_is_not_passed_on),
	        cmocka_unit_test(what_a_version_lacks_is_not_supported),
	        cmocka_unit_test(closing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
