/*
 * Files that are read whole and must be small: what the user wrote, or we did. Blocks on the disk.
 */
#ifndef CLONEFS_BASE_SMALL_FILE_H
#define CLONEFS_BASE_SMALL_FILE_H

#include <stddef.h>

/*
 * Reads all of the regular file @fd into @buf and says how much that is. Negative errno: -EINVAL
 * it is no regular file; -EFBIG it has @size bytes or more; else what fstat(2) or read(2) said.
 * @buf may hold some of it then, too.
 */
int small_file_read(int fd, void *buf, size_t size, size_t *ret_length);

#endif
