/* The line with which `clonectl wait` shows a terminal how far a clone is. */
#ifndef CLONEFS_CLI_PROGRESS_H
#define CLONEFS_CLI_PROGRESS_H

#include <stddef.h>

#include "core/control/status.h"

/* Room for the line and its NUL; it has at most 79 columns. */
#define PROGRESS_LINE_MAX 160

/* "[#####...]  41.2 %  96 MiB/s  1 min 20 s left". Returns @buf. */
char *progress_line(const struct control_status *status, char buf[PROGRESS_LINE_MAX]);

/* Why a clone that is not complete does not go on now, "" if it does. Borrowed. */
const char *progress_obstacle(const struct control_status *status);

#endif
