/*
 * What TARGET means, in this order: a socket; a path that is or lies in a clonefs mountpoint (by
 * its device number, without opening the image); a state folder; the name of a clone. Without a
 * TARGET it is the one clone that runs.
 */
#ifndef CLONEFS_CLI_TARGET_H
#define CLONEFS_CLI_TARGET_H

#include <stdbool.h>

#include "core/base/error.h"

struct target {
	char *socket_path; /* owned; NULL: the clone does not run (or it can not be told) */
	char *state_dir;   /* owned; NULL if only the socket is known */
	bool is_path; /* TARGET is a path in no clone: perhaps the mountpoint of one that ended */
};

/*
 * Finds the running clone. -EINVAL: no TARGET and none or several run (wrong usage); -ENOENT:
 * there is no such clone, or it does not run; other errors: it could not be looked for.
 * target_fini() also after an error.
 */
int target_resolve(const char *text, struct target *ret_target, struct cf_error *err);

/*
 * The same, but a clone that does not run any more is found too: only state_dir is set, or
 * is_path. -ENOENT: nothing speaks for such a clone.
 */
int target_resolve_ended(const char *text, struct target *ret_target, struct cf_error *err);

void target_fini(struct target *target);

#endif
