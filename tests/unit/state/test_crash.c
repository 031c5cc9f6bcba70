/*
 * Creation, cut or broken at each system call that changes something: the linker's --wrap counts
 * them here. A process that ends at any of them leaves what the next one begins again or opens; one
 * whose call fails takes away what it made.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/metadata/metadata.h"
#include "state_fixture.h"

#define EXIT_CRASHED 77
#define TRACE_MAX    200

enum fault { FAULT_NONE, FAULT_CRASH_BEFORE, FAULT_CRASH_AFTER, FAULT_FAIL };

static enum fault fault;
static unsigned int left; /* calls until it happens; 0: not armed */
static int fault_errno;
static bool tracing;
static char trace[TRACE_MAX][PATH_MAX + 32]; /* "call path" */
static unsigned int nr_traced;

static void note(const char *call, const char *path)
{
	if (tracing && nr_traced < TRACE_MAX)
		(void)snprintf(trace[nr_traced++], sizeof(trace[0]), "%s %s", call, path);
}

static void note_fd(const char *call, int fd)
{
	char link_[64], path[PATH_MAX] = "";

	(void)snprintf(link_, sizeof(link_), "/proc/self/fd/%d", fd);
	if (readlink(link_, path, sizeof(path) - 1) > 0)
		note(call, path);
}

/* True: the call is to fail. */
static bool before(void)
{
	if (!left || --left)
		return false;
	if (fault == FAULT_CRASH_BEFORE)
		_exit(EXIT_CRASHED);
	if (fault == FAULT_FAIL) {
		errno = fault_errno;
		return true;
	}
	left = fault == FAULT_CRASH_AFTER ? UINT_MAX : 0;
	return false;
}

static void after(void)
{
	if (left == UINT_MAX)
		_exit(EXIT_CRASHED);
}

/* A wrapper of @call with the given parameters. */
#define WRAP(type, call, parameters, arguments, noted) \
	type __real_##call parameters;                 \
	type __wrap_##call parameters;                 \
	type __wrap_##call parameters                  \
	{                                              \
		type r;                                \
                                                       \
		if (before())                          \
			return -1;                     \
		noted;                                 \
		r = __real_##call arguments;           \
		after();                               \
		return r;                              \
	}

WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), note("mkdir", path))
WRAP(int, fsync, (int fd), (fd), note_fd("sync", fd))
WRAP(int, fdatasync, (int fd), (fd), note_fd("sync", fd))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), note_fd("mode", fd))
WRAP(int, rename, (const char *from, const char *to), (from, to), note("rename", to))
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to),
     note("rename", to))
WRAP(int, unlink, (const char *path), (path), note("unlink", path))
WRAP(int, ftruncate64, (int fd, off_t size), (fd, size), note_fd("write", fd))
WRAP(int, fallocate64, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n),
     note_fd("write", fd))
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *iov, int nr, off_t at), (fd, iov, nr, at),
     note_fd("write", fd))
WRAP(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n), note_fd("write", fd))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode = 0;
	int fd;

	if (!(flags & O_CREAT))
		return __real_open64(path, flags);
	va_start(arguments, flags);
	mode = va_arg(arguments, mode_t);
	va_end(arguments);
	if (before())
		return -1;
	fd = __real_open64(path, flags, mode);
	after();
	return fd;
}

static void arm(enum fault what, unsigned int n, int error)
{
	fault = what;
	fault_errno = error;
	left = n;
}

/* Runs a creation that ends at call @n. True: it did; false: it came to its end before. */
static bool crashes_at(unsigned int n, enum fault what)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct state *state;

		arm(what, n, 0);
		if (state_acquire(&fixture.request, &state, NULL) < 0 ||
		    state_create(state, &fixture.identity, NULL) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == EXIT_CRASHED || WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == EXIT_CRASHED;
}

/* What mount does. */
static void mount_again(void)
{
	struct cf_error err = {0};
	struct state *state;
	bool was_new;

	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	was_new = state_config(state) == NULL;
	if (was_new && state_create(state, &fixture.identity, &err) < 0)
		fail_msg("not begun again: %s", err.text);
	if (state_open(state, &err) < 0)
		fail_msg("%s clone does not open: %s", was_new ? "new" : "old", err.text);
	assert_int_equal(state_destination(state)->size, IMAGE_SIZE);
	assert_int_equal(metadata_nr_regions(state_metadata(state)), 16);
	state_release(state);
}

static void own_parts(void)
{
}

static void given_files_to_make(void)
{
	fixture.request.destination = fixture_path("d");
	fixture.request.metadata = fixture_path("m");
}

static void given_zeroed_files(void)
{
	given_files_to_make();
	fixture_truncate(fixture_path("d"), IMAGE_SIZE);
	fixture_truncate(fixture_path("m"), 40960);
}

static void adopted_files(void)
{
	given_files_to_make();
	fixture_truncate(fixture_path("d"), IMAGE_SIZE);
	fixture_metadata(fixture_path("m"), IMAGE_SECTORS, 65536, 3);
}

static void (*const preparations[])(void) = {
        own_parts,
        given_files_to_make,
        given_zeroed_files,
        adopted_files,
};
#define NR_PREPARATIONS (sizeof(preparations) / sizeof(*preparations))

static void crash_everywhere(enum fault what)
{
	for (size_t p = 0; p < NR_PREPARATIONS; p++) {
		unsigned int n = 1;

		for (bool crashed = true; crashed; n++) {
			fixture_again();
			preparations[p]();
			crashed = crashes_at(n, what);
			mount_again();
			assert_true(fixture_exists(fixture_path("state/modified")) ==
			            (preparations[p] == adopted_files));
		}
		print_message("preparation %zu: %u calls\n", p, n - 2);
		assert_true(n > 10);
	}
}

static void a_creation_that_ends_before_any_call_is_begun_again(void **context)
{
	(void)context;
	crash_everywhere(FAULT_CRASH_BEFORE);
}

static void a_creation_that_ends_after_any_call_is_begun_again(void **context)
{
	(void)context;
	crash_everywhere(FAULT_CRASH_AFTER);
}

/* The creation alone: 0, or its error with everything gone that it made. */
static int create_with_fault(unsigned int n, int error, bool *ret_happened)
{
	struct cf_error err = {0};
	struct state *state;
	int r;

	arm(FAULT_FAIL, n, error);
	r = state_acquire(&fixture.request, &state, &err);
	if (r == 0) {
		r = state_create(state, &fixture.identity, &err);
		state_release(state);
	}
	*ret_happened = left == 0;
	arm(FAULT_NONE, 0, 0);
	if (r < 0) {
		assert_int_equal(r, err.code);
		assert_true(strlen(err.text) > 10);
	}
	return r;
}

static void a_call_that_fails_ends_the_creation_and_leaves_nothing(void **context)
{
	static const int errors[] = {ENOSPC, EIO};

	(void)context;
	for (size_t p = 0; p < NR_PREPARATIONS; p++) {
		bool happened = true;
		unsigned int failed = 0;

		for (unsigned int n = 1; happened; n++) {
			bool had_destination, has_destination;
			int r;

			fixture_again();
			preparations[p]();
			had_destination = fixture_exists(fixture_path("d"));
			r = create_with_fault(n, errors[n % 2], &happened);
			has_destination = fixture_exists(fixture_path("d"));
			if (r < 0) {
				failed++;
				assert_false(fixture_exists(fixture_path("state/clone.json")));
				assert_false(fixture_exists(fixture_path("state/disk.img")));
				assert_false(fixture_exists(fixture_path("state/metadata")));
				assert_int_equal(has_destination, had_destination);
			}
			mount_again();
		}
		assert_true(failed > 5);
	}
}

static int find_trace(const char *call, const char *path, int from)
{
	char wanted[PATH_MAX + 32];

	(void)snprintf(wanted, sizeof(wanted), "%s %s", call, path);
	for (int i = from; i < (int)nr_traced; i++)
		if (strcmp(trace[i], wanted) == 0)
			return i;
	return -1;
}

static int find_last(const char *call, const char *path)
{
	int found = -1;

	for (int i = find_trace(call, path, 0); i >= 0; i = find_trace(call, path, i + 1))
		found = i;
	return found;
}

static void assert_before(int first, int second)
{
	assert_true(first >= 0);
	assert_true(second > first);
}

static void each_step_is_durable_before_the_next(void **context)
{
	const char *disk = fixture_path("state/disk.img");
	const char *metadata = fixture_path("state/metadata.clonefs-new");
	const char *json = fixture_path("state/clone.json.new");
	const char *folder = fixture_path("state");
	struct cf_error err;
	struct state *state;
	int disk_written, disk_synced, metadata_written, metadata_synced, metadata_named;
	int folder_synced, json_written, json_synced, committed;

	(void)context;
	tracing = true;
	nr_traced = 0;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	tracing = false;
	state_release(state);
	assert_true(find_trace("sync", fixture_path(""), 0) < 0);
	disk_written = find_last("write", disk);
	disk_synced = find_trace("sync", disk, disk_written);
	metadata_written = find_last("write", metadata);
	metadata_synced = find_trace("sync", metadata, metadata_written);
	metadata_named = find_trace("rename", fixture_path("state/metadata"), 0);
	folder_synced = find_trace("sync", folder, metadata_named);
	json_written = find_trace("write", json, 0);
	json_synced = find_trace("sync", json, json_written);
	committed = find_trace("rename", "clone.json", 0);
	assert_before(disk_written, disk_synced);
	assert_before(disk_synced, find_trace("write", metadata, 0));
	assert_before(metadata_written, metadata_synced);
	assert_before(metadata_synced, metadata_named);
	assert_before(metadata_named, folder_synced);
	assert_before(folder_synced, json_written);
	assert_before(json_written, json_synced);
	assert_before(json_synced, committed);
	assert_before(committed, find_trace("sync", folder, committed));
}

static void parts_elsewhere_are_durable_in_their_folder(void **context)
{
	const char *json = fixture_path("state/clone.json.new");
	struct cf_error err;
	struct state *state;
	int disk_written, metadata_named, folder_synced;

	(void)context;
	given_files_to_make();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	tracing = true;
	nr_traced = 0;
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	tracing = false;
	state_release(state);
	disk_written = find_last("write", fixture_path("d"));
	metadata_named = find_trace("rename", fixture_path("m"), 0);
	folder_synced = find_trace("sync", fixture.folder, disk_written);
	assert_before(disk_written, folder_synced);
	assert_before(folder_synced, find_trace("write", fixture_path("m.clonefs-new"), 0));
	folder_synced = find_trace("sync", fixture.folder, metadata_named);
	assert_before(metadata_named, folder_synced);
	assert_before(folder_synced, find_trace("write", json, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_creation_that_ends_before_any_call_is_begun_again),
	        TEST(a_creation_that_ends_after_any_call_is_begun_again),
	        TEST(a_call_that_fails_ends_the_creation_and_leaves_nothing),
	        TEST(each_step_is_durable_before_the_next),
	        TEST(parts_elsewhere_are_durable_in_their_folder),
	};

	/* Processes die here, power does not: memory keeps what was written as well as a disk. */
	if (access("/dev/shm", W_OK) == 0)
		fixture_parent = "/dev/shm";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
