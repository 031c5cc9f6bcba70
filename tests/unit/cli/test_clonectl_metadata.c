#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/metadata/metadata.h"
#include "run_clonectl.h"

#define NR_REGIONS UINT64_C(1000)

static char path[256];

/* Metadata of 1000 regions of 64 KiB, of which 3-9, 100 and 999 are hydrated. */
static int make_metadata(void **state)
{
	static const struct {
		uint64_t first, nr;
	} ranges[] = {{3, 7}, {100, 1}, {999, 1}};
	struct block_io *io;
	struct metadata *md;
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/metadata", work_folder);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 1 << 20) < 0 || close(fd) < 0 ||
	    block_io_open(path, 0, &io, NULL) < 0)
		return -1;
	if (metadata_open(io,
	                  &(struct metadata_params){.target_sectors = NR_REGIONS * 128 - 5,
	                                            .region_sectors = 128,
	                                            .mode = METADATA_FORMAT_IF_ZERO},
	                  &md, NULL) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (metadata_set_range(md, ranges[i].first, ranges[i].nr) < 0)
			return -1;
	if (metadata_pre_commit(md, NULL, NULL) < 0 || metadata_commit(md, NULL) < 0)
		return -1;
	metadata_close(md);
	block_io_close(io);
	return 0;
}

static void dump_shows_what_is_committed(void **state)
{
	struct run run;
	json_t *shown, *wanted;

	(void)state;
	RUN(&run, "dump", "--json", path);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	shown = json_loads(run.out, 0, NULL);
	assert_true(json_integer_value(json_object_get(shown, "metadata_blocks_used")) > 0);
	assert_int_equal(json_integer_value(json_object_get(shown, "metadata_blocks_total")), 256);
	(void)json_object_del(shown, "metadata_blocks_used");
	(void)json_object_del(shown, "metadata_blocks_total");
	wanted = json_loads("{\"nr_regions\":1000,\"region_size\":128,\"target_size\":127995,"
	                    "\"hydrated\":9,\"hydrated_ranges\":[[3,9],[100,100],[999,999]]}",
	                    0, NULL);
	assert_true(json_equal(shown, wanted));
	json_decref(shown);
	json_decref(wanted);
	RUN(&run, "dump", path);
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "3-9\n"));
}

static void clean_metadata_is_clean(void **state)
{
	struct run run;
	json_t *shown, *wanted;

	(void)state;
	RUN(&run, "check", path);
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "clean"));
	RUN(&run, "check", "--json", path);
	assert_int_equal(run.status, 0);
	shown = json_loads(run.out, 0, NULL);
	wanted = json_loads("{\"clean\":true,\"findings\":[]}", 0, NULL);
	assert_true(json_equal(shown, wanted));
	json_decref(shown);
	json_decref(wanted);
}

static void damage_is_shown_with_its_block(void **state)
{
	struct run run;
	json_t *shown, *finding;
	unsigned char byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	/* The root of the bitset is one of the first blocks; block 0 is left whole. */
	for (off_t block = 1; block < 8; block++) {
		assert_int_equal(pread(fd, &byte, 1, block * 4096 + 40), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, block * 4096 + 40), 1);
	}
	(void)close(fd);
	RUN(&run, "check", path);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.out, "damaged"));
	assert_non_null(strstr(run.out, "expected"));
	RUN(&run, "check", path, "--json");
	assert_int_equal(run.status, 1);
	shown = json_loads(run.out, 0, NULL);
	assert_true(json_is_false(json_object_get(shown, "clean")));
	finding = json_array_get(json_object_get(shown, "findings"), 0);
	assert_true(json_is_integer(json_object_get(finding, "block")));
	assert_true(json_is_string(json_object_get(finding, "what")));
	assert_true(json_is_string(json_object_get(finding, "expected")));
	assert_true(json_is_string(json_object_get(finding, "found")));
	assert_int_equal(json_object_size(finding), 4);
	json_decref(shown);
	RUN(&run, "dump", path);
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "");
	assert_non_null(strstr(run.err, path));
}

static void what_cannot_be_read_is_a_failure(void **state)
{
	struct run run;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *command = i ? "dump" : "check";

		RUN(&run, command, "/no/such/file");
		assert_int_equal(run.status, 1);
		assert_non_null(strstr(run.err, "/no/such/file"));
		RUN(&run, command, work_folder);
		assert_int_equal(run.status, 1);
		assert_non_null(strstr(run.err, "folder"));
		RUN(&run, command, "/dev/null");
		assert_int_equal(run.status, 1);
		assert_int_equal(truncate(path, 1000), 0);
		RUN(&run, command, path);
		assert_int_equal(run.status, 1);
	}
}

/* A clone that runs holds its metadata: looking at it is allowed all the same. */
static void metadata_in_use_can_be_read(void **state)
{
	struct run run;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	RUN(&run, "check", path);
	assert_int_equal(run.status, 0);
	RUN(&run, "dump", path);
	assert_int_equal(run.status, 0);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(dump_shows_what_is_committed, make_metadata),
	        cmocka_unit_test_setup(clean_metadata_is_clean, make_metadata),
	        cmocka_unit_test_setup(damage_is_shown_with_its_block, make_metadata),
	        cmocka_unit_test_setup(what_cannot_be_read_is_a_failure, make_metadata),
	        cmocka_unit_test_setup(metadata_in_use_can_be_read, make_metadata),
	};

	return cmocka_run_group_tests(tests, surroundings_setup, surroundings_teardown);
}
