/*
 * Going into the background so that the caller's exit status says what became of the mount. The
 * fork comes first, before any thread, lock or library; the parent waits for one report.
 */
#ifndef CLONEFS_DAEMON_DAEMONIZE_H
#define CLONEFS_DAEMON_DAEMONIZE_H

#include <stdbool.h>

#include "core/base/error.h"

struct daemonize {
	int report_fd; /* owned; to the parent; -1: foreground, or reported already */
};

/*
 * Foreground: nothing is forked. Else forks: returns in the child, which leads a session of its
 * own with / as its folder. The parent does not return: it prints what the child reports and exits
 * with its status, or with 1 when the child ends without a report. Until the report a parent that
 * is killed takes the child along: it gets SIGTERM.
 */
int daemonize_begin(bool foreground, struct daemonize *ret_daemonize, struct cf_error *err);

/* The image can be read: the parent exits with 0. In the background the standard descriptors now
 * lead to /dev/null. */
void daemonize_ready(struct daemonize *daemonize);

/* The one sentence and the exit status, printed here (foreground) or by the parent. */
void daemonize_fail(struct daemonize *daemonize, int status, const char *sentence);

#endif
