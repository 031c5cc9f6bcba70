#include "daemon/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(int *ret_fd, struct cf_error *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t ends, blocked;
	int fd;
	int r;

	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
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
