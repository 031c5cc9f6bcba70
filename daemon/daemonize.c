#include "daemon/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"

/* On the pipe: the exit status as one byte, then the sentence, then the end. */
static void write_report(int fd, int status, const char *sentence)
{
	unsigned char byte = (unsigned char)status;
	size_t length = strlen(sentence);

	/* A parent that was killed meanwhile has nobody to tell. */
	if (write(fd, &byte, 1) == 1 && length && write(fd, sentence, length) < 0)
		return;
}

static void print_sentence(const char *sentence)
{
	(void)fprintf(stderr, "mount.clonefs: %s\n", sentence);
}

static size_t read_until_end(int fd, char *buf, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, buf + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	return length;
}

static _Noreturn void wait_for_report(int fd, pid_t child)
{
	char report[CF_ERROR_TEXT_MAX + 2];
	size_t length = read_until_end(fd, report, sizeof(report) - 1);
	int how;

	report[length] = '\0';
	if (length > 1)
		print_sentence(report + 1);
	if (length > 0)
		_exit((unsigned char)report[0]);
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		;
	print_sentence("the daemon ended before it could say why");
	_exit(1);
}

/* The child's descriptors 0, 1 and 2 must exist: what is opened next must not become stderr. */
static int reserve_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* not O_CLOEXEC: it may stay as 0, 1 or 2 */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

int daemonize_begin(bool foreground, struct daemonize *ret_daemonize, struct cf_error *err)
{
	int ends[2];
	pid_t child;
	int r;

	ret_daemonize->report_fd = -1;
	r = reserve_standard_descriptors();
	if (r < 0)
		return cf_error_errno(err, r, "cannot open /dev/null");
	if (foreground)
		return 0;
	/* Whoever waits for the end of some pipe of his must not wait for the daemon's. */
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return cf_error_errno(err, -errno, "cannot make a pipe");
	child = fork();
	if (child < 0) {
		r = -errno;
		(void)close(ends[0]);
		(void)close(ends[1]);
		return cf_error_errno(err, r, "cannot fork");
	}
	if (child > 0) {
		(void)close(ends[1]);
		wait_for_report(ends[0], child);
	}
	(void)close(ends[0]);
	ret_daemonize->report_fd = ends[1];
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)setsid();
	if (chdir("/") < 0)
		return cf_error_errno(err, -errno, "cannot change to the folder /");
	return 0;
}

void daemonize_ready(struct daemonize *daemonize)
{
	CF_AUTO_CLOSE int null = -1;

	if (daemonize->report_fd < 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	write_report(daemonize->report_fd, 0, "");
	(void)close(cf_steal_fd(&daemonize->report_fd));
}

void daemonize_fail(struct daemonize *daemonize, int status, const char *sentence)
{
	if (daemonize->report_fd < 0) {
		print_sentence(sentence);
		return;
	}
	write_report(daemonize->report_fd, status, sentence);
	(void)close(cf_steal_fd(&daemonize->report_fd));
}
