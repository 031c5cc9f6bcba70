/*
 * The running clones whose sockets this user can find: those in RUN, or, for an ordinary user
 * without XDG_RUNTIME_DIR, those in the state folders below the state root.
 */
#ifndef CLONEFS_CLI_CLONES_H
#define CLONEFS_CLI_CLONES_H

#include <stddef.h>

#include "core/base/error.h"
#include "core/control/status.h"

struct clone_entry {
	char *socket_path; /* owned */
	struct control_status status;
};

struct clones {
	struct clone_entry *entries; /* owned, sorted by name */
	size_t nr;
};

/*
 * Asks each socket for its status. Sockets where nobody listens are skipped (and left to whoever
 * holds the clone's lock); one that listens and does not answer, or answers nonsense, gets a
 * sentence on stderr. Errors: the folders could not be read. clones_fini() also after an error.
 */
int clones_find(struct clones *ret_clones, struct cf_error *err);

/* The same in one folder, added to @clones. A folder that is not there has none. */
int clones_find_in(const char *folder, struct clones *clones, struct cf_error *err);

void clones_fini(struct clones *clones);

#endif
