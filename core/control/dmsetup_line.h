/*
 * The line that `dmsetup status` prints for a dm-clone target, of the same state. Its words are
 * those of the kernel's Documentation/admin-guide/device-mapper/dm-clone.rst, "Status".
 */
#ifndef CLONEFS_CONTROL_DMSETUP_LINE_H
#define CLONEFS_CONTROL_DMSETUP_LINE_H

#include "core/control/status.h"

/* Room for the longest line, its NUL included. */
#define DMSETUP_LINE_MAX 512

/* Returns @buf. No final newline. */
char *dmsetup_line(const struct control_status *status, char buf[DMSETUP_LINE_MAX]);

#endif
