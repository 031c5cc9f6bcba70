#include "cli/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli/clones.h"
#include "cli/mountinfo.h"
#include "core/base/cleanup.h"
#include "core/state/clone_json.h"
#include "core/state/names.h"
#include "core/state/paths.h"

static int take(struct target *target, const struct clone_entry *entry)
{
	target->socket_path = strdup(entry->socket_path);
	target->state_dir = strdup(entry->status.state_dir);
	return target->socket_path && target->state_dir ? 0 : -ENOMEM;
}

static int no_memory(struct cf_error *err)
{
	return cf_error_set(err, -ENOMEM, "no memory");
}

/* No TARGET: the only one. */
static int resolve_only(struct target *target, struct cf_error *err)
{
	struct clones clones;
	int r = clones_find(&clones, err);

	if (r == 0 && clones.nr == 0)
		r = cf_error_set(err, -EINVAL, "no clone runs, so a TARGET is needed");
	else if (r == 0 && clones.nr > 1)
		r = cf_error_set(err, -EINVAL,
		                 "%zu clones run, so a TARGET is needed: clonectl list shows them",
		                 clones.nr);
	else if (r == 0 && take(target, &clones.entries[0]) < 0)
		r = no_memory(err);
	clones_fini(&clones);
	return r;
}

static bool is_clone_folder(const char *path)
{
	CF_AUTO_FREE char *file = NULL;
	struct stat st;

	return asprintf(&file, "%s/" CLONE_JSON_FILE, path) >= 0 && stat(file, &st) == 0;
}

static bool is_same_folder(const char *path, const struct stat *wanted)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

static bool has_mountpoint(const struct mountpoints *mountpoints, const char *path)
{
	for (size_t i = 0; i < mountpoints->nr; i++)
		if (strcmp(mountpoints->paths[i], path) == 0)
			return true;
	return false;
}

/* A path in a clonefs mount: the running clone that says it is mounted there. */
static int resolve_mounted(const char *text, const struct mountpoints *mountpoints,
                           struct target *target, struct cf_error *err)
{
	struct clones clones;
	int r = clones_find(&clones, err);

	for (size_t i = 0; r == 0 && i < clones.nr && !target->socket_path; i++)
		if (has_mountpoint(mountpoints, clones.entries[i].status.mountpoint))
			r = take(target, &clones.entries[i]) < 0 ? no_memory(err) : 0;
	clones_fini(&clones);
	if (r == 0 && !target->socket_path)
		r = cf_error_set(err, -ENOENT,
		                 "'%s': the clone mounted on '%s' does not answer here: it has "
		                 "ended or belongs to another user",
		                 text, mountpoints->paths[0]);
	return r;
}

/* A state folder: the running clone that uses it, whose socket may be in it. */
static int resolve_state_dir(const char *text, const struct stat *st, struct target *target,
                             struct cf_error *err)
{
	struct clones clones;
	int r = clones_find(&clones, err);

	if (r == 0)
		r = clones_find_in(text, &clones, err);
	for (size_t i = 0; r == 0 && i < clones.nr && !target->socket_path; i++)
		if (is_same_folder(clones.entries[i].status.state_dir, st))
			r = take(target, &clones.entries[i]) < 0 ? no_memory(err) : 0;
	clones_fini(&clones);
	if (r == 0 && !target->socket_path) {
		target->state_dir = realpath(text, NULL);
		r = cf_error_set(err, -ENOENT, "the clone with the state folder '%s' does not run",
		                 text);
	}
	return r;
}

/*
 * A mountpoint that was just taken away while its clone is still closing is an ordinary folder
 * again; the clone says where it was.
 */
static int resolve_former_mountpoint(const char *text, struct target *target, struct cf_error *err)
{
	CF_AUTO_FREE char *real = realpath(text, NULL);
	struct clones clones;
	int r;

	if (!real)
		return 0;
	r = clones_find(&clones, err);
	for (size_t i = 0; r == 0 && i < clones.nr && !target->socket_path; i++)
		if (strcmp(clones.entries[i].status.mountpoint, real) == 0)
			r = take(target, &clones.entries[i]) < 0 ? no_memory(err) : 0;
	clones_fini(&clones);
	return r;
}

static int resolve_name(const char *text, struct target *target, struct cf_error *err)
{
	CF_AUTO_FREE char *root = NULL;
	CF_AUTO_FREE char *folder = NULL;
	CF_AUTO_FREE char *socket_path = NULL;
	struct stat st;
	int r = path_state_root(&root, err);

	if (r < 0)
		return r;
	if (asprintf(&folder, "%s/%s", root, text) < 0)
		return no_memory(err);
	r = path_socket(text, folder, &socket_path, err);
	if (r < 0)
		return r;
	if (is_clone_folder(folder))
		target->state_dir = cf_steal(&folder);
	if (lstat(socket_path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		target->socket_path = cf_steal(&socket_path);
		return 0;
	}
	if (target->state_dir)
		return cf_error_set(err, -ENOENT, "clone '%s' does not run", text);
	return cf_error_set(err, -ENOENT, "there is no clone '%s'", text);
}

/* What @text is as a path; *ret_done: it was a socket, in a mount, or a state folder. */
static int resolve_path(const char *text, struct target *target, bool *ret_done,
                        struct cf_error *err)
{
	struct mountpoints mountpoints;
	struct statx stx;
	struct stat st;
	int r;

	*ret_done = true;
	if (statx(AT_FDCWD, text, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0) {
		*ret_done = errno == ENOTCONN;
		return *ret_done
		               ? cf_error_set(err, -ENOENT,
		                              "'%s': the clone mounted there has ended: umount it",
		                              text)
		               : 0;
	}
	if (S_ISSOCK(stx.stx_mode)) {
		target->socket_path = strdup(text);
		return target->socket_path ? 0 : no_memory(err);
	}
	r = mountinfo_find_clonefs(NULL, makedev(stx.stx_dev_major, stx.stx_dev_minor),
	                           &mountpoints);
	if (r < 0)
		(void)cf_error_errno(err, r, "the list of mounts");
	else if (mountpoints.nr)
		r = resolve_mounted(text, &mountpoints, target, err);
	else
		*ret_done = false;
	mountpoints_fini(&mountpoints);
	if (*ret_done || r < 0)
		return r;
	if (S_ISDIR(stx.stx_mode) && is_clone_folder(text) && stat(text, &st) == 0) {
		*ret_done = true;
		return resolve_state_dir(text, &st, target, err);
	}
	r = resolve_former_mountpoint(text, target, err);
	*ret_done = r < 0 || target->socket_path;
	target->is_path = !*ret_done;
	return r;
}

int target_resolve(const char *text, struct target *ret_target, struct cf_error *err)
{
	bool done;
	int r;

	*ret_target = (struct target){0};
	if (!text)
		return resolve_only(ret_target, err);
	r = resolve_path(text, ret_target, &done, err);
	if (r < 0 || done)
		return r;
	if (clone_name_is_valid(text))
		return resolve_name(text, ret_target, err);
	return cf_error_set(
	        err, -ENOENT,
	        "'%s' is neither a socket nor in a mounted clone nor a state folder nor "
	        "the name of a clone",
	        text);
}

int target_resolve_ended(const char *text, struct target *ret_target, struct cf_error *err)
{
	int r = target_resolve(text, ret_target, err);

	return r == -ENOENT && (ret_target->state_dir || ret_target->is_path) ? 0 : r;
}

void target_fini(struct target *target)
{
	free(target->socket_path);
	free(target->state_dir);
	*target = (struct target){0};
}
