/* Zeros on a destination that can neither punch nor zero. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <cmocka.h>

#include "core/engine/store.h"

#define SIZE ((size_t)5 << 20)

static unsigned char bytes[SIZE];
static unsigned int nr_writes;
static uint64_t ends[64];

static int io_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	(void)io;
	for (int i = 0; i < nr_iov; i++) {
		memcpy(bytes + offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	assert_true(nr_writes < 64);
	ends[nr_writes++] = offset;
	return 0;
}

static const struct block_io_ops ops = {.pwritev = io_pwritev};

static void zeros_are_written_where_nothing_else_works(void **state)
{
	static const struct {
		uint64_t offset, length;
	} cases[] = {{0, 1}, {0, SIZE}, {511, 2}, {4097, SIZE - 5000}, {1234567, (2 << 20) + 77}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t offset = cases[i].offset;
		uint64_t length = cases[i].length;
		struct block_io io = {.ops = &ops, .size = SIZE};
		struct store store;

		nr_writes = 0;
		memset(bytes, 0xA5, SIZE);
		store_init(&store, &io, i % 2);
		assert_int_equal(store_punch(&store, offset, length), 0);
		for (uint64_t at = 0; at < SIZE; at++) {
			bool inside = at >= offset && at < offset + length;

			if (bytes[at] != (inside ? 0 : 0xA5))
				fail_msg("byte %llu", (unsigned long long)at);
		}
		/* A step that ended inside a sector would let a power cut leave half of it. */
		for (unsigned int w = 0; w + 1 < nr_writes; w++)
			assert_int_equal(ends[w] % 512, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(zeros_are_written_where_nothing_else_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
