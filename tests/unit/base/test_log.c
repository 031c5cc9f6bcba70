#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"

#define NR_THREADS 4
#define NR_LINES   200

/* stderr goes to a temporary file between begin and end. */
static int saved_stderr;
static FILE *caught;

static void capture_begin(void)
{
	caught = tmpfile();
	assert_non_null(caught);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(saved_stderr >= 0);
	assert_true(dup2(fileno(caught), STDERR_FILENO) >= 0);
}

/* What was written; the caller frees it. */
static char *capture_end(void)
{
	long size;
	char *text;

	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	(void)close(saved_stderr);
	assert_int_equal(fseek(caught, 0, SEEK_END), 0);
	size = ftell(caught);
	assert_true(size >= 0);
	rewind(caught);
	text = calloc(1, (size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)size, caught), size);
	(void)fclose(caught);
	return text;
}

static int defaults(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_NOTICE);
	log_to_stderr(false);
	return 0;
}

static void levels_have_names_both_ways(void **state)
{
	static const char *const names[] = {"error", "warn", "notice", "info", "debug"};
	static const char *const unknown[] = {"", "Error", "err", "warning", "errorx", "5"};
	enum log_level level;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_string_equal(log_level_name((enum log_level)i), names[i]);
		assert_true(log_level_parse(names[i], &level));
		assert_int_equal(level, i);
	}
	level = LOG_LEVEL_INFO;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_false(log_level_parse(unknown[i], &level));
	assert_int_equal(level, LOG_LEVEL_INFO);
}

static void only_the_level_and_worse_are_written(void **state)
{
	char *text;

	(void)state;
	capture_begin();
	log_set_level(LOG_LEVEL_WARN);
	log_error("one");
	log_warn("two %d", 2);
	log_notice("three");
	log_debug("five");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("six");
	text = capture_end();
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	assert_string_equal(text,
	                    "clonefs: error: one\nclonefs: warn: two 2\nclonefs: debug: six\n");
	free(text);
}

static void the_journal_gets_its_own_prefix(void **state)
{
	char *text;

	(void)state;
	capture_begin();
	log_to_stderr(true);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a");
	log_warn("b");
	log_notice("c");
	log_info("d");
	log_debug("e");
	text = capture_end();
	assert_string_equal(text, "<3>a\n<4>b\n<5>c\n<6>d\n<7>e\n");
	free(text);
}

static void a_line_stays_one_line(void **state)
{
	char *text;

	(void)state;
	capture_begin();
	log_error("reason=%s", "no\n<3>forged\x1b[2J");
	text = capture_end();
	assert_string_equal(text, "clonefs: error: reason=no?<3>forged?[2J\n");
	free(text);
}

static void a_long_line_is_cut_and_ended(void **state)
{
	char big[8000];
	char *text;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	capture_begin();
	log_error("%s", big);
	log_error("next");
	text = capture_end();
	assert_non_null(strstr(text, "xx\nclonefs: error: next\n"));
	assert_true(strlen(text) < 2000);
	free(text);
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < NR_LINES; i++)
		log_error("thread %s line %d end", (const char *)arg, i);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static const char *const names[NR_THREADS] = {"a", "b", "c", "d"};
	pthread_t threads[NR_THREADS];
	int nr_lines = 0;
	char *text, *saved, *line;

	(void)state;
	capture_begin();
	for (int i = 0; i < NR_THREADS; i++)
		assert_int_equal(
		        pthread_create(&threads[i], NULL, write_lines, (void *)(uintptr_t)names[i]),
		        0);
	for (int i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	text = capture_end();
	for (line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		char name;
		int number, length = 0;

		assert_int_equal(sscanf(line, "clonefs: error: thread %c line %d end%n", &name,
		                        &number, &length),
		                 2);
		assert_int_equal(length, strlen(line));
		nr_lines++;
	}
	assert_int_equal(nr_lines, NR_THREADS * NR_LINES);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(levels_have_names_both_ways, defaults),
	        cmocka_unit_test_setup(only_the_level_and_worse_are_written, defaults),
	        cmocka_unit_test_setup(the_journal_gets_its_own_prefix, defaults),
	        cmocka_unit_test_setup(a_line_stays_one_line, defaults),
	        cmocka_unit_test_setup(a_long_line_is_cut_and_ended, defaults),
	        cmocka_unit_test_setup(lines_of_threads_do_not_mix, defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
