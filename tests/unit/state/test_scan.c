/* Looking for data in what a clone may overwrite; reading metadata that changes meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/state/data_scan.h"
#include "core/state/stable_read.h"

#define MIB (UINT64_C(1) << 20)

static struct block_io *make_file(uint64_t size)
{
	char path[] = "/tmp/clonefs-scan-XXXXXX";
	struct block_io *io = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(block_io_open(path, 0, &io, NULL), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
	return io;
}

static bool finds(struct block_io *io)
{
	bool found = false;

	assert_int_equal(data_scan(io, &found), 0);
	return found;
}

static void one_byte_anywhere_is_found_in_a_small_file(void **context)
{
	static const uint64_t offsets[] = {0, 1, 4095, MIB - 1, MIB, 3 * MIB + 12344};

	(void)context;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		struct block_io *io = make_file(3 * MIB + 12345);

		assert_false(finds(io));
		assert_int_equal(block_io_pwrite(io, "x", 1, offsets[i]), 0);
		assert_true(finds(io));
		block_io_close(io);
	}
}

static void one_byte_is_found_in_a_large_sparse_file(void **context)
{
	struct block_io *io = make_file(UINT64_C(1) << 40);

	(void)context;
	assert_false(finds(io));
	assert_int_equal(block_io_pwrite(io, "x", 1, (UINT64_C(1) << 39) + 5), 0);
	assert_true(finds(io));
	block_io_close(io);
}

/* More zeros that take space than are read whole, then what a backup partition table is. */
static void the_end_of_a_large_file_is_looked_at(void **context)
{
	uint64_t size = DATA_SCAN_WHOLE + 8 * MIB;
	struct block_io *io = make_file(size);
	void *zeros = calloc(1, MIB);

	(void)context;
	for (uint64_t at = 0; at < size; at += MIB)
		assert_int_equal(block_io_pwrite(io, zeros, MIB, at), 0);
	assert_false(finds(io));
	assert_int_equal(block_io_pwrite(io, "x", 1, size - 1), 0);
	assert_true(finds(io));
	free(zeros);
	block_io_close(io);
}

static void an_empty_file_holds_nothing(void **context)
{
	struct block_io *io = make_file(0);

	(void)context;
	assert_false(finds(io));
	block_io_close(io);
}

struct reader {
	struct block_io *io;
	int nr_calls;
	int nr_changes; /* how many calls meet a commit */
	int result;
};

static int read_once(void *user)
{
	struct reader *reader = user;
	unsigned char number = (unsigned char)++reader->nr_calls;

	if (reader->nr_calls <= reader->nr_changes)
		assert_int_equal(block_io_pwrite(reader->io, &number, 1, 100), 0);
	return reader->result;
}

static void a_read_is_repeated_until_nothing_changed_under_it(void **context)
{
	static const struct {
		int nr_changes, result, nr_calls, code;
	} cases[] = {
	        {0, 0, 1, 0}, {0, -EIO, 1, -EIO}, {2, 0, 3, 0},
	        {4, 0, 5, 0}, {5, 0, 5, -EBUSY},  {9, 0, 5, -EBUSY},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct reader reader = {.nr_changes = cases[i].nr_changes,
		                        .result = cases[i].result};
		struct cf_error err = {0};

		reader.io = make_file(8192);
		assert_int_equal(stable_read(reader.io, read_once, &reader, &err), cases[i].code);
		assert_int_equal(reader.nr_calls, cases[i].nr_calls);
		block_io_close(reader.io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_byte_anywhere_is_found_in_a_small_file),
	        cmocka_unit_test(one_byte_is_found_in_a_large_sparse_file),
	        cmocka_unit_test(the_end_of_a_large_file_is_looked_at),
	        cmocka_unit_test(an_empty_file_holds_nothing),
	        cmocka_unit_test(a_read_is_repeated_until_nothing_changed_under_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
