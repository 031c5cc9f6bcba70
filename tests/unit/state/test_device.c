/* Block devices as destination and metadata: loop devices on files of the fixture. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/metadata/metadata.h"
#include "state_fixture.h"

static char destination[64], metadata[64];

/* A loop device on FOLDER/@file of @size bytes; false: this machine gives none. */
static bool attach(const char *file, uint64_t size, char *ret_device)
{
	char command[512] = "";
	FILE *out;
	bool ok;

	fixture_truncate(fixture_path(file), size);
	(void)snprintf(command, sizeof(command), "losetup -f --show '%s' 2>/dev/null",
	               fixture_path(file));
	out = popen(command, "r");
	ok = out && fscanf(out, "%63s", ret_device) == 1;
	if (!out || pclose(out) != 0 || !ok) {
		ret_device[0] = 0;
		return false;
	}
	return true;
}

static void detach(char *device)
{
	int fd = device[0] ? open(device, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)ioctl(fd, LOOP_CLR_FD, 0);
		(void)close(fd);
	}
	device[0] = 0;
}

static int setup(void **context)
{
	destination[0] = metadata[0] = 0;
	return fixture_setup(context);
}

static int teardown(void **context)
{
	detach(destination);
	detach(metadata);
	return fixture_teardown(context);
}

/* Devices of the given sizes, asked for; skips the test where there are none. */
static void use_devices(uint64_t destination_size, uint64_t metadata_size)
{
	if (geteuid() != 0 || !attach("d", destination_size, destination) ||
	    !attach("m", metadata_size, metadata))
		skip();
	fixture.request.destination = destination;
	fixture.request.metadata = metadata;
}

static void devices_carry_a_clone(void **context)
{
	struct state *state;
	struct cf_error err;

	(void)context;
	use_devices(1 << 20, 1 << 20);
	fixture_create();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_string_equal(state_config(state)->destination, destination);
	assert_string_equal(state_config(state)->metadata, metadata);
	assert_int_equal(state_open(state, &err), 0);
	assert_true(state_destination(state)->is_device);
	assert_int_equal(metadata_nr_regions(state_metadata(state)), 16);
	state_release(state);
}

static void the_rest_of_the_last_sector_becomes_zero(void **context)
{
	unsigned char tail[600];
	struct block_io *io;

	(void)context;
	use_devices(1 << 20, 1 << 20);
	memset(tail, 0xff, sizeof(tail));
	assert_int_equal(block_io_open(destination, 0, &io, NULL), 0);
	assert_int_equal(block_io_pwrite(io, tail, sizeof(tail), IMAGE_SIZE - 1), 0);
	block_io_close(io);
	fixture.request.overwrite_dest = true;
	fixture_create();
	assert_int_equal(block_io_open(destination, BLOCK_IO_READ_ONLY, &io, NULL), 0);
	assert_int_equal(block_io_pread(io, tail, sizeof(tail), IMAGE_SIZE - 1), 0);
	block_io_close(io);
	assert_int_equal(tail[0], 0xff);
	/* 1954 sectors end 447 bytes behind the image. */
	for (int i = 1; i <= 447; i++)
		assert_int_equal(tail[i], 0);
	assert_int_equal(tail[448], 0xff);
}

static void a_device_with_data_is_not_overwritten_unasked(void **context)
{
	struct block_io *io;
	struct cf_error err;

	(void)context;
	use_devices(1 << 20, 1 << 20);
	assert_int_equal(block_io_open(destination, 0, &io, NULL), 0);
	assert_int_equal(block_io_pwrite(io, "x", 1, 500000), 0);
	block_io_close(io);
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EEXIST);
	assert_non_null(strstr(err.text, destination));
	fixture.request.overwrite_dest = true;
	fixture_create();
}

static void a_device_that_is_too_small_is_refused_with_both_sizes(void **context)
{
	char expected[200];
	struct cf_error err;

	(void)context;
	use_devices((IMAGE_SECTORS - 1) * 512, 1 << 20);
	(void)snprintf(expected, sizeof(expected),
	               "destination %s has 999936 bytes, the image needs 1000448", destination);
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_string_equal(err.text, expected);
	detach(destination);
	detach(metadata);
	use_devices(1 << 20, 9 * 4096);
	(void)snprintf(expected, sizeof(expected),
	               "metadata %s has 36864 bytes, a clone of this size needs 40960", metadata);
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_string_equal(err.text, expected);
	assert_false(fixture_exists(fixture_path("state")));
}

static void a_device_in_use_is_refused(void **context)
{
	char *dirs[2] = {strdup(fixture_path("one")), strdup(fixture_path("two"))};
	struct state_request second;
	struct state *state;
	struct cf_error err;

	(void)context;
	use_devices(1 << 20, 1 << 20);
	second = fixture.request;
	second.state_dir = dirs[1];
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	second.metadata = fixture_path("m2");
	assert_int_equal(fixture_try_create(&second, &err), -EBUSY);
	assert_non_null(strstr(err.text, destination));
	assert_non_null(strstr(err.text, "is in use"));
	second.metadata = metadata;
	second.destination = fixture_path("d2");
	assert_int_equal(fixture_try_create(&second, &err), -EBUSY);
	assert_non_null(strstr(err.text, metadata));
	state_release(state);
	assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
	free(dirs[0]);
	free(dirs[1]);
}

static void a_link_to_the_source_device_is_the_source(void **context)
{
	struct source_name *source = NULL;
	struct cf_error err;

	(void)context;
	use_devices(1 << 20, 1 << 20);
	assert_int_equal(symlink(destination, fixture_path("link")), 0);
	assert_int_equal(source_name_parse(destination, &source, &err), 0);
	fixture.request.source = source;
	fixture.request.destination = fixture_path("link");
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is the source itself"));
	source_name_free(source);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(devices_carry_a_clone),
	        TEST(the_rest_of_the_last_sector_becomes_zero),
	        TEST(a_device_with_data_is_not_overwritten_unasked),
	        TEST(a_device_that_is_too_small_is_refused_with_both_sizes),
	        TEST(a_device_in_use_is_refused),
	        TEST(a_link_to_the_source_device_is_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
