/*
 * A disk that does not answer: a filesystem of our own (a child process) whose file can be read up
 * to its middle, and keeps whoever reads on waiting until the child is killed. Nobody but the
 * reader's thread may be held up by that. Needs root and /dev/fuse.
 */
#define FUSE_USE_VERSION 314
#include <fuse.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/registry.h"
#include "collector.h"

#define IMAGE      ((uint64_t)4 << 20)
#define STUCK_FROM ((uint64_t)2 << 20)
#define PATIENT_MS 120000
#define HASTY_MS   200

static char mountpoint[64];
static char path[80];
static pid_t child;

static int stuck_getattr(const char *name, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof(*st));
	st->st_mode = strcmp(name, "/") == 0 ? S_IFDIR | 0755 : S_IFREG | 0444;
	st->st_nlink = 1;
	st->st_size = strcmp(name, "/") == 0 ? 0 : (off_t)IMAGE;
	st->st_mtim.tv_sec = 1000000000;
	return 0;
}

static int stuck_open(const char *name, struct fuse_file_info *fi)
{
	(void)name;
	/* No read-ahead into the part that is stuck. */
	fi->direct_io = 1;
	return 0;
}

static int stuck_read(const char *name, char *buffer, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
	(void)name;
	(void)fi;
	while ((uint64_t)offset + size > STUCK_FROM)
		(void)pause();
	for (size_t i = 0; i < size; i++)
		buffer[i] = (char)pattern_byte((uint64_t)offset + i, 1);
	return (int)size;
}

static void serve(void)
{
	static const struct fuse_operations operations = {
	        .getattr = stuck_getattr, .open = stuck_open, .read = stuck_read};
	char program[] = "stuck", foreground[] = "-f";
	char *argv[] = {program, foreground, mountpoint, NULL};

	_exit(fuse_main(3, argv, &operations, NULL));
}

static void kill_child(void)
{
	if (child <= 0)
		return;
	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	child = 0;
}

static int mount_it(void **state)
{
	struct stat st;

	(void)state;
	(void)snprintf(mountpoint, sizeof(mountpoint), "/tmp/clonefs-stuck-XXXXXX");
	if (!mkdtemp(mountpoint))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/disk.raw", mountpoint);
	child = fork();
	if (child < 0)
		return -1;
	if (!child)
		serve();
	while (stat(path, &st) < 0) {
		if (waitpid(child, NULL, WNOHANG) == child)
			return -1;
		(void)usleep(5000);
	}
	return 0;
}

static int unmount_it(void **state)
{
	(void)state;
	kill_child();
	(void)umount2(mountpoint, MNT_DETACH);
	(void)rmdir(mountpoint);
	return 0;
}

static struct source *open_pinned(uint64_t stall_ms)
{
	const struct source_options options = {.stall_ms = stall_ms};
	struct cf_error err = {0};
	struct source_probe probe;
	struct source *source;

	assert_int_equal(source_open(path, &options, &source, &err), 0);
	if (source->ops->probe(source, PATIENT_MS, &probe, &err) < 0)
		fail_msg("%s", err.text);
	source->ops->pin(source, &probe.identity);
	free(probe.head);
	return source;
}

static void a_read_that_hangs_has_failed_in_time(void **state)
{
	struct source *source = open_pinned(PATIENT_MS);
	const struct source_limits hasty = {.max_connections = 1, .stall_ms = HASTY_MS};
	struct collector *c = collector_new(source, STUCK_FROM - 600000, 1000000);

	(void)state;
	collector_submit(c);
	/* Two pieces of 256 KiB come before the part that is stuck. */
	collector_wait_for_bytes(c, 512 * 1024);
	source->ops->configure(source, &hasty);
	assert_int_equal(collector_wait(c), SOURCE_FAILED);
	assert_non_null(strstr(c->outcome.error.text, "did not answer a read for 200 ms"));
	assert_int_equal(c->length, 512 * 1024);
	collector_assert_pattern(c, 1);
	collector_free(c);
	kill_child();
	source->ops->close(source);
}

static void whoever_reads_on_elsewhere_is_not_held_up(void **state)
{
	struct source *source = open_pinned(PATIENT_MS);
	struct collector *stuck = collector_new(source, STUCK_FROM, 1000);
	struct collector *fine = collector_new(source, 1000, 1000000);

	(void)state;
	collector_submit(stuck);
	assert_int_equal(collector_run(fine), SOURCE_OK);
	collector_assert_pattern(fine, 1);
	collector_free(fine);
	kill_child();
	assert_int_equal(collector_wait(stuck), SOURCE_FAILED);
	collector_free(stuck);
	source->ops->close(source);
}

static void cancel_and_close_do_not_wait_for_the_disk(void **state)
{
	struct source *source = open_pinned(PATIENT_MS);
	struct collector *c[10];

	(void)state;
	/* More than there are readers: some hang, the others are queued behind them. */
	for (unsigned int i = 0; i < 10; i++) {
		c[i] = collector_new(source, STUCK_FROM + i * 1000, 1000);
		collector_submit(c[i]);
	}
	for (unsigned int i = 0; i < 9; i++) {
		source->ops->cancel(source, &c[i]->req);
		assert_int_equal(collector_wait(c[i]), SOURCE_CANCELLED);
		collector_free(c[i]);
	}
	source->ops->close(source);
	assert_int_equal(c[9]->nr_done, 1);
	assert_int_equal(c[9]->outcome.result, SOURCE_CANCELLED);
	collector_free(c[9]);
	/* Readers that were left behind return now and clean up. */
	kill_child();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mount_it, unmount_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_read_that_hangs_has_failed_in_time),
	        TEST(whoever_reads_on_elsewhere_is_not_held_up),
	        TEST(cancel_and_close_do_not_wait_for_the_disk),
	};

	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
