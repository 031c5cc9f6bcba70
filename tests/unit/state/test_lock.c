/* Locks between processes: children tell through pipes what they have done, nobody sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/state/holder.h"
#include "core/state/lock.h"

#define A_MINUTE (UINT64_C(60) * CF_NS_PER_S)

static char folder[64];

struct child {
	pid_t pid;
	int to;   /* one byte makes it go on */
	int from; /* one byte: it has done a step */
};

static int make_folder(void **context)
{
	(void)context;
	strcpy(folder, "/tmp/clonefs-lock-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **context)
{
	char path[128];

	(void)context;
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	(void)unlink(path);
	return rmdir(folder);
}

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(9);
}

static bool hear(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

/* Holds the lock, then is closing, then lets go and lives on; a step for each byte. */
static void hold(int in, int out)
{
	int fd = lock_take(folder, 0, NULL);

	if (fd < 0)
		_exit(1);
	tell(out);
	if (!hear(in))
		_exit(2);
	lock_set_closing(fd);
	tell(out);
	if (!hear(in))
		_exit(3);
	lock_release(fd, folder, false);
	tell(out);
	(void)hear(in);
	_exit(0);
}

static struct child start_holder(void)
{
	struct child child;
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		close(in[1]);
		close(out[0]);
		hold(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	child.to = in[1];
	child.from = out[0];
	assert_true(hear(child.from));
	return child;
}

static void step(struct child *child)
{
	tell(child->to);
	assert_true(hear(child->from));
}

static void end(struct child *child, int signal)
{
	int status;

	if (signal)
		assert_int_equal(kill(child->pid, signal), 0);
	close(child->to);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	close(child->from);
}

static void assert_held_by(pid_t pid, bool closing)
{
	struct lock_holder holder;
	struct cf_error err;

	assert_int_equal(holder_find(folder, &holder, &err), 0);
	assert_int_equal(holder.pid, pid);
	assert_int_equal(holder.closing, closing);
}

static void assert_can_be_taken(void)
{
	struct cf_error err;
	int fd = lock_take(folder, 0, &err);

	assert_true(fd >= 0);
	assert_held_by(getpid(), false);
	lock_release(fd, folder, false);
}

static void a_held_lock_refuses_others_and_names_its_process(void **context)
{
	struct child child = start_holder();
	struct cf_error err;
	char expected[200];

	(void)context;
	(void)snprintf(expected, sizeof(expected), "the clone in %s is in use by process %d",
	               folder, (int)child.pid);
	assert_int_equal(lock_take(folder, clock_monotonic_ns() + A_MINUTE, &err), -EBUSY);
	assert_string_equal(err.text, expected);
	assert_held_by(child.pid, false);
	end(&child, 0);
	assert_can_be_taken();
}

static void a_killed_holders_text_does_not_count(void **context)
{
	struct child child = start_holder();

	(void)context;
	end(&child, SIGKILL);
	assert_held_by(0, false);
	assert_can_be_taken();
}

static void a_closing_holder_is_waited_for(void **context)
{
	struct child child = start_holder();
	struct cf_error err;
	int fd;

	(void)context;
	step(&child);
	assert_held_by(child.pid, true);
	assert_int_equal(lock_take(folder, clock_monotonic_ns(), &err), -EBUSY);
	assert_non_null(strstr(err.text, "which is still closing"));
	tell(child.to);
	fd = lock_take(folder, clock_monotonic_ns() + A_MINUTE, &err);
	assert_true(fd >= 0);
	assert_held_by(getpid(), false);
	lock_release(fd, folder, false);
	end(&child, 0);
}

static void a_lock_let_go_is_free_although_the_process_lives(void **context)
{
	struct child child = start_holder();

	(void)context;
	step(&child);
	step(&child);
	assert_held_by(0, false);
	assert_can_be_taken();
	end(&child, 0);
}

static void looking_waits_as_long_as_asked(void **context)
{
	struct child child = start_holder();
	struct lock_holder holder;
	struct cf_error err;

	(void)context;
	assert_int_equal(holder_wait_free(folder, clock_monotonic_ns(), &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "is still in use by process"));
	/* Not closing: there is nothing to wait for. */
	assert_int_equal(holder_wait_closing(folder, UINT64_MAX, &holder, &err), 0);
	assert_int_equal(holder.pid, child.pid);
	step(&child);
	assert_int_equal(holder_wait_closing(folder, clock_monotonic_ns(), &holder, &err), 0);
	assert_int_equal(holder.pid, child.pid);
	assert_true(holder.closing);
	tell(child.to);
	assert_int_equal(holder_wait_closing(folder, UINT64_MAX, &holder, &err), 0);
	assert_int_equal(holder.pid, 0);
	assert_int_equal(holder_wait_free(folder, 0, &err), 0);
	end(&child, 0);
}

/* Its taker has not written its name yet, so what is there is somebody's who was killed. */
static void a_lock_with_a_dead_name_is_held_by_somebody_unknown(void **context)
{
	char path[128];
	struct cf_error err;
	int fd;

	(void)context;
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* more than any process number can be */
	assert_int_equal(write(fd, "1073741823\n", 11), 11);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_held_by(HOLDER_UNKNOWN, true);
	assert_int_equal(holder_wait_free(folder, 0, &err), -ETIMEDOUT);
	assert_null(strstr(err.text, "process"));
	assert_int_equal(lock_take(folder, 0, &err), -EBUSY);
	assert_null(strstr(err.text, "process"));
	close(fd);
}

static void nothing_there_is_held_by_nobody(void **context)
{
	struct lock_holder holder = {.pid = 5};
	struct cf_error err;

	(void)context;
	assert_held_by(0, false);
	assert_int_equal(holder_find("/no-such-folder", &holder, &err), 0);
	assert_int_equal(holder.pid, 0);
	assert_int_equal(lock_take("/no-such-folder", 0, &err), -ENOENT);
}

/* A waiter whose file was deleted by the one it waited for must not believe it holds the lock. */
static void a_lock_that_was_deleted_is_made_anew(void **context)
{
	char path[128];
	struct stat before, after;
	int old, fd;

	(void)context;
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	old = lock_take(folder, 0, NULL);
	assert_true(old >= 0);
	assert_int_equal(fstat(old, &before), 0);
	lock_release(dup(old), folder, true);
	fd = lock_take(folder, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mode & 07777, 0600);
	close(old);
	lock_release(fd, folder, false);
}

/* Has the process opened the lock file already? */
static bool has_lock_open(pid_t pid)
{
	char command[200];

	(void)snprintf(command, sizeof(command), "ls -l /proc/%d/fd 2>&1 | grep -q '%s/lock'",
	               (int)pid, folder);
	return system(command) == 0;
}

static void a_waiter_whose_lock_is_deleted_takes_the_new_one(void **context)
{
	int fd = lock_take(folder, 0, NULL);
	int status;
	pid_t pid;

	(void)context;
	assert_true(fd >= 0);
	lock_set_closing(fd);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct stat mine, named;
		char path[128];
		int own;

		close(fd);
		own = lock_take(folder, clock_monotonic_ns() + A_MINUTE, NULL);
		(void)snprintf(path, sizeof(path), "%s/lock", folder);
		if (own < 0 || fstat(own, &mine) < 0 || stat(path, &named) < 0)
			_exit(1);
		_exit(mine.st_ino == named.st_ino ? 0 : 2);
	}
	while (!has_lock_open(pid))
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	lock_release(fd, folder, true);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void looking_does_not_keep_anybody_from_taking(void **context)
{
	char path[128];
	struct cf_error err;
	int looker, fd;
	pid_t pid;
	int status;

	(void)context;
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	assert_can_be_taken();
	looker = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(looker, LOCK_SH | LOCK_NB), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Lets go at once, like a real looker. */
		(void)flock(looker, LOCK_UN);
		_exit(0);
	}
	fd = lock_take(folder, clock_monotonic_ns() + A_MINUTE, &err);
	assert_true(fd >= 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(looker);
	lock_release(fd, folder, false);
}

static void a_locked_file_leads_to_its_process_and_whether_it_is_closing(void **context)
{
	struct lock_holder holder;
	char path[128];
	int file, lock;

	(void)context;
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	assert_int_equal(holder_find_file(path, &holder), 0);
	assert_int_equal(holder.pid, 0);
	assert_int_equal(flock(file, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(holder_find_file(path, &holder), 0);
	assert_int_equal(holder.pid, getpid());
	assert_false(holder.closing);
	lock = lock_take(folder, 0, NULL);
	assert_int_equal(holder_find_file(path, &holder), 0);
	assert_false(holder.closing);
	lock_set_closing(lock);
	assert_int_equal(holder_find_file(path, &holder), 0);
	assert_int_equal(holder.pid, getpid());
	assert_true(holder.closing);
	lock_release(lock, folder, false);
	close(file);
	assert_int_equal(holder_find_file(path, &holder), 0);
	assert_int_equal(holder.pid, 0);
	assert_int_equal(unlink(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_held_lock_refuses_others_and_names_its_process),
	        TEST(a_killed_holders_text_does_not_count),
	        TEST(a_closing_holder_is_waited_for),
	        TEST(a_lock_let_go_is_free_although_the_process_lives),
	        TEST(looking_waits_as_long_as_asked),
	        TEST(a_lock_with_a_dead_name_is_held_by_somebody_unknown),
	        TEST(nothing_there_is_held_by_nobody),
	        TEST(a_lock_that_was_deleted_is_made_anew),
	        TEST(a_waiter_whose_lock_is_deleted_takes_the_new_one),
	        TEST(looking_does_not_keep_anybody_from_taking),
	        TEST(a_locked_file_leads_to_its_process_and_whether_it_is_closing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
