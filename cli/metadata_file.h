/*
 * METADATA of check and dump: a file or device that a running clone may be using or just letting
 * go of.
 */
#ifndef CLONEFS_CLI_METADATA_FILE_H
#define CLONEFS_CLI_METADATA_FILE_H

#include "core/base/block_io.h"
#include "core/base/error.h"

/*
 * Opens @path read-only and calls @read with it until it has seen one committed state
 * (core/state/stable_read.h); each call begins anew. Waits first, up to ten seconds, for a holder
 * that is closing. 0, what opening said, what @read returned last, or -EBUSY: it changed all the
 * time. @err names the path.
 */
typedef int metadata_file_fn(struct block_io *io, void *user, struct cf_error *err);

int metadata_file_read(const char *path, metadata_file_fn *read, void *user, struct cf_error *err);

#endif
