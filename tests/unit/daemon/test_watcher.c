#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "daemon/watcher.h"

#define MS(n) ((uint64_t)(n)*CF_NS_PER_MS)

static void who_is_looked_at(void **state)
{
	static const struct {
		pid_t pid;
		bool gone;
		uint64_t age_ms;
		bool interrupted;
		bool due;
	} cases[] = {
	        {1, false, 499, false, false}, {1, false, 500, false, true}, /* W3 */
	        {1, false, 0, true, true},                                   /* W2 */
	        {0, false, 9999, true, false},                               /* W1 */
	        {1, true, 9999, true, false},                                /* W1 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct pending_view view = {
		        .pid = cases[i].pid,
		        .task.gone = cases[i].gone,
		        .arrived_ns = MS(1000),
		        .interrupted_ns = cases[i].interrupted ? MS(1000) : 0,
		};

		assert_int_equal(watcher_is_due(&view, MS(1000 + cases[i].age_ms)), cases[i].due);
	}
}

static void who_is_ended(void **state)
{
	static const struct {
		uint64_t since_interrupt_ms; /* 0: none came */
		bool dying, ending;
		bool ends;
	} cases[] = {
	        {0, false, false, false}, {0, true, false, true},     {0, false, true, false},
	        {1, true, true, true},    {1, false, true, false},    {499, false, true, false},
	        {500, false, true, true}, {500, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t now = MS(100000);
		const struct pending_view view = {
		        .pid = 1,
		        .arrived_ns = MS(1),
		        .interrupted_ns = cases[i].since_interrupt_ms
		                                  ? now - MS(cases[i].since_interrupt_ms)
		                                  : 0,
		};
		const struct proc_verdict verdict = {cases[i].dying, cases[i].ending};

		assert_int_equal(watcher_should_end(&view, now, &verdict), cases[i].ends);
	}
}

/* The thread itself, with a request of a process that is killed. */

static atomic_int last_error;
static struct pending *waiting;

static void engine_cancel(void *user, struct image_request *req, int error)
{
	(void)user;
	(void)req;
	if (atomic_exchange(&last_error, error) == 0)
		pending_finish(waiting);
}

static void engine_put(struct image_request *req)
{
	(void)req;
}

static atomic_int nr_ticks;

static void count_tick(void *user)
{
	(void)user;
	atomic_fetch_add(&nr_ticks, 1);
}

static void the_request_of_a_killed_process_is_ended(void **state)
{
	const struct pending_engine engine = {.cancel = engine_cancel, .put = engine_put};
	struct pending_table *table = pending_table_new(&engine);
	static char request;
	struct watcher *watcher;
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		for (;;)
			pause();
	}
	atomic_store(&last_error, 0);
	waiting = pending_add(table, child);
	pending_attach(waiting, (struct image_request *)(void *)&request);
	assert_int_equal(watcher_start(table, count_tick, NULL, &watcher, NULL), 0);
	/* An interrupt makes it look at once, while the process is there; then it is killed. */
	assert_true(pending_interrupt(table, pending_number(waiting), clock_monotonic_ns()));
	watcher_wake(watcher);
	for (;;) {
		struct pending_view view;

		assert_int_equal(pending_list(table, 0, &view, 1), 1);
		if (view.task.tgid)
			break;
		usleep(1000);
	}
	assert_int_equal(last_error, 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	pending_wait_empty(table);
	assert_int_equal(last_error, -EINTR);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (nr_ticks == 0)
		usleep(1000);
	watcher_stop(watcher);
	pending_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(who_is_looked_at),
	        cmocka_unit_test(who_is_ended),
	        cmocka_unit_test(the_request_of_a_killed_process_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
