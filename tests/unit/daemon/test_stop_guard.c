/* The guard ends its process: each case has one of its own, whose exit status tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "daemon/signals.h"
#include "daemon/stop_guard.h"

#define LONG_MS UINT64_C(3600000)
#define FREED   7 /* the guard let the end come */
#define BLOCKED 8 /* could not be set up */

/* In a process of its own: an end that hangs after @nr_before signals, while @nr_sent come. */
static int hang(unsigned int nr_before, unsigned int nr_sent, uint64_t grace_ms, bool end_comes)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct stop_guard *guard;
		int fd;

		if (signals_open(&fd, NULL) < 0)
			_exit(BLOCKED);
		guard = stop_guard_new("test", fd, nr_before, grace_ms);
		for (unsigned int i = 0; i < nr_sent; i++) {
			sigset_t pending;

			(void)kill(getpid(), SIGTERM);
			/* Two that are pending at once would count as one. */
			do {
				struct timespec ms = {.tv_nsec = (long)CF_NS_PER_MS};

				(void)nanosleep(&ms, NULL);
				(void)sigpending(&pending);
			} while (sigismember(&pending, SIGTERM));
		}
		while (!end_comes)
			(void)pause();
		stop_guard_free(guard);
		_exit(FREED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void an_end_that_hangs_is_cut_short(void **state)
{
	static const struct {
		unsigned int nr_before, nr_sent;
		uint64_t grace_ms;
	} cases[] = {
	        {2, 0, 1},       /* a second signal while files were open */
	        {1, 1, 1},       /* the second one comes while the end hangs */
	        {0, 2, 1},       /* umount, then two */
	        {2, 1, LONG_MS}, /* a third one: at once */
	        {1, 2, LONG_MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		        hang(cases[i].nr_before, cases[i].nr_sent, cases[i].grace_ms, false), 1);
}

static void an_end_that_comes_is_left_alone(void **state)
{
	static const unsigned int cases[][2] = {{0, 0}, {1, 0}, {0, 1}, {2, 0}, {1, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(hang(cases[i][0], cases[i][1], LONG_MS, true), FREED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_end_that_hangs_is_cut_short),
	        cmocka_unit_test(an_end_that_comes_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
