/*
 * Invariants
 * L1  Whoever holds the lock holds it on the file that FOLDER/lock names: a waiter that got the
 *     lock of a deleted file begins anew.
 * L2  Looking takes a shared lock for an instant and only when it is free for one. Whoever takes
 *     the lock for good therefore tries again before believing in a holder.
 */
#include "core/state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"

#define POLL_MS            50
#define LOOKER_PATIENCE_MS 200 /* how long L2 tries again */

static int open_lock(const char *folder, int flags)
{
	CF_AUTO_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", folder, LOCK_FILE) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	return fd < 0 ? -errno : fd;
}

static void sleep_a_little(void)
{
	const struct timespec ts = {.tv_nsec = POLL_MS * (long)CF_NS_PER_MS};

	(void)nanosleep(&ts, NULL);
}

static void write_holder(int fd, const char *suffix)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%d%s\n", (int)getpid(), suffix);

	/*
	 * The first line counts, so a longer text below it does no harm until it is cut off, nor
	 * if it cannot be. The text is for people and for patience; the lock is what decides.
	 */
	if (pwrite(fd, text, (size_t)length, 0) != length || ftruncate(fd, length) < 0)
		return;
}

static void read_holder(int fd, struct lock_holder *ret)
{
	char text[64] = "";
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	char *end = text;
	long pid = length > 0 ? strtol(text, &end, 10) : 0;

	*ret = (struct lock_holder){0};
	/* A process that is gone cannot hold anything: the text is a killed one's. */
	if (end == text || pid <= 0 || (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
		return;
	ret->pid = (pid_t)pid;
	ret->closing = strncmp(end, " closing", strlen(" closing")) == 0;
}

/* L1 */
static bool is_current(int fd, const char *folder)
{
	CF_AUTO_CLOSE int now = open_lock(folder, O_RDONLY);
	struct stat ours;
	struct stat named;

	return now >= 0 && fstat(fd, &ours) == 0 && fstat(now, &named) == 0 &&
	       ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

static int refuse(const char *folder, const struct lock_holder *holder, struct cf_error *err)
{
	if (!holder->pid)
		return cf_error_set(err, -EBUSY, "the clone in %s is in use", folder);
	return cf_error_set(err, -EBUSY, "the clone in %s is in use by process %d%s", folder,
	                    (int)holder->pid, holder->closing ? ", which is still closing" : "");
}

/* One try at an open lock file. 1: taken; 0: not yet, try again; else refused. */
static int try_lock(int fd, const char *folder, uint64_t deadline_ns, uint64_t patience_ns,
                    struct cf_error *err)
{
	struct lock_holder holder;
	uint64_t now = clock_monotonic_ns();

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 1;
	if (errno == EINTR)
		return 0;
	if (errno != EWOULDBLOCK)
		return cf_error_errno(err, -errno, "locking %s/%s", folder, LOCK_FILE);
	read_holder(fd, &holder);
	if (now >= patience_ns && (!holder.closing || now >= deadline_ns))
		return refuse(folder, &holder, err);
	sleep_a_little();
	return 0;
}

int lock_take(const char *folder, uint64_t deadline_ns, struct cf_error *err)
{
	uint64_t patience_ns = clock_monotonic_ns() + LOOKER_PATIENCE_MS * CF_NS_PER_MS;

	for (;;) {
		CF_AUTO_CLOSE int fd = open_lock(folder, O_RDWR | O_CREAT);
		int r;

		if (fd < 0)
			return cf_error_errno(err, fd, "%s/%s", folder, LOCK_FILE);
		do
			r = try_lock(fd, folder, deadline_ns, patience_ns, err);
		while (r == 0);
		if (r < 0)
			return r;
		if (is_current(fd, folder)) {
			(void)fchmod(fd, 0600);
			write_holder(fd, "");
			return cf_steal_fd(&fd);
		}
	}
}

void lock_set_closing(int fd)
{
	write_holder(fd, " closing");
}

void lock_release(int fd, const char *folder, bool remove)
{
	CF_AUTO_FREE char *path = NULL;

	/* Who sees it held by a process that is letting go had better wait than refuse. */
	lock_set_closing(fd);
	if (remove && asprintf(&path, "%s/%s", folder, LOCK_FILE) >= 0)
		(void)unlink(path);
	(void)close(fd);
}

int holder_find(const char *state_dir, struct lock_holder *ret_holder, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = open_lock(state_dir, O_RDONLY);

	*ret_holder = (struct lock_holder){0};
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return cf_error_errno(err, fd, "%s/%s", state_dir, LOCK_FILE);
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return cf_error_errno(err, -errno, "looking at %s/%s", state_dir, LOCK_FILE);
	read_holder(fd, ret_holder);
	/* Held by somebody who has not written its name yet: it is known in a moment. */
	if (!ret_holder->pid)
		*ret_holder = (struct lock_holder){.pid = HOLDER_UNKNOWN, .closing = true};
	return 0;
}

/* Waits while somebody holds the lock, or (only_closing) while a closing one does. */
static int wait_while_held(const char *state_dir, bool only_closing, uint64_t deadline_ns,
                           struct lock_holder *ret_holder, struct cf_error *err)
{
	for (;;) {
		int r = holder_find(state_dir, ret_holder, err);

		if (r < 0 || !ret_holder->pid || (only_closing && !ret_holder->closing))
			return r;
		if (clock_monotonic_ns() >= deadline_ns)
			return only_closing ? 0 : -ETIMEDOUT;
		sleep_a_little();
	}
}

int holder_wait_free(const char *state_dir, uint64_t deadline_ns, struct cf_error *err)
{
	struct lock_holder holder;
	int r = wait_while_held(state_dir, false, deadline_ns, &holder, err);

	if (r == -ETIMEDOUT && holder.pid == HOLDER_UNKNOWN)
		return cf_error_set(err, r, "the clone in %s is still in use", state_dir);
	if (r == -ETIMEDOUT)
		return cf_error_set(err, r, "the clone in %s is still in use by process %d",
		                    state_dir, (int)holder.pid);
	return r;
}

int holder_wait_closing(const char *state_dir, uint64_t deadline_ns, struct lock_holder *ret_holder,
                        struct cf_error *err)
{
	return wait_while_held(state_dir, true, deadline_ns, ret_holder, err);
}
