/*
 * A local file or block device as a source: opening it, and telling which version it is. May block
 * on the disk (or for ever, on a network filesystem whose server is gone).
 */
#ifndef CLONEFS_BACKENDS_FILE_EXAMINE_H
#define CLONEFS_BACKENDS_FILE_EXAMINE_H

#include <stdbool.h>

#include "core/engine/source.h"

/* *ret_fd is the caller's. -ENOENT, -EACCES, -EINVAL (neither file nor block device) and others
 * of open(2). */
int file_examine_open(const char *path, int *ret_fd, bool *ret_is_device, struct cf_error *err);

/* Size and mtime as they are now; 0 for the mtime of a device. */
int file_examine_identity(int fd, bool is_device, struct source_identity *ret);

/* Opens and looks; waits for @timeout_ms at most, even if the disk does not answer. *ret_fd, what
 * was looked at, is the caller's. */
int file_examine_probe(const char *path, uint64_t timeout_ms, struct source_probe *ret, int *ret_fd,
                       struct cf_error *err);

#endif
