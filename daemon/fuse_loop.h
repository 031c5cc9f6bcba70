/*
 * libfuse's session from mount to destroy: mounting, the threads that serve requests, the end.
 *
 * One loop at a time per process (libfuse's log function is global).
 */
#ifndef CLONEFS_DAEMON_FUSE_LOOP_H
#define CLONEFS_DAEMON_FUSE_LOOP_H

#include <stdbool.h>

#include "core/base/error.h"

struct fuse_file;
struct fuse_loop;

/*
 * Mounts at @mountpoint with @mount_options (see mount_option_string()); ordinary users through
 * fusermount3. Nothing is answered before fuse_loop_start(). @file is borrowed until
 * fuse_loop_close(). The sentence holds what libfuse said.
 */
int fuse_loop_mount(const char *mountpoint, const char *mount_options, struct fuse_file *file,
                    struct fuse_loop **ret_loop, struct cf_error *err);

/* Begins to serve, on threads of its own. */
int fuse_loop_start(struct fuse_loop *loop, struct cf_error *err);

/* A descriptor that becomes readable when the loop has ended: unmounted and the last file closed,
 * or fuse_loop_exit(). Borrowed. */
int fuse_loop_end_fd(const struct fuse_loop *loop);

/* Ends the loop though files are open, and waits for its threads: requests in their hands are
 * finished first, so none may wait for the source any more. Harmless when it has ended. */
void fuse_loop_exit(struct fuse_loop *loop);

/* Drops the file's pages from the kernel's cache. Waits for page locks: only from a thread that
 * answers no request. */
void fuse_loop_invalidate(struct fuse_loop *loop);

/* What is mounted at the mountpoint from now on is not ours to unmount. */
void fuse_loop_set_detached(struct fuse_loop *loop);

/* Unmounts, if need be, and frees. The loop must have ended and all requests be answered. NULL is
 * allowed. */
void fuse_loop_close(struct fuse_loop *loop);

#endif
