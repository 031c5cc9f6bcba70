/*
 * Reading metadata that a running clone goes on committing to: blocks of a committed state are not
 * overwritten before the next superblock is, so what was read between two equal superblocks is one
 * state.
 */
#ifndef CLONEFS_STATE_STABLE_READ_H
#define CLONEFS_STATE_STABLE_READ_H

#include "core/base/block_io.h"
#include "core/base/error.h"

#define STABLE_READ_ATTEMPTS 5

/*
 * Calls @read until block 0 of @io is the same before and after it, at most five times, and
 * returns what the last call returned (also its error, which may come from a state that was half
 * overwritten only when all attempts saw changes: then -EBUSY). @read begins anew at each call.
 */
int stable_read(struct block_io *io, int (*read)(void *user), void *user, struct cf_error *err);

#endif
