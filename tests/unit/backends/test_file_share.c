/* How a file source lends its blocks to a destination, which here is one that writes down what it
 * is asked and copies. Real file systems: tests/e2e/sharing.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/registry.h"
#include "collector.h"
#include "core/base/block_io.h"

#define IMAGE 100000u

static char folder[64];
static char path[128];

struct taker {
	struct block_io io; /* first */
	unsigned int nr_calls;
	int result;             /* what it says */
	struct timespec *times; /* the source's file gets them meanwhile; NULL: nothing happens */
	unsigned char bytes[IMAGE];
};

static int take(struct block_io *io, int fd, uint64_t offset, uint64_t length)
{
	struct taker *taker = (struct taker *)io;

	taker->nr_calls++;
	if (taker->times)
		assert_int_equal(utimensat(AT_FDCWD, path, taker->times, 0), 0);
	assert_int_equal(pread(fd, taker->bytes + offset, length, (off_t)offset), length);
	return taker->result;
}

static const struct block_io_ops taker_ops = {.share = take};

static struct taker taker;

static struct source *open_source(bool probed)
{
	const struct source_options options = {.stall_ms = 120000};
	struct source_identity identity = {.size = IMAGE};
	struct cf_error err = {0};
	struct source_probe probe;
	struct source *source;

	assert_int_equal(source_open(path, &options, &source, &err), 0);
	if (probed) {
		assert_int_equal(source_probe(source, 120000, &probe, &err), 0);
		free(probe.head);
		identity = probe.identity;
	}
	source_pin(source, &identity);
	taker = (struct taker){.io = {.ops = &taker_ops, .size = IMAGE}};
	return source;
}

static void the_range_of_the_file_is_shared(void **state)
{
	struct source *source = open_source(true);

	(void)state;
	assert_true(source_can_share(source));
	assert_int_equal(source_share(source, &taker.io, 4096, 8192), 0);
	assert_int_equal(source_share(source, &taker.io, 99000, 1000), 0);
	assert_int_equal(taker.nr_calls, 2);
	for (uint64_t i = 0; i < IMAGE; i++)
		assert_int_equal(taker.bytes[i],
		                 (i >= 4096 && i < 12288) || i >= 99000 ? pattern_byte(i, 1) : 0);
	source_close(source);
}

static void what_the_destination_says_is_passed_on(void **state)
{
	static const int errors[] = {-EXDEV, -EOPNOTSUPP, -EINVAL, -ETXTBSY, -ENOSPC};
	struct source *source = open_source(true);

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		taker.result = errors[i];
		assert_int_equal(source_share(source, &taker.io, 0, 4096), errors[i]);
	}
	source_close(source);
}

/* Opening may take for ever, so it is left to a request. */
static void a_file_that_is_not_open_is_not_opened(void **state)
{
	struct source *source = open_source(false);
	struct collector *c = collector_new(source, 0, 1000);

	(void)state;
	assert_int_equal(source_share(source, &taker.io, 0, 4096), -EAGAIN);
	assert_int_equal(taker.nr_calls, 0);
	assert_int_equal(collector_run(c), SOURCE_OK);
	collector_free(c);
	assert_int_equal(source_share(source, &taker.io, 0, 4096), 0);
	source_close(source);
}

static void a_version_that_is_not_the_pinned_one_does_not_count(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
	struct source *source = open_source(true);
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	taker.times = times;
	assert_int_equal(source_share(source, &taker.io, 0, 4096), -ESTALE);
	times[1] = st.st_mtim;
	assert_int_equal(source_share(source, &taker.io, 0, 4096), 0);
	taker.times = NULL;
	assert_int_equal(truncate(path, IMAGE + 1), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(source_share(source, &taker.io, 0, 4096), -ESTALE);
	source_close(source);
}

static void a_server_has_no_blocks_to_share(void **state)
{
	const struct source_options options = {.stall_ms = 1000};
	struct cf_error err = {0};
	struct source *source;

	(void)state;
	assert_int_equal(source_open("http://127.0.0.1:1/disk.raw", &options, &source, &err), 0);
	assert_false(source_can_share(source));
	source_close(source);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/clonefs-file-share-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/disk.raw", folder);
	pattern_write(path, IMAGE, 1);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(the_range_of_the_file_is_shared),
	        TEST(what_the_destination_says_is_passed_on),
	        TEST(a_file_that_is_not_open_is_not_opened),
	        TEST(a_version_that_is_not_the_pinned_one_does_not_count),
	        TEST(a_server_has_no_blocks_to_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
