/*
 * A source whose first bytes say that it is a container or compressed: its bytes are exposed, not
 * the disk inside, which is rarely what is wanted.
 */
#ifndef CLONEFS_DAEMON_IMAGE_KIND_H
#define CLONEFS_DAEMON_IMAGE_KIND_H

#include <stddef.h>

/* "qcow2", "VMDK", "VHDX", "gzip", "xz", "zstd", or NULL: nothing that is known. */
const char *image_kind_find(const void *head, size_t length);

#endif
