/*
 * Where things live: state folders, sockets. Root's are below /var/lib and /run; an ordinary
 * user's below XDG_STATE_HOME (or ~/.local/state) and XDG_RUNTIME_DIR (or the state folder).
 * Strings returned are owned by the caller (free).
 */
#ifndef CLONEFS_STATE_PATHS_H
#define CLONEFS_STATE_PATHS_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"

/* The folder of all state folders: /var/lib/clonefs, or $XDG_STATE_HOME/clonefs. Makes nothing. */
int path_state_root(char **ret_path, struct cf_error *err);

/*
 * RUN, the folder of the sockets. An ordinary user without XDG_RUNTIME_DIR: the clone's
 * @state_dir (NULL: *ret_path becomes NULL, there is no folder of all sockets). Makes nothing.
 */
int path_runtime_dir(const char *state_dir, char **ret_path, struct cf_error *err);

/* Makes RUN (root: 0755, else 0700), or checks that it is ours and nobody else may write there. */
int path_make_runtime_dir(const char *runtime_dir, struct cf_error *err);

/*
 * RUN/NAME.sock. -ENAMETOOLONG with a sentence when it does not fit into a socket address (107
 * bytes).
 */
int path_socket(const char *name, const char *state_dir, char **ret_path, struct cf_error *err);

/* Makes @path absolute against the current folder and drops "." and doubled slashes; links and
 * ".." stay. */
int path_absolute(const char *path, char **ret_path);

/* The real path; of something missing the real path of the nearest folder that is there and the
 * rest as given. */
int path_real(const char *path, char **ret_path);

/* Is the real path @path equal to the real path @folder or below it? */
bool path_is_within(const char *path, const char *folder);

/*
 * Makes the folder and its missing parents, all with @mode whatever the umask, each durable.
 * *ret_made (NULL allowed): how many folders are new, the deepest included.
 */
int path_make_folder(const char *path, mode_t mode, unsigned int *ret_made, struct cf_error *err);

/* Removes @path and its parents, @count folders in all, as long as they are empty. */
void path_remove_folders(const char *path, unsigned int count);

/* Makes a folder's entries durable; the second one those of the folder that @path lies in. */
int path_sync_folder(const char *path);
int path_sync_parent(const char *path);

#endif
