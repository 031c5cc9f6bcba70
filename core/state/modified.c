/*
 * STATE/modified: users have written. An empty file whose existence, and whose time stamp once it
 * is set, are all it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/state/paths.h"
#include "core/state/state_internal.h"

static int make_file(const char *path)
{
	CF_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int mark_locked(struct state *state)
{
	CF_AUTO_FREE char *path = NULL;
	int r;

	if (state->modified)
		return 0;
	path = state_file(state, MODIFIED_FILE);
	if (!path)
		return -ENOMEM;
	if ((r = make_file(path)) < 0 || (r = path_sync_folder(state->dir)) < 0)
		return r;
	state->modified = true;
	return 0;
}

int state_mark_modified(void *user)
{
	struct state *state = user;
	int r;

	cf_lock(&state->modified_lock);
	r = mark_locked(state);
	cf_unlock(&state->modified_lock);
	return r;
}

bool state_is_modified(struct state *state)
{
	bool modified;

	cf_lock(&state->modified_lock);
	modified = state->modified;
	cf_unlock(&state->modified_lock);
	return modified;
}

int state_load_modified(struct state *state, struct cf_error *err)
{
	CF_AUTO_FREE char *path = state_file(state, MODIFIED_FILE);
	struct stat st;

	if (!path)
		return cf_error_errno(err, -ENOMEM, "%s/%s", state->dir, MODIFIED_FILE);
	if (stat(path, &st) == 0)
		state->modified = true;
	else if (errno != ENOENT)
		return cf_error_errno(err, -errno, "%s", path);
	return 0;
}

int64_t state_modified_mtime_ns(struct state *state)
{
	CF_AUTO_FREE char *path = state_file(state, MODIFIED_FILE);
	struct stat st;

	if (!state_is_modified(state) || !path || stat(path, &st) < 0)
		return 0;
	return st.st_mtim.tv_sec * (int64_t)CF_NS_PER_S + st.st_mtim.tv_nsec;
}

int state_set_modified_mtime_ns(struct state *state, int64_t mtime_ns)
{
	const int64_t second = (int64_t)CF_NS_PER_S;
	int64_t below = ((mtime_ns % second) + second) % second;
	const struct timespec times[2] = {
	        {.tv_nsec = UTIME_OMIT},
	        {.tv_sec = (mtime_ns - below) / second, .tv_nsec = below},
	};
	CF_AUTO_FREE char *path = state_file(state, MODIFIED_FILE);

	if (!path)
		return -ENOMEM;
	if (!state_is_modified(state))
		return -ENOENT;
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
