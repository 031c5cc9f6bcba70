#include "daemon/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "daemon/mountinfo.h"
#include "daemon/option_string.h"
#include "daemon/reply_pipe.h"

#define MOUNT_TYPE "fuse.clonefs"
/* Dead mounts may lie on each other; more than this is somebody playing. */
#define MAX_DEAD_MOUNTS 16

extern char **environ;

/* Ordinary users have the setuid helper do it. */
static int unmount_by_helper(const char *path)
{
	char words[][16] = {"fusermount3", "-u", "-z", "-q", "--"};
	CF_AUTO_FREE char *last = strdup(path);
	char *argv[] = {words[0], words[1], words[2], words[3], words[4], last, NULL};
	pid_t pid;
	int how;
	int r;

	if (!last)
		return -ENOMEM;
	r = -posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r < 0)
		return r;
	while (waitpid(pid, &how, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(how) && WEXITSTATUS(how) == 0 ? 0 : -EPERM;
}

static int unmount_lazily(const char *path)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? unmount_by_helper(path) : -errno;
}

/* Whoever asked while the daemon died hears the second, who asks later the first. */
static bool is_dead(int error)
{
	return error == ENOTCONN || error == ECONNABORTED;
}

/* The real path of something that may be a dead mountpoint, which cannot be looked into. */
static int real_path(const char *path, char **ret_path)
{
	char folder[PATH_MAX];
	char real_folder[PATH_MAX];
	const char *last;

	*ret_path = realpath(path, NULL);
	if (*ret_path)
		return 0;
	if (!is_dead(errno))
		return -errno;
	last = strrchr(path, '/');
	if (!last || !last[1] || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
		return -ENOTCONN;
	if ((size_t)(last - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	(void)snprintf(folder, sizeof(folder), "%.*s/", (int)(last - path), path);
	if (!realpath(folder, real_folder))
		return -errno;
	return asprintf(ret_path, "%s%s", strcmp(real_folder, "/") == 0 ? "" : real_folder, last) <
	                       0
	               ? -ENOMEM
	               : 0;
}

/*
 * Is @path there and does it answer? stat() alone may be answered from the kernel's cache for a
 * second after a daemon's death; statfs() never is.
 */
static int look_at(const char *path, bool is_clonefs, struct stat *ret_st)
{
	struct statvfs fs;

	if (stat(path, ret_st) < 0 || (is_clonefs && statvfs(path, &fs) < 0))
		return is_dead(errno) ? -ENOTCONN : -errno;
	return 0;
}

/* Unmounts what dead daemons have left at @path, unless it is only to be looked at. */
static int bury_dead_mounts(const char *path, bool look_only, struct stat *ret_st,
                            struct cf_error *err)
{
	int r = 0;

	for (int i = 0; i < MAX_DEAD_MOUNTS; i++) {
		struct mountinfo_entry entry = {.type = "unknown"};
		bool is_clonefs =
		        mountinfo_look(path, &entry) == 0 && strcmp(entry.type, MOUNT_TYPE) == 0;

		r = look_at(path, is_clonefs, ret_st);
		if (r != -ENOTCONN)
			break;
		if (!is_clonefs)
			return cf_error_set(err, r,
			                    "mountpoint %s: a dead mount of type %s is in the way",
			                    path, entry.type);
		if (look_only) {
			/* What is below cannot be seen; most often it is a folder. */
			*ret_st = (struct stat){.st_mode = S_IFDIR};
			return 0;
		}
		r = unmount_lazily(path);
		if (r < 0)
			return cf_error_errno(err, r,
			                      "mountpoint %s: cannot unmount what a dead clonefs "
			                      "left there",
			                      path);
	}
	return r < 0 ? cf_error_errno(err, r, "mountpoint %s", path) : 0;
}

int mount_place_find(const char *path, bool look_only, struct mount_place *ret_place,
                     struct cf_error *err)
{
	CF_AUTO_FREE char *real = NULL;
	struct stat st;
	int r;

	r = real_path(path, &real);
	if (r < 0)
		return cf_error_errno(err, r, "mountpoint %s", path);
	r = bury_dead_mounts(real, look_only, &st, err);
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return cf_error_set(err, -EINVAL,
		                    "mountpoint %s is neither a folder nor a regular file", path);
	ret_place->is_file = S_ISREG(st.st_mode);
	ret_place->path = cf_steal(&real);
	return 0;
}

void mount_place_fini(struct mount_place *place)
{
	free(place->path);
	place->path = NULL;
}

char *mount_option_string(const char *source, bool read_only, bool allow_other,
                          const char *kernel_options)
{
	CF_AUTO_FREE char *escaped = option_string_escape(source);
	char *options;

	/* default_permissions: the kernel checks mode, owner and group. */
	if (!escaped ||
	    asprintf(&options, "fsname=%s,subtype=clonefs,default_permissions,max_read=%zu%s%s%s%s",
	             escaped, REPLY_PIPE_MAX, read_only ? ",ro" : "",
	             allow_other ? ",allow_other" : "", kernel_options ? "," : "",
	             kernel_options ? kernel_options : "") < 0)
		return NULL;
	return options;
}

/* Of a process with threads: nothing but system calls. */
static _Noreturn void ask_and_exit(const char *path)
{
	struct stat st;

	if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(errno);
	_exit(stat(path, &st) < 0 ? errno : 0);
}

int mount_ask(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		ask_and_exit(path);
	while (waitpid(pid, &status, 0) < 0) {
		/* Who started us ignores SIGCHLD: it has ended, and nobody knows how. */
		if (errno == ECHILD)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

void mount_set_read_ahead(dev_t device)
{
	CF_AUTO_CLOSE int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(device),
	               minor(device));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* Without it reads are smaller, not wrong. */
	if (fd >= 0 && dprintf(fd, "%zu", REPLY_PIPE_MAX >> 10) < 0)
		return;
}

int mount_detach(const char *path, dev_t device)
{
	struct mountinfo_entry entry;
	int r = mountinfo_look(path, &entry);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (entry.device != device)
		return -EBUSY;
	return unmount_lazily(path);
}
