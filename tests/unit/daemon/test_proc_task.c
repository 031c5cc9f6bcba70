#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc_task.h"

#define KILL_BIT (1u << (SIGKILL - 1))
#define TERM_BIT (1u << (SIGTERM - 1))
#define ALRM_BIT (1u << (SIGALRM - 1))

static void status_is_parsed(void **state)
{
	struct proc_status status;

	(void)state;
	assert_true(proc_status_parse("Name:\tx\nTgid:\t42\nPid:\t43\nSigQ:\t0/9\n"
	                              "SigPnd:\t0000000000000100\nShdPnd:\t0000000000004000\n"
	                              "SigBlk:\t0000000000002000\nSigIgn:\t0\n",
	                              &status));
	assert_int_equal(status.tgid, 42);
	assert_int_equal(status.pending, KILL_BIT | TERM_BIT);
	assert_int_equal(status.blocked, ALRM_BIT);
}

static void status_without_its_lines_is_refused(void **state)
{
	static const char *const texts[] = {
	        "",
	        "Tgid:\t1\n",
	        "Tgid:\t1\nSigPnd:\t0\nShdPnd:\t0\n",
	        "Tgid:\t1\nSigPnd:\t\nShdPnd:\t0\nSigBlk:\tzz\n",
	        "xTgid:\t1\nSigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\n",
	};
	struct proc_status status;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(proc_status_parse(texts[i], &status));
}

static void stat_is_parsed_whatever_the_name(void **state)
{
	static const char *const names[] = {"cat", "a b", ")", ") R 1 2", "(("};
	struct proc_stat stat;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text),
		         "7 (%s) D 1 2 3 4 5 4194308 7 8 9 10 11 12 13 14 15 16 17 18 98765 20\n",
		         names[i]);
		assert_true(proc_stat_parse(text, &stat));
		assert_int_equal(stat.state, 'D');
		assert_int_equal(stat.flags, 4194308);
		assert_int_equal(stat.started, 98765);
	}
	assert_false(proc_stat_parse("", &stat));
	assert_false(proc_stat_parse("7 (x) D 1 2 3", &stat));
}

static void verdicts_follow_signals_and_flags(void **state)
{
	static const struct {
		uint64_t pending, blocked, flags;
		char task_state;
		bool dying, ending;
	} cases[] = {
	        {0, 0, 0, 'D', false, false},
	        {KILL_BIT, 0, 0, 'D', true, true},
	        {KILL_BIT, KILL_BIT, 0, 'D', true, true},
	        {TERM_BIT, 0, 0, 'S', false, true},
	        {TERM_BIT, TERM_BIT, 0, 'S', false, false},
	        {ALRM_BIT, 0, 0, 'S', false, false},
	        {0, 0, 0x4, 'D', true, false},
	        {0, 0, 0, 'Z', true, false},
	        {KILL_BIT, 0, 0x00200000, 'D', false, false},
	        {0, 0, 0x00200004, 'D', false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct proc_status status = {.pending = cases[i].pending,
		                             .blocked = cases[i].blocked};
		struct proc_stat stat = {.state = cases[i].task_state, .flags = cases[i].flags};
		struct proc_verdict verdict = proc_judge(&status, &stat);

		assert_int_equal(verdict.dying, cases[i].dying);
		assert_int_equal(verdict.ending, cases[i].ending);
	}
}

static void a_living_process_is_neither(void **state)
{
	struct proc_task task = {0};
	struct proc_verdict verdict;

	(void)state;
	proc_task_look(getpid(), &task, &verdict);
	assert_false(verdict.dying || verdict.ending);
	assert_int_equal(task.tgid, getpid());
	assert_false(task.gone);
}

static void who_is_gone_at_the_first_look_is_never_asked(void **state)
{
	struct proc_task task = {0};
	struct proc_verdict verdict;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	proc_task_look(child, &task, &verdict);
	assert_true(task.gone);
	assert_false(verdict.dying || verdict.ending);
}

static void a_reused_pid_is_not_taken_for_the_process(void **state)
{
	struct proc_task task = {.tgid = getpid(), .started = 1};
	struct proc_verdict verdict;

	(void)state;
	proc_task_look(getpid(), &task, &verdict);
	assert_false(verdict.dying || verdict.ending);
}

static void a_process_that_has_exited_is_dying(void **state)
{
	struct proc_task task = {0};
	struct proc_verdict verdict;
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		pause();
		_exit(0);
	}
	proc_task_look(child, &task, &verdict);
	assert_false(verdict.dying);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	proc_task_look(child, &task, &verdict);
	assert_true(verdict.dying);
	assert_int_equal(waitpid(child, NULL, 0), child);
	proc_task_look(child, &task, &verdict);
	assert_false(verdict.dying);
}

static void a_blocked_signal_does_not_end_its_process(void **state)
{
	struct proc_task task = {0};
	struct proc_verdict verdict;
	int ready[2];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		sigset_t term;

		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
		raise(SIGTERM);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	proc_task_look(child, &task, &verdict);
	assert_false(verdict.dying || verdict.ending);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(ready[0]);
	close(ready[1]);
}

/* A thread that ends leaves its process alone to be asked. */

struct thread_arg {
	pid_t tid;
	int go[2];
	int ready[2];
};

static void *short_lived(void *arg)
{
	struct thread_arg *a = arg;
	char byte;

	a->tid = (pid_t)syscall(SYS_gettid);
	if (write(a->ready[1], "x", 1) == 1 && read(a->go[0], &byte, 1) == 1)
		return NULL;
	return NULL;
}

static void a_thread_that_ended_is_not_a_dying_process(void **state)
{
	struct proc_task task = {0};
	struct proc_verdict verdict;
	struct thread_arg arg;
	pthread_t thread;
	char byte;

	(void)state;
	assert_int_equal(pipe(arg.go), 0);
	assert_int_equal(pipe(arg.ready), 0);
	assert_int_equal(pthread_create(&thread, NULL, short_lived, &arg), 0);
	assert_int_equal(read(arg.ready[0], &byte, 1), 1);
	proc_task_look(arg.tid, &task, &verdict);
	assert_int_equal(task.tgid, getpid());
	assert_int_equal(write(arg.go[1], "x", 1), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	proc_task_look(arg.tid, &task, &verdict);
	assert_false(verdict.dying || verdict.ending);
	for (int i = 0; i < 2; i++) {
		close(arg.go[i]);
		close(arg.ready[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(status_is_parsed),
	        cmocka_unit_test(status_without_its_lines_is_refused),
	        cmocka_unit_test(stat_is_parsed_whatever_the_name),
	        cmocka_unit_test(verdicts_follow_signals_and_flags),
	        cmocka_unit_test(a_living_process_is_neither),
	        cmocka_unit_test(who_is_gone_at_the_first_look_is_never_asked),
	        cmocka_unit_test(a_reused_pid_is_not_taken_for_the_process),
	        cmocka_unit_test(a_process_that_has_exited_is_dying),
	        cmocka_unit_test(a_blocked_signal_does_not_end_its_process),
	        cmocka_unit_test(a_thread_that_ended_is_not_a_dying_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
