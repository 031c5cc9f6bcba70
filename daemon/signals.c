#include "daemon/signals.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"

static void signals_that_end(sigset_t *ret_set)
{
	(void)sigemptyset(ret_set);
	(void)sigaddset(ret_set, SIGTERM);
	(void)sigaddset(ret_set, SIGINT);
}

int signals_open(int *ret_fd, struct cf_error *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t ends, blocked;
	int fd;
	int r;

	signals_that_end(&ends);
	blocked = ends;
	/* Wakes one thread only, which unblocks it (fuse_loop.c). */
	(void)sigaddset(&blocked, SIGUSR1);
	if (sigaction(SIGHUP, &ignore, NULL) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0)
		return cf_error_errno(err, -errno, "cannot ignore signals");
	r = -pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	if (r < 0)
		return cf_error_errno(err, r, "cannot block signals");
	fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return cf_error_errno(err, -errno, "cannot make a signalfd");
	*ret_fd = fd;
	return 0;
}

const char *signals_take(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return NULL;
	return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}

bool signals_sleep(uint64_t ms)
{
	uint64_t end_ns = clock_monotonic_ns() + ms * CF_NS_PER_MS;
	CF_AUTO_CLOSE int fd = -1;
	struct pollfd news = {.events = POLLIN};
	sigset_t ends;

	signals_that_end(&ends);
	fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	news.fd = fd; /* -1: poll() ignores it */
	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		uint64_t left_ms = now_ns < end_ns ? (end_ns - now_ns) / CF_NS_PER_MS + 1 : 0;

		if (!left_ms)
			return false;
		if (poll(&news, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX) > 0)
			return true;
	}
}
