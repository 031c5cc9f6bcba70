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
#include <sys/wait.h>
#include <unistd.h>

#include "core/state/lock.h"
#include "fake_clone.h"
#include "run_clonectl.h"

static void change(struct fake_clone *clone, const char *hydration, const char *reason,
                   uint64_t committed)
{
	cf_lock(&clone->lock);
	clone->status.hydration = hydration;
	(void)snprintf(clone->status.reason, sizeof(clone->status.reason), "%s", reason);
	clone->status.regions_committed = committed;
	cf_unlock(&clone->lock);
}

static void complete_clone_is_not_waited_for(void **state)
{
	struct fake_clone clone;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	change(&clone, "done", "", 1);
	RUN(&run, "wait");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "");
	assert_string_equal(run.err, "");
	RUN(&run, "wait", "--json", "one");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "\"regions_committed\": 1"));
	/* Complete stays complete when a later failure ends writing. */
	fake_clone_say(&clone, &clone.status.mode, "ro");
	RUN(&run, "wait");
	assert_int_equal(run.status, 0);
	fake_clone_end(&clone);
}

static void hopeless_clone_is_told_at_once(void **state)
{
	static const struct {
		const char *mode, *source_state, *digest;
		uint64_t committed;
		const char *part;
	} rows[] = {
	        {"ro", "ok", "unverified", 0, "read-only after a failure: why"},
	        {"fail", "ok", "unverified", 0, "has failed: why"},
	        {"fail", "ok", "unverified", 1, "has failed"},
	        {"rw", "changed", "unverified", 0, "source has changed"},
	        {"rw", "ok", "mismatch", 1, "digest"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_clone clone;
		struct run run;

		fake_clone_start_in(&clone, run_folder, "one");
		change(&clone, "stopped", "why", rows[i].committed);
		fake_clone_say(&clone, &clone.status.mode, rows[i].mode);
		fake_clone_say(&clone, &clone.status.source_state, rows[i].source_state);
		fake_clone_say(&clone, &clone.status.digest, rows[i].digest);
		RUN(&run, "wait");
		assert_int_equal(run.status, 1);
		assert_non_null(strstr(run.err, rows[i].part));
		fake_clone_end(&clone);
	}
}

static void paused_clone_is_waited_for_with_one_line(void **state)
{
	static const char *const words[] = {"wait", "one", NULL};
	struct fake_clone clone;
	struct running running;
	struct run run;
	const char *line;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	change(&clone, "paused", "somebody said so", 0);
	run_start(&running, words);
	fake_clone_wait_statuses(&clone, 3);
	change(&clone, "running", "", 0);
	fake_clone_wait_statuses(&clone, 2);
	change(&clone, "done", "", 1);
	run_join(&running, &run);
	assert_int_equal(run.status, 0);
	line = strstr(run.err, "is paused (somebody said so)");
	assert_non_null(line);
	assert_null(strstr(line + 1, "is paused"));
	fake_clone_end(&clone);
}

static void an_expected_digest_is_waited_for(void **state)
{
	static const struct {
		const char *digest;
		int status;
	} rows[] = {{"ok", 0}, {"impossible", 0}, {"mismatch", 1}};
	static const char *const words[] = {"wait", "one", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_clone clone;
		struct running running;
		struct run run;

		fake_clone_start_in(&clone, run_folder, "one");
		cf_lock(&clone.lock);
		clone.status.digest_expected = true;
		cf_unlock(&clone.lock);
		change(&clone, "done", "", 1);
		run_start(&running, words);
		fake_clone_wait_statuses(&clone, 3);
		fake_clone_say(&clone, &clone.status.digest, rows[i].digest);
		run_join(&running, &run);
		assert_int_equal(run.status, rows[i].status);
		fake_clone_end(&clone);
	}
}

/* Reads what the terminal shows until its other end is closed. */
static void read_terminal(int fd, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += n;
	buf[used] = '\0';
}

static void terminal_gets_a_bar(void **state)
{
	struct fake_clone clone;
	char text[8192];
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	pid_t pid;
	int status;

	(void)state;
	if (terminal < 0)
		skip();
	assert_int_equal(grantpt(terminal) | unlockpt(terminal), 0);
	fake_clone_start_in(&clone, run_folder, "one");
	pid = fork();
	if (pid == 0) {
		int fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);

		if (fd < 0)
			_exit(126);
		(void)dup2(fd, STDERR_FILENO);
		if (fd != STDERR_FILENO)
			(void)close(fd);
		(void)execl(CLONECTL, CLONECTL, "wait", (char *)NULL);
		_exit(127);
	}
	fake_clone_wait_statuses(&clone, 2);
	change(&clone, "done", "", 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	read_terminal(terminal, text, sizeof(text));
	(void)close(terminal);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_non_null(strstr(text, "\r[..............................]   0.0 %"));
	assert_non_null(strstr(text, "\r[##############################] 100.0 %"));
	/* The shell's prompt begins on a line of its own. */
	assert_string_equal(text + strlen(text) - 2, "\r\n");
	fake_clone_end(&clone);
}

static void clone_that_ends_first_is_a_failure(void **state)
{
	static const char *const words[] = {"wait", "one", NULL};
	struct fake_clone clone;
	struct running running;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	run_start(&running, words);
	fake_clone_wait_statuses(&clone, 2);
	fake_clone_end(&clone);
	run_join(&running, &run);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "clone 'one' has ended at 0.0 %"));
}

static void timeout_ends_the_waiting(void **state)
{
	struct fake_clone clone;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	RUN(&run, "wait", "--timeout", "300ms");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "not complete in time"));
	/* The clone is asked at least once, however short the time is. */
	change(&clone, "done", "", 1);
	RUN(&run, "wait", "--timeout=0");
	assert_int_equal(run.status, 0);
	fake_clone_end(&clone);
}

static void make_clone_folder(const char *folder)
{
	char file[512];
	int fd;

	assert_int_equal(mkdir(folder, 0700), 0);
	(void)snprintf(file, sizeof(file), "%s/clone.json", folder);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void exit_waits_for_the_lock(void **state)
{
	struct running running;
	struct fake_clone clone;
	char folder[256];
	const char *const words[] = {"wait", "--exit", "ends", NULL};
	struct run run;
	int fd;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/ends", state_root);
	make_clone_folder(folder);
	fd = lock_take(folder, 0, NULL);
	assert_true(fd >= 0);
	RUN(&run, "wait", "--exit", "--timeout", "200ms", "ends");
	assert_int_equal(run.status, 1);
	assert_true(run.err[0]);
	fake_clone_start_in(&clone, run_folder, "ends");
	fake_clone_say(&clone, &clone.status.state_dir, folder);
	RUN(&run, "wait", "--exit", "--timeout", "200ms");
	assert_int_equal(run.status, 1);
	RUN(&run, "wait", "--exit", "--timeout", "200ms", clone.socket_path);
	assert_int_equal(run.status, 1);
	fake_clone_end(&clone);
	run_start(&running, words);
	lock_release(fd, folder, false);
	run_join(&running, &run);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	RUN(&run, "wait", "--exit", folder);
	assert_int_equal(run.status, 0);
	RUN(&run, "wait", "--exit", "no-such-clone");
	assert_int_equal(run.status, 1);
}

/* After umount the mountpoint is an ordinary folder: whoever is still closing is waited for. */
static void exit_by_former_mountpoint(void **state)
{
	char folder[256], mountpoint[256];
	struct run run;
	int fd;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/closing", state_root);
	(void)snprintf(mountpoint, sizeof(mountpoint), "%s/mnt", work_folder);
	assert_int_equal(mkdir(mountpoint, 0700), 0);
	make_clone_folder(folder);
	fd = lock_take(folder, 0, NULL);
	assert_true(fd >= 0);
	/* Held by one that runs: not the one meant, or its socket would have told. */
	RUN(&run, "wait", "--exit", mountpoint);
	assert_int_equal(run.status, 0);
	lock_set_closing(fd);
	RUN(&run, "wait", "--exit", "--timeout", "200ms", mountpoint);
	assert_int_equal(run.status, 1);
	lock_release(fd, folder, false);
	RUN(&run, "wait", "--exit", mountpoint);
	assert_int_equal(run.status, 0);
	/* Without --exit it is no clone. */
	RUN(&run, "wait", mountpoint);
	assert_int_equal(run.status, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(complete_clone_is_not_waited_for),
	        cmocka_unit_test(hopeless_clone_is_told_at_once),
	        cmocka_unit_test(paused_clone_is_waited_for_with_one_line),
	        cmocka_unit_test(an_expected_digest_is_waited_for),
	        cmocka_unit_test(terminal_gets_a_bar),
	        cmocka_unit_test(clone_that_ends_first_is_a_failure),
	        cmocka_unit_test(timeout_ends_the_waiting),
	        cmocka_unit_test(exit_waits_for_the_lock),
	        cmocka_unit_test(exit_by_former_mountpoint),
	};

	return cmocka_run_group_tests(tests, surroundings_setup, surroundings_teardown);
}
