/*
 * STATE/lock: a flock(2) for whoever runs the clone, and in the file, for readers, who that is:
 * "PID" or "PID closing". The text is only to be believed while the lock is held: afterwards it
 * stays behind.
 */
#ifndef CLONEFS_STATE_LOCK_H
#define CLONEFS_STATE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/state/holder.h"

#define LOCK_FILE "lock"

/*
 * Makes FOLDER/lock (0600) if there is none and takes it; waits until @deadline_ns for a holder
 * that is closing. Returns its descriptor, -EBUSY with the holder's pid in the sentence, or
 * another error. -ENOENT: the folder is not there (any more).
 */
int lock_take(const char *folder, uint64_t deadline_ns, struct cf_error *err);

/* Tells readers that the lock will be free soon. */
void lock_set_closing(int fd);

/* Lets go of the lock and closes @fd. @remove: deletes FOLDER/lock first. */
void lock_release(int fd, const char *folder, bool remove);

#endif
