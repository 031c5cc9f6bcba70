/* Files read whole: how long, what kind, and the one byte too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/small_file.h"

static void a_file_fits_if_a_byte_is_left(void **state)
{
	static const struct {
		size_t file, buf;
		int expected;
	} cases[] = {{0, 1, 0}, {0, 0, -EFBIG}, {9, 10, 0}, {10, 10, -EFBIG}, {11, 10, -EFBIG}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const char text[] = "0123456789a";
		int fd = memfd_create("small", 0);
		size_t length = 99;
		char buf[16];

		assert_int_equal(write(fd, text, cases[i].file), cases[i].file);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(small_file_read(fd, buf, cases[i].buf, &length),
		                 cases[i].expected);
		if (cases[i].expected == 0) {
			assert_int_equal(length, cases[i].file);
			assert_memory_equal(buf, text, length);
		}
		(void)close(fd);
	}
}

static void what_is_no_file_is_refused(void **state)
{
	static const char *const paths[] = {"/", "/dev/zero"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		size_t length;
		char buf[4];

		assert_true(fd >= 0);
		assert_int_equal(small_file_read(fd, buf, sizeof(buf), &length), -EINVAL);
		(void)close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_fits_if_a_byte_is_left),
	        cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
