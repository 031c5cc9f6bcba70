#include "cli/clones.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/client.h"
#include "cli/output.h"
#include "core/base/cleanup.h"
#include "core/state/paths.h"

static bool is_socket_name(const char *name)
{
	size_t length = strlen(name);

	return length > 5 && name[0] != '.' && strcmp(name + length - 5, ".sock") == 0;
}

/* Takes @socket_path over in any case. */
static int add_clone(struct clones *clones, char *socket_path)
{
	struct clone_entry *entries;
	struct control_status status;
	struct cf_error err;
	int r = client_status(socket_path, &status, &err);

	if (r < 0) {
		if (r != -ECONNREFUSED && r != -ENOMEM)
			output_error("%s", err.text);
		free(socket_path);
		return r == -ENOMEM ? r : 0;
	}
	entries = realloc(clones->entries, (clones->nr + 1) * sizeof(*entries));
	if (!entries) {
		control_status_fini(&status);
		free(socket_path);
		return -ENOMEM;
	}
	clones->entries = entries;
	entries[clones->nr++] = (struct clone_entry){socket_path, status};
	return 0;
}

int clones_find_in(const char *folder, struct clones *clones, struct cf_error *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR
		               ? 0
		               : cf_error_errno(err, -errno, "folder '%s'", folder);
	while (r == 0 && (entry = readdir(dir))) {
		struct stat st;
		char *path;

		if (!is_socket_name(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISSOCK(st.st_mode))
			continue;
		r = asprintf(&path, "%s/%s", folder, entry->d_name) < 0 ? -ENOMEM : 0;
		if (r == 0)
			r = add_clone(clones, path);
		if (r < 0)
			(void)cf_error_errno(err, r, "folder '%s'", folder);
	}
	(void)closedir(dir);
	return r;
}

/* Without a folder of all sockets each is in the state folder of its clone. */
static int find_below(const char *state_root, struct clones *clones, struct cf_error *err)
{
	DIR *dir = opendir(state_root);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : cf_error_errno(err, -errno, "folder '%s'", state_root);
	while (r == 0 && (entry = readdir(dir))) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", state_root, entry->d_name) < 0) {
			r = cf_error_errno(err, -ENOMEM, "folder '%s'", state_root);
			break;
		}
		r = clones_find_in(path, clones, err);
		free(path);
	}
	(void)closedir(dir);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	const struct clone_entry *one = a;
	const struct clone_entry *two = b;

	return strcmp(one->status.name, two->status.name);
}

int clones_find(struct clones *ret_clones, struct cf_error *err)
{
	CF_AUTO_FREE char *run = NULL;
	CF_AUTO_FREE char *root = NULL;
	int r;

	*ret_clones = (struct clones){0};
	r = path_runtime_dir(NULL, &run, err);
	if (r < 0)
		return r;
	if (run) {
		r = clones_find_in(run, ret_clones, err);
	} else {
		r = path_state_root(&root, err);
		if (r == 0)
			r = find_below(root, ret_clones, err);
	}
	if (ret_clones->nr)
		qsort(ret_clones->entries, ret_clones->nr, sizeof(*ret_clones->entries),
		      compare_names);
	return r;
}

void clones_fini(struct clones *clones)
{
	for (size_t i = 0; i < clones->nr; i++) {
		control_status_fini(&clones->entries[i].status);
		free(clones->entries[i].socket_path);
	}
	free(clones->entries);
	*clones = (struct clones){0};
}
