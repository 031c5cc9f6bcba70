/*
 * The place where the image appears: checks before the mount, and what happens around libfuse's
 * own mounting. A folder shows MOUNTPOINT/BASENAME, a regular file becomes the image itself.
 */
#ifndef CLONEFS_DAEMON_MOUNT_H
#define CLONEFS_DAEMON_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"

struct mount_place {
	char *path; /* owned; real path */
	bool is_file;
};

/*
 * Looks at @path (absolute): it must be a folder or a regular file. A mountpoint that a clonefs
 * which is gone, or dies meanwhile, has left behind is unmounted first; with @look_only it stays
 * and is taken for a folder. -EINVAL, -ENOENT, ... with one sentence. Give back with
 * mount_place_fini().
 */
int mount_place_find(const char *path, bool look_only, struct mount_place *ret_place,
                     struct cf_error *err);
void mount_place_fini(struct mount_place *place);

/*
 * What libfuse gets behind -o: @source escaped as fsname=, the type fuse.clonefs, what a read may
 * have at the most (REPLY_PIPE_MAX), the kernel's own options (NULL: none). NULL: no memory; else
 * freed by the caller.
 */
char *mount_option_string(const char *source, bool read_only, bool allow_other,
                          const char *kernel_options);

/*
 * Looks at @path through the kernel, once, in a process of its own that does not hold /dev/fuse. A
 * thread of the daemon that waited for the daemon's own answer while SIGKILL ends those who answer
 * would never end: the kernel does not give up a request that was taken, and /dev/fuse stays open
 * for as long as that thread is there. 0 or stat()'s error.
 */
int mount_ask(const char *path);

/* One mmap fault then becomes one request, of REPLY_PIPE_MAX. Best effort: only root may do it. */
void mount_set_read_ahead(dev_t device);

/*
 * Takes the mount of @device away from @path, lazily: open files go on. 0 also if it is gone
 * already; -EBUSY: something else is mounted over it.
 */
int mount_detach(const char *path, dev_t device);

#endif
