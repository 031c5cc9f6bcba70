#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "backends/registry.h"
#include "collector.h"

#define KIB   UINT64_C(1024)
#define MIB   (KIB * KIB)
#define IMAGE (3 * MIB + 777)

static char folder[64];
static char path[128];

static struct source *open_source(const char *url)
{
	const struct source_options options = {.stall_ms = 120000};
	struct cf_error err = {0};
	struct source *source;

	if (source_open(url, &options, &source, &err) < 0)
		fail_msg("%s", err.text);
	return source;
}

static struct source *open_pinned(void)
{
	struct source *source = open_source(path);
	struct source_probe probe;
	struct cf_error err = {0};

	if (source->ops->probe(source, 120000, &probe, &err) < 0)
		fail_msg("%s", err.text);
	source->ops->pin(source, &probe.identity);
	free(probe.head);
	return source;
}

static void expect_range(struct source *source, uint64_t offset, uint64_t length,
                         bool fresh_connection)
{
	struct collector *c = collector_new(source, offset, length);

	c->req.fresh_connection = fresh_connection;
	if (collector_run(c) != SOURCE_OK)
		fail_msg("%s", c->outcome.error.text);
	assert_int_equal(c->length, length);
	collector_assert_pattern(c, 1);
	collector_free(c);
}

static void expect_failure(struct source *source, enum source_result result, const char *sentence,
                           bool fresh_connection)
{
	struct collector *c = collector_new(source, 1000, 1000);

	c->req.fresh_connection = fresh_connection;
	assert_int_equal(collector_run(c), result);
	assert_int_equal(c->length, 0);
	if (!strstr(c->outcome.error.text, sentence))
		fail_msg("%s", c->outcome.error.text);
	collector_free(c);
}

static void ranges_arrive_whole_and_right(void **state)
{
	static const uint64_t ranges[][2] = {
	        {0, 1}, {0, 64 * KIB}, {1000001, 2 * MIB}, {IMAGE - 1, 1}, {0, IMAGE},
	};
	struct collector *c[5];
	struct source *source = open_pinned();

	(void)state;
	for (int i = 0; i < 5; i++) {
		c[i] = collector_new(source, ranges[i][0], ranges[i][1]);
		c[i]->req.class = (unsigned int)i % 3;
		collector_submit(c[i]);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(collector_wait(c[i]), SOURCE_OK);
		assert_int_equal(c[i]->length, ranges[i][1]);
		collector_assert_pattern(c[i], 1);
		collector_free(c[i]);
	}
	source->ops->close(source);
}

static void the_probe_tells_size_and_mtime(void **state)
{
	struct source *source = open_source(path);
	struct source_probe probe;
	struct cf_error err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(source->ops->probe(source, 120000, &probe, &err), 0);
	assert_int_equal(probe.identity.size, IMAGE);
	assert_int_equal(probe.identity.mtime_ns,
	                 st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec);
	assert_string_equal(probe.identity.etag, "");
	assert_string_equal(probe.identity.last_modified, "");
	assert_false(probe.weak_validators);
	assert_false(probe.is_device);
	assert_int_equal(probe.head_length, 512);
	for (size_t i = 0; i < probe.head_length; i++)
		assert_int_equal(probe.head[i], pattern_byte(i, 1));
	free(probe.head);
	source->ops->close(source);
}

static void each_unusable_file_has_its_sentence(void **state)
{
	static const struct {
		const char *name, *make;
		int result;
		const char *sentence;
	} cases[] = {
	        {"missing", "true", -ENOENT, "missing cannot be opened: No such file or directory"},
	        {"empty", "touch", -EINVAL, "empty is empty (0 bytes)"},
	        {"folder", "mkdir", -EINVAL, "neither a regular file nor a block device"},
	        {"fifo", "mkfifo", -EINVAL, "neither a regular file nor a block device"},
	        {"loop", "ln -s loop", -ELOOP, "loop cannot be opened"},
	        {"file/below", "true", -ENOTDIR, "file/below cannot be opened"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char url[256], command[256];
		struct source *source;
		struct source_probe probe;
		struct cf_error err = {0};
		int r;

		(void)snprintf(command, sizeof(command), "cd %s && : > file && %s %s", folder,
		               cases[i].make, cases[i].name);
		assert_int_equal(system(command), 0);
		(void)snprintf(url, sizeof(url), "%s/%s", folder, cases[i].name);
		source = open_source(url);
		r = source->ops->probe(source, 120000, &probe, &err);
		if (r != cases[i].result || !strstr(err.text, cases[i].sentence))
			fail_msg("%s: %d %s", cases[i].name, r, err.text);
		source->ops->close(source);
	}
}

static void another_size_or_mtime_is_another_version(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
	struct source *source = open_pinned();
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	expect_range(source, 0, 1000, false);
	assert_int_equal(truncate(path, IMAGE + 1), 0);
	expect_failure(source, SOURCE_CHANGED, "its size was 3146505 bytes and is 3146506 now",
	               false);
	assert_int_equal(truncate(path, 500), 0);
	expect_failure(source, SOURCE_CHANGED, "is 500 now", false);
	pattern_write(path, IMAGE, 2);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	expect_failure(source, SOURCE_CHANGED, "modified", false);
	expect_failure(source, SOURCE_CHANGED, "modified", true);
	/* It heals when the pinned version is back. */
	pattern_write(path, IMAGE, 1);
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	expect_range(source, 0, IMAGE, false);
	source->ops->close(source);
}

static void an_open_file_that_is_replaced_stays_readable(void **state)
{
	char other[160], aside[160];
	struct source *source = open_pinned();

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	(void)snprintf(aside, sizeof(aside), "%s/aside", folder);
	expect_range(source, 0, 1000, false);
	assert_int_equal(rename(path, aside), 0);
	expect_range(source, 1000, 1000, false);
	/* A second opinion goes by the path; it does not spoil the first one. */
	expect_failure(source, SOURCE_DENIED, "No such file", true);
	expect_range(source, 2000, 1000, false);
	pattern_write(other, IMAGE + 5, 2);
	assert_int_equal(rename(other, path), 0);
	expect_failure(source, SOURCE_CHANGED, "size", true);
	expect_range(source, 3000, 1000, false);
	assert_int_equal(rename(aside, path), 0);
	expect_range(source, 4000, 1000, true);
	source->ops->close(source);
}

/* One that was not probed, or failed since: what was probed stays open. */
static void a_file_that_is_gone_is_denied_until_it_is_back(void **state)
{
	const struct source_identity size_only = {.size = IMAGE};
	char aside[160];
	struct source *source = open_source(path);

	(void)state;
	source->ops->pin(source, &size_only);
	(void)snprintf(aside, sizeof(aside), "%s/aside", folder);
	assert_int_equal(rename(path, aside), 0);
	expect_failure(source, SOURCE_DENIED, "No such file", false);
	assert_int_equal(rename(aside, path), 0);
	expect_range(source, 0, 1000, false);
	source->ops->close(source);
}

static void a_pause_keeps_every_byte_in_its_place(void **state)
{
	struct source *source = open_pinned();
	struct collector *c = collector_new(source, 12345, IMAGE - 12345);

	(void)state;
	c->refuse_at = 1;
	collector_submit(c);
	for (unsigned int i = 1; i <= 5; i++) {
		collector_wait_for_refusals(c, i);
		pthread_mutex_lock(&c->lock);
		assert_int_equal(c->nr_done, 0);
		c->refuse_at = c->length + 300000;
		pthread_mutex_unlock(&c->lock);
		source->ops->resume(source, &c->req);
	}
	collector_accept(c);
	assert_int_equal(collector_wait(c), SOURCE_OK);
	assert_int_equal(c->length, c->req.length);
	collector_assert_pattern(c, 1);
	collector_free(c);
	source->ops->close(source);
}

/* More paused requests than readers: none of them holds one. */
static void paused_requests_hold_up_nobody(void **state)
{
	struct source *source = open_pinned();
	struct collector *c[20];

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		c[i] = collector_new(source, i * 1000, 500000);
		c[i]->refuse_at = 1;
		collector_submit(c[i]);
	}
	for (unsigned int i = 0; i < 20; i++)
		collector_wait_for_refusals(c[i], 1);
	expect_range(source, 0, IMAGE, false);
	for (unsigned int i = 0; i < 20; i++) {
		if (i % 4 == 0)
			source->ops->cancel(source, &c[i]->req);
		else
			collector_accept(c[i]);
		assert_int_equal(collector_wait(c[i]), i % 4 ? SOURCE_OK : SOURCE_CANCELLED);
		collector_assert_pattern(c[i], 1);
		collector_free(c[i]);
	}
	source->ops->close(source);
}

static void cancel_from_within(struct collector *c)
{
	c->source->ops->cancel(c->source, &c->req);
}

static void cancelled_from_within_the_sink(void **state)
{
	struct source *source = open_pinned();
	struct collector *c = collector_new(source, 0, IMAGE);

	(void)state;
	c->on_data = cancel_from_within;
	assert_int_equal(collector_run(c), SOURCE_CANCELLED);
	assert_true(c->length < IMAGE);
	collector_free(c);
	source->ops->close(source);
}

static void submit_another(struct collector *c)
{
	c->next = collector_new(c->source, 0, 1000);
	collector_submit(c->next);
}

static void close_ends_everything_with_done(void **state)
{
	struct collector *c[20];
	struct source *source;

	(void)state;
	for (int round = 0; round < 20; round++) {
		source = open_pinned();
		for (unsigned int i = 0; i < 20; i++) {
			c[i] = collector_new(source, 0, IMAGE);
			c[i]->refuse_at = i % 3 ? 1 : 0;
			if (i == 19)
				c[i]->on_done = submit_another;
			collector_submit(c[i]);
		}
		source->ops->close(source);
		for (unsigned int i = 0; i < 20; i++) {
			assert_int_equal(c[i]->nr_done, 1);
			if (i % 3)
				assert_int_equal(c[i]->outcome.result, SOURCE_CANCELLED);
			if (c[i]->next) {
				assert_int_equal(c[i]->next->nr_done, 1);
				collector_free(c[i]->next);
			}
			collector_free(c[i]);
		}
	}
}

#define STORM_THREADS 4

struct storm {
	struct source *source;
	unsigned int seed;
};

static void *storm_main(void *user)
{
	struct storm *storm = user;

	for (int i = 0; i < 300; i++) {
		unsigned int dice = (unsigned int)rand_r(&storm->seed);
		struct collector *c =
		        collector_new(storm->source, dice % 1000 * 1000, 1 + dice % 1000000);

		c->req.class = dice % 3;
		c->req.fresh_connection = dice % 7 == 0;
		c->refuse_at = dice % 5 == 0 ? 1 + dice % 50000 : 0;
		collector_submit(c);
		if (dice % 4 == 0)
			c->source->ops->cancel(c->source, &c->req);
		collector_accept(c);
		switch (collector_wait(c)) {
		case SOURCE_OK:
			assert_int_equal(c->length, c->req.length);
			break;
		case SOURCE_CANCELLED:
			assert_int_equal(dice % 4, 0);
			break;
		default:
			fail_msg("%s", c->outcome.error.text);
		}
		collector_assert_pattern(c, 1);
		collector_free(c);
	}
	return NULL;
}

static void many_threads_may_call_at_once(void **state)
{
	struct source *source = open_pinned();
	pthread_t threads[STORM_THREADS];
	struct storm storms[STORM_THREADS];

	(void)state;
	for (unsigned int i = 0; i < STORM_THREADS; i++) {
		storms[i] = (struct storm){.source = source, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, storm_main, &storms[i]), 0);
	}
	for (int i = 0; i < STORM_THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	source->ops->close(source);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/clonefs-file-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/disk.raw", folder);
	pattern_write(path, IMAGE, 1);
	return 0;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(ranges_arrive_whole_and_right),
	        TEST(the_probe_tells_size_and_mtime),
	        TEST(each_unusable_file_has_its_sentence),
	        TEST(another_size_or_mtime_is_another_version),
	        TEST(an_open_file_that_is_replaced_stays_readable),
	        TEST(a_file_that_is_gone_is_denied_until_it_is_back),
	        TEST(a_pause_keeps_every_byte_in_its_place),
	        TEST(paused_requests_hold_up_nobody),
	        TEST(cancelled_from_within_the_sink),
	        TEST(close_ends_everything_with_done),
	        TEST(many_threads_may_call_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
