#include "daemon/stop_guard.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/signals.h"

#define EXIT_FAILED 1

struct stop_guard {
	pthread_t thread;
	char *name; /* owned */
	int signal_fd;
	int end_fd; /* owned; readable: the thread is to end */
	unsigned int nr_signals;
	uint64_t grace_ms;
};

static void end_now(const struct stop_guard *guard)
{
	log_error("%s: the end hangs and was asked for %u times: ending without the last commit",
	          guard->name, guard->nr_signals);
	_exit(EXIT_FAILED);
}

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (deadline_ns == UINT64_MAX)
		return -1;
	return now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / CF_NS_PER_MS + 1) : 0;
}

static void *stop_guard_main(void *arg)
{
	struct stop_guard *guard = arg;
	uint64_t deadline_ns = UINT64_MAX;
	struct pollfd fds[] = {
	        {.fd = guard->end_fd, .events = POLLIN},
	        {.fd = guard->signal_fd, .events = POLLIN},
	};

	for (;;) {
		if (guard->nr_signals >= 3)
			end_now(guard);
		if (guard->nr_signals == 2 && deadline_ns == UINT64_MAX)
			deadline_ns = clock_monotonic_ns() + guard->grace_ms * CF_NS_PER_MS;
		(void)poll(fds, 2, remaining_ms(deadline_ns));
		if (fds[0].revents)
			return NULL;
		if (fds[1].revents && signals_take(guard->signal_fd))
			guard->nr_signals++;
		if (clock_monotonic_ns() >= deadline_ns)
			end_now(guard);
	}
}

static int start(struct stop_guard *guard)
{
	if (!guard->name)
		return -ENOMEM;
	guard->end_fd = eventfd(0, EFD_CLOEXEC);
	if (guard->end_fd < 0)
		return -errno;
	return -pthread_create(&guard->thread, NULL, stop_guard_main, guard);
}

static void release(struct stop_guard *guard)
{
	if (guard->end_fd >= 0)
		(void)close(guard->end_fd);
	free(guard->name);
	free(guard);
}

struct stop_guard *stop_guard_new(const char *name, int signal_fd, unsigned int nr_signals,
                                  uint64_t grace_ms)
{
	struct stop_guard *guard = calloc(1, sizeof(*guard));
	int r = -ENOMEM;

	if (guard) {
		*guard = (struct stop_guard){
		        .name = strdup(name),
		        .signal_fd = signal_fd,
		        .end_fd = -1,
		        .nr_signals = nr_signals,
		        .grace_ms = grace_ms,
		};
		r = start(guard);
	}
	if (r == 0) {
		(void)pthread_setname_np(guard->thread, "clonefs-guard");
		return guard;
	}
	log_warn("%s: more signals will not hurry the end error=%d", name, -r);
	if (guard)
		release(guard);
	return NULL;
}

void stop_guard_free(struct stop_guard *guard)
{
	if (!guard)
		return;
	(void)eventfd_write(guard->end_fd, 1);
	(void)pthread_join(guard->thread, NULL);
	release(guard);
}
