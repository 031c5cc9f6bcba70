#include "core/state/paths.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/cleanup.h"

#define ROOT_STATE   "/var/lib/clonefs"
#define ROOT_RUNTIME "/run/clonefs"

static int print_path(char **ret_path, const char *folder, const char *below, struct cf_error *err)
{
	if (asprintf(ret_path, "%s%s", folder, below) < 0)
		return cf_error_errno(err, -ENOMEM, "%s%s", folder, below);
	return 0;
}

/* An XDG variable; relative values count as unset, as the specification demands. */
static const char *absolute_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* systemd starts mounts without HOME: the user database knows it too. */
static int find_home(char **ret_path, struct cf_error *err)
{
	const char *home = absolute_variable("HOME");
	struct passwd entry;
	struct passwd *found = NULL;
	char buf[4096];

	if (home)
		return print_path(ret_path, home, "", err);
	if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) != 0 || !found ||
	    found->pw_dir[0] != '/')
		return cf_error_set(err, -ENOENT,
		                    "no home folder is known: say with state_dir= where to keep "
		                    "the state of the clone");
	return print_path(ret_path, found->pw_dir, "", err);
}

int path_state_root(char **ret_path, struct cf_error *err)
{
	const char *state = absolute_variable("XDG_STATE_HOME");
	CF_AUTO_FREE char *home = NULL;
	int r;

	if (geteuid() == 0)
		return print_path(ret_path, ROOT_STATE, "", err);
	if (state)
		return print_path(ret_path, state, "/clonefs", err);
	r = find_home(&home, err);
	if (r < 0)
		return r;
	return print_path(ret_path, home, "/.local/state/clonefs", err);
}

int path_runtime_dir(const char *state_dir, char **ret_path, struct cf_error *err)
{
	const char *runtime = absolute_variable("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return print_path(ret_path, ROOT_RUNTIME, "", err);
	if (runtime)
		return print_path(ret_path, runtime, "/clonefs", err);
	if (state_dir)
		return print_path(ret_path, state_dir, "", err);
	*ret_path = NULL;
	return 0;
}

int path_make_runtime_dir(const char *runtime_dir, struct cf_error *err)
{
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	struct stat st;
	int r;

	r = path_make_folder(runtime_dir, mode, NULL, err);
	if (r < 0)
		return r;
	if (lstat(runtime_dir, &st) < 0)
		return cf_error_errno(err, -errno, "the folder of the sockets, %s", runtime_dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return cf_error_set(err, -EACCES,
		                    "%s is no place for sockets: expected a folder of user %u that "
		                    "nobody else may write to",
		                    runtime_dir, (unsigned int)geteuid());
	return 0;
}

int path_socket(const char *name, const char *state_dir, char **ret_path, struct cf_error *err)
{
	const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	CF_AUTO_FREE char *folder = NULL;
	CF_AUTO_FREE char *path = NULL;
	int r;

	r = path_runtime_dir(state_dir, &folder, err);
	if (r < 0)
		return r;
	if (!folder)
		return cf_error_set(err, -EINVAL,
		                    "without XDG_RUNTIME_DIR the state folder tells where the "
		                    "socket of %s is",
		                    name);
	if (asprintf(&path, "%s/%s.sock", folder, name) < 0) {
		path = NULL;
		return cf_error_errno(err, -ENOMEM, "the socket of %s", name);
	}
	if (strlen(path) > max)
		return cf_error_set(err, -ENAMETOOLONG,
		                    "the path of the socket, %s, has %zu bytes, expected at most "
		                    "%zu: choose a shorter name= or folder",
		                    path, strlen(path), max);
	*ret_path = cf_steal(&path);
	return 0;
}

int path_absolute(const char *path, char **ret_path)
{
	CF_AUTO_FREE char *folder = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	CF_AUTO_FREE char *joined = NULL;
	char *clean;
	size_t length = 0;

	if (!folder)
		return -errno;
	if (asprintf(&joined, "%s/%s", folder, path) < 0) {
		joined = NULL;
		return -ENOMEM;
	}
	clean = malloc(strlen(joined) + 2);
	if (!clean)
		return -ENOMEM;
	for (const char *at = joined; *at;) {
		size_t element;

		at += strspn(at, "/");
		element = strcspn(at, "/");
		if (element && !(element == 1 && *at == '.')) {
			clean[length++] = '/';
			memcpy(clean + length, at, element);
			length += element;
		}
		at += element;
	}
	if (!length)
		clean[length++] = '/';
	clean[length] = 0;
	*ret_path = clean;
	return 0;
}

int path_real(const char *path, char **ret_path)
{
	CF_AUTO_FREE char *head = NULL;
	CF_AUTO_FREE char *real = NULL;
	CF_AUTO_FREE char *given = NULL;
	size_t length;
	int r;

	r = path_absolute(path, &given);
	if (r < 0)
		return r;
	assert(given);
	length = strlen(given);
	head = strdup(given);
	if (!head)
		return -ENOMEM;
	while (!(real = realpath(head, NULL)) && length > 1) {
		if (errno == ENOMEM)
			return -ENOMEM;
		while (length > 1 && head[length - 1] != '/')
			length--;
		length -= length > 1;
		head[length] = 0;
	}
	if (!real)
		return -errno;
	if (!strcmp(real, "/"))
		real[0] = 0;
	if (asprintf(ret_path, "%s%s", real, length > 1 ? given + length : given) < 0)
		return -ENOMEM;
	return 0;
}

bool path_is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	if (!strcmp(folder, "/"))
		return true;
	return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

int path_sync_folder(const char *path)
{
	CF_AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Some file systems (9p, FUSE) cannot sync folders; there is nothing better to do then. */
	if (fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

/* @path's parent in place: cuts the last element; false at the root. */
static bool cut_element(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return false;
	*slash = 0;
	return true;
}

int path_sync_parent(const char *path)
{
	CF_AUTO_FREE char *parent = strdup(path);

	if (!parent)
		return -ENOMEM;
	return path_sync_folder(cut_element(parent) ? parent : "/");
}

/* One folder whose parent is there. 1: it is new. */
static int make_one(const char *path, mode_t mode)
{
	struct stat st;
	int r;

	if (mkdir(path, mode) == 0) {
		if (chmod(path, mode) < 0) {
			r = -errno;
			(void)rmdir(path);
			return r;
		}
		r = path_sync_parent(path);
		if (r < 0)
			(void)rmdir(path);
		return r < 0 ? r : 1;
	}
	r = -errno;
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return r;
}

int path_make_folder(const char *path, mode_t mode, unsigned int *ret_made, struct cf_error *err)
{
	CF_AUTO_FREE char *prefix = NULL;
	unsigned int made = 0;
	size_t length;
	int r;

	r = path_absolute(path, &prefix);
	if (r < 0)
		return cf_error_errno(err, r, "making the folder %s", path);
	length = strlen(prefix);
	for (size_t end = 1; end <= length; end++) {
		char saved = prefix[end];

		if (saved != '/' && saved != 0)
			continue;
		prefix[end] = 0;
		r = make_one(prefix, mode);
		if (r < 0) {
			cut_element(prefix);
			path_remove_folders(prefix, made);
			return cf_error_errno(err, r, "making the folder %s", path);
		}
		made += (unsigned int)r;
		prefix[end] = saved;
	}
	if (ret_made)
		*ret_made = made;
	return 0;
}

void path_remove_folders(const char *path, unsigned int count)
{
	CF_AUTO_FREE char *left = strdup(path);

	while (left && count-- > 0 && rmdir(left) == 0)
		if (!cut_element(left))
			return;
}
