/*
 * Who holds a clone's lock, for those who do not want it themselves: clonectl, the mount helper.
 * Looking never takes the lock away from anybody.
 */
#ifndef CLONEFS_STATE_HOLDER_H
#define CLONEFS_STATE_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

#define HOLDER_UNKNOWN (-1)

struct lock_holder {
	pid_t pid;    /* 0: nobody; HOLDER_UNKNOWN: somebody whose process cannot be told */
	bool closing; /* it is about to let go */
};

/* A folder or a lock that is not there is held by nobody. Errors: it could not be looked at. */
int holder_find(const char *state_dir, struct lock_holder *ret_holder, struct cf_error *err);

/*
 * Waits until nobody holds the lock, at most until the monotonic clock reaches @deadline_ns
 * (UINT64_MAX: for ever). 0, -ETIMEDOUT (its sentence names the holder), or what looking said.
 */
int holder_wait_free(const char *state_dir, uint64_t deadline_ns, struct cf_error *err);

/*
 * The same, but only while the holder is closing: *ret_holder is who holds it in the end (pid 0:
 * nobody). What mount, check, dump and history do before they begin.
 */
int holder_wait_closing(const char *state_dir, uint64_t deadline_ns, struct lock_holder *ret_holder,
                        struct cf_error *err);

/*
 * Who has the file or device locked (flock) that a destination or metadata path names, and whether
 * the clone it belongs to is closing. pid 0: nobody, or it cannot be told.
 */
int holder_find_file(const char *path, struct lock_holder *ret_holder);

#endif
