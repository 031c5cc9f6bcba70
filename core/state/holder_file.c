/*
 * Who has a destination or metadata file locked: /proc/locks knows the process and the inode,
 * /proc/PID/fd confirms it (file systems with several devices show another number in /proc/locks)
 * and leads to the STATE/lock of the clone, which says whether it is closing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/state/holder.h"
#include "core/state/lock.h"

static bool is_same(const struct stat *a, const struct stat *b)
{
	return S_ISBLK(a->st_mode) ? S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev
	                           : a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Does descriptor @name of the process lead to a lock file that says it is closing? */
static bool is_closing_lock(int fds, const char *name, pid_t pid)
{
	char target[PATH_MAX];
	char text[64] = "";
	ssize_t length = readlinkat(fds, name, target, sizeof(target) - 1);
	const char *slash;
	CF_AUTO_CLOSE int fd = -1;
	char *end;

	if (length <= 0)
		return false;
	target[length] = 0;
	slash = strrchr(target, '/');
	if (!slash || strcmp(slash + 1, LOCK_FILE) != 0)
		return false;
	fd = open(target, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return false;
	return strtol(text, &end, 10) == pid && strncmp(end, " closing", 8) == 0;
}

/* Has process @pid the file @wanted open? */
static bool look_at_process(pid_t pid, const struct stat *wanted, struct lock_holder *ret)
{
	struct lock_holder holder = {0};
	char path[64];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		struct stat st;

		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		if (is_same(wanted, &st))
			holder.pid = pid;
		else if (S_ISREG(st.st_mode) && is_closing_lock(dirfd(dir), entry->d_name, pid))
			holder.closing = true;
	}
	(void)closedir(dir);
	if (!holder.pid)
		return false;
	*ret = holder;
	return true;
}

/* A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 812 08:01:4711 0 EOF". 0: not such a lock. */
static pid_t flock_of_line(const char *line, unsigned long long wanted_inode)
{
	unsigned long long inode;
	int pid;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers fit */
	if (sscanf(line, "%*d: FLOCK %*s %*s %d %*x:%*x:%llu", &pid, &inode) != 2)
		return 0;
	return inode == wanted_inode && pid > 0 ? (pid_t)pid : 0;
}

int holder_find_file(const char *path, struct lock_holder *ret_holder)
{
	CF_AUTO_FREE char *line = NULL;
	size_t size = 0;
	struct stat wanted;
	FILE *locks;

	*ret_holder = (struct lock_holder){0};
	if (stat(path, &wanted) < 0)
		return -errno;
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return -errno;
	while (!ret_holder->pid && getline(&line, &size, locks) > 0) {
		pid_t pid = flock_of_line(line, wanted.st_ino);

		if (pid)
			(void)look_at_process(pid, &wanted, ret_holder);
	}
	(void)fclose(locks);
	return 0;
}
