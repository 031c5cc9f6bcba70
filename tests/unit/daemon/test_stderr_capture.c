#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/stderr_capture.h"

static void say(const char *text)
{
	assert_int_equal(write(STDERR_FILENO, text, strlen(text)), strlen(text));
}

static void what_programs_say_is_captured(void **state)
{
	struct stderr_capture capture;
	char said[64];

	(void)state;
	stderr_capture_begin(&capture);
	say("first\n");
	assert_int_equal(system("echo second >&2"), 0);
	stderr_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, "first\nsecond\n");
}

static void long_words_are_cut(void **state)
{
	struct stderr_capture capture;
	char said[6];

	(void)state;
	stderr_capture_begin(&capture);
	say("0123456789");
	stderr_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, "01234");
}

static void stderr_is_given_back(void **state)
{
	struct stderr_capture capture;
	struct stat before, after;
	char said[64];

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &before), 0);
	stderr_capture_begin(&capture);
	stderr_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, "");
	assert_int_equal(fstat(STDERR_FILENO, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_dev, before.st_dev);
}

static void without_stderr_nothing_is_captured(void **state)
{
	struct stderr_capture capture;
	char said[64] = "before";
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	(void)state;
	assert_true(saved >= 0);
	assert_int_equal(close(STDERR_FILENO), 0);
	stderr_capture_begin(&capture);
	stderr_capture_end(&capture, said, sizeof(said));
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_programs_say_is_captured),
	        cmocka_unit_test(long_words_are_cut),
	        cmocka_unit_test(stderr_is_given_back),
	        cmocka_unit_test(without_stderr_nothing_is_captured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
