#include "state_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/metadata/metadata.h"

struct fixture fixture;
const char *fixture_parent = "/tmp";

int fixture_setup(void **context)
{
	(void)context;
	(void)snprintf(fixture.folder, sizeof(fixture.folder), "%s/clonefs-state-XXXXXX",
	               fixture_parent);
	if (!mkdtemp(fixture.folder))
		return -1;
	fixture_truncate(fixture_path("source"), IMAGE_SIZE);
	if (source_name_parse(fixture_path("source"), &fixture.source, NULL) < 0)
		return -1;
	fixture.identity = (struct source_identity){.size = IMAGE_SIZE, .mtime_ns = 42};
	fixture.request = (struct state_request){
	        .source = fixture.source,
	        .state_dir = fixture_path("state"),
	};
	fixture.request.state_dir = strdup(fixture.request.state_dir);
	return 0;
}

int fixture_teardown(void **context)
{
	char command[128];

	(void)context;
	source_name_free(fixture.source);
	free((char *)(uintptr_t)fixture.request.state_dir);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", fixture.folder);
	return system(command);
}

void fixture_again(void)
{
	assert_int_equal(fixture_teardown(NULL), 0);
	assert_int_equal(fixture_setup(NULL), 0);
}

const char *fixture_path(const char *rest)
{
	static char buffers[16][256];
	static unsigned int turn;
	char *buffer = buffers[turn++ % 16];

	(void)snprintf(buffer, sizeof(buffers[0]), "%s/%s", fixture.folder, rest);
	return buffer;
}

void fixture_write(const char *path, const void *data, uint64_t length, uint64_t offset)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
	assert_int_equal(close(fd), 0);
}

void fixture_truncate(const char *path, uint64_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
}

uint64_t fixture_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

unsigned int fixture_mode(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

bool fixture_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

void fixture_metadata(const char *path, uint64_t sectors, uint64_t region_size,
                      uint64_t nr_hydrated)
{
	const struct metadata_params params = {sectors, region_size / 512, METADATA_FORMAT_IF_ZERO};
	struct metadata *metadata;
	struct block_io *io;
	struct cf_error err;

	fixture_truncate(path, 0);
	fixture_truncate(path, 1 << 20);
	assert_int_equal(block_io_open(path, 0, &io, &err), 0);
	assert_int_equal(metadata_open(io, &params, &metadata, &err), 0);
	if (nr_hydrated) {
		assert_int_equal(metadata_set_range(metadata, 0, nr_hydrated), 0);
		assert_int_equal(metadata_pre_commit(metadata, NULL, NULL), 0);
		assert_int_equal(metadata_commit(metadata, &err), 0);
	}
	metadata_close(metadata);
	block_io_close(io);
}

uint64_t fixture_digest(const char *path)
{
	uint64_t digest = UINT64_C(14695981039346656037);
	FILE *file = fopen(path, "r");
	int byte;

	assert_non_null(file);
	while ((byte = fgetc(file)) != EOF)
		digest = (digest ^ (unsigned int)byte) * UINT64_C(1099511628211);
	assert_int_equal(fclose(file), 0);
	return digest;
}

int fixture_try_create(const struct state_request *request, struct cf_error *err)
{
	struct state *state;
	int r = state_acquire(request, &state, err);

	if (r < 0)
		return r;
	assert_null(state_config(state));
	r = state_create(state, &fixture.identity, err);
	assert_true((r == 0) == (state_config(state) != NULL));
	if (r == 0)
		r = state_open(state, err);
	state_release(state);
	return r;
}

void fixture_create(void)
{
	struct cf_error err = {0};
	int r = fixture_try_create(&fixture.request, &err);

	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
}

int fixture_try_open(const struct state_request *request, struct cf_error *err)
{
	struct state *state;
	int r = state_acquire(request, &state, err);

	if (r < 0)
		return r;
	assert_non_null(state_config(state));
	r = state_open(state, err);
	assert_true((r == 0) == (state_metadata(state) != NULL));
	assert_true((r == 0) == (state_destination(state) != NULL));
	state_release(state);
	return r;
}

void fixture_assert_sentence(const char *text, const char *expected)
{
	char whole[CF_ERROR_TEXT_MAX] = "";

	for (const char *at = expected; *at; at++) {
		size_t used = strlen(whole);

		if (*at == '@')
			(void)snprintf(whole + used, sizeof(whole) - used, "%s", fixture.folder);
		else
			(void)snprintf(whole + used, sizeof(whole) - used, "%c", *at);
	}
	assert_string_equal(text, whole);
}
