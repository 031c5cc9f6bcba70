#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/block_io.h"
#include "daemon/file_times.h"
#include "daemon/fuse_file.h"

#define SIZE 10000u

static struct block_io device = {.size = SIZE, .is_device = true};
static struct file_times times;

static struct fuse_file make_file(bool is_mountpoint)
{
	return (struct fuse_file){
	        .destination = &device,
	        .times = &times,
	        .size = SIZE,
	        .basename = "disk.raw",
	        .is_mountpoint = is_mountpoint,
	        .uid = 7,
	        .gid = 8,
	        .mode = 0640,
	};
}

static void a_folder_shows_one_file(void **state)
{
	struct fuse_file file = make_file(false);
	struct stat st;

	(void)state;
	times.mtime_ns = -1;
	assert_int_equal(fuse_file_stat(&file, 1, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0555);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(fuse_file_stat(&file, fuse_file_inode(&file), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_gid, 8);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_blocks, 20);
	assert_int_equal(st.st_mtim.tv_sec, -1);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
	assert_int_equal(fuse_file_stat(&file, 3, &st), -ENOENT);
}

static void a_file_as_mountpoint_is_the_root_itself(void **state)
{
	struct fuse_file file = make_file(true);
	struct stat st;

	(void)state;
	times.mtime_ns = 5000000007;
	assert_int_equal(fuse_file_inode(&file), 1);
	assert_int_equal(fuse_file_stat(&file, 1, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_mtim.tv_sec, 5);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(fuse_file_stat(&file, 2, &st), -ENOENT);
}

static void only_the_same_size_may_be_set(void **state)
{
	struct fuse_file file = make_file(false);
	uint64_t ino = fuse_file_inode(&file);

	(void)state;
	assert_int_equal(fuse_file_may_set(&file, ino, true, SIZE, false), 0);
	assert_int_equal(fuse_file_may_set(&file, ino, true, 0, false), -EPERM);
	assert_int_equal(fuse_file_may_set(&file, ino, true, SIZE + 1, false), -EPERM);
	assert_int_equal(fuse_file_may_set(&file, ino, true, SIZE, true), -EPERM);
	assert_int_equal(fuse_file_may_set(&file, ino, false, 0, true), -EPERM);
	assert_int_equal(fuse_file_may_set(&file, 1, false, 0, true), -EPERM);
}

static void ranges_are_cut_at_the_end(void **state)
{
	static const struct {
		uint64_t offset, length;
		int error;
		uint64_t clipped;
	} cases[] = {
	        {0, 10, 0, 10},           {0, SIZE, 0, SIZE},   {SIZE - 1, 2, 0, 1},
	        {0, UINT64_MAX, 0, SIZE}, {SIZE, 1, -EFBIG, 0}, {UINT64_MAX, 1, -EFBIG, 0},
	};
	struct fuse_file file = make_file(false);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t clipped = 0;

		assert_int_equal(fuse_file_clip(&file, cases[i].offset, cases[i].length, &clipped),
		                 cases[i].error);
		assert_int_equal(clipped, cases[i].clipped);
	}
}

static void modes_of_fallocate(void **state)
{
	enum {
		KEEP = FALLOC_FL_KEEP_SIZE,
		PUNCH = FALLOC_FL_PUNCH_HOLE | KEEP,
		ZERO = FALLOC_FL_ZERO_RANGE
	};
	static const struct {
		int mode;
		uint64_t offset, length;
		int error;
		enum fuse_file_range range;
		uint64_t clipped;
	} cases[] = {
	        {0, 0, SIZE, 0, RANGE_ALLOCATE, SIZE},
	        {0, 1, SIZE, -EFBIG, 0, 0},
	        {KEEP, 0, 1, -EOPNOTSUPP, 0, 0},
	        {PUNCH, 5, 10, 0, RANGE_PUNCH, 10},
	        {PUNCH, SIZE - 5, 10, 0, RANGE_PUNCH, 5},
	        {PUNCH, SIZE, 10, 0, RANGE_NOTHING, 0},
	        {FALLOC_FL_PUNCH_HOLE, 0, 1, -EOPNOTSUPP, 0, 0},
	        {ZERO, 5, 10, 0, RANGE_ZERO, 10},
	        {ZERO, SIZE - 5, 10, -EFBIG, 0, 0},
	        {ZERO | KEEP, SIZE - 5, 10, 0, RANGE_ZERO, 5},
	        {ZERO | KEEP, SIZE + 5, 10, 0, RANGE_NOTHING, 0},
	        {ZERO, UINT64_MAX, 10, -EFBIG, 0, 0},
	        {FALLOC_FL_COLLAPSE_RANGE, 0, 4096, -EOPNOTSUPP, 0, 0},
	        {FALLOC_FL_INSERT_RANGE, 0, 4096, -EOPNOTSUPP, 0, 0},
	};
	struct fuse_file file = make_file(false);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum fuse_file_range range = RANGE_NOTHING;
		uint64_t clipped = 0;

		assert_int_equal(fuse_file_plan_range(&file, cases[i].mode, cases[i].offset,
		                                      cases[i].length, &range, &clipped),
		                 cases[i].error);
		assert_int_equal(range, cases[i].range);
		assert_int_equal(clipped, cases[i].clipped);
	}
}

static void http_dates(void **state)
{
	int64_t seconds = 0;

	(void)state;
	assert_true(file_times_parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", &seconds));
	assert_int_equal(seconds, 784111777);
	assert_false(file_times_parse_http_date("", &seconds));
	assert_false(file_times_parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT, x", &seconds));
	assert_false(file_times_parse_http_date("yesterday", &seconds));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_folder_shows_one_file),
	        cmocka_unit_test(a_file_as_mountpoint_is_the_root_itself),
	        cmocka_unit_test(only_the_same_size_may_be_set),
	        cmocka_unit_test(ranges_are_cut_at_the_end),
	        cmocka_unit_test(modes_of_fallocate),
	        cmocka_unit_test(http_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
