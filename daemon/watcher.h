/*
 * The thread that ends requests whose reader is being killed, for which FUSE itself is no help: an
 * O_DIRECT reader sends no interrupt, and one that has sent it waits for our answer
 * (docs/architecture.md, "Nobody gets stuck").
 *
 *   W1  A request without a process (pid 0), of a kernel thread, or of a process that is gone is
 *       never ended.
 *   W2  An interrupted request is ended at once when its task is dying, and from 500 ms after the
 *       interrupt on when a signal that ends programs is pending. Timers never end one.
 *   W3  Any other request is ended when it is 500 ms old and its task is dying.
 */
#ifndef CLONEFS_DAEMON_WATCHER_H
#define CLONEFS_DAEMON_WATCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "daemon/pending.h"
#include "daemon/proc_task.h"

#define WATCHER_PERIOD_MS UINT64_C(500)
#define WATCHER_GRACE_MS  UINT64_C(500)

struct watcher;

/*
 * Starts the thread. Twice a second it looks at @table (borrowed until watcher_stop()) and calls
 * @tick (NULL allowed), which may block on the local disk for a moment.
 */
int watcher_start(struct pending_table *table, void (*tick)(void *user), void *user,
                  struct watcher **ret_watcher, struct cf_error *err);

/* Looks at once: a request has been interrupted. May be called with any lock held. */
void watcher_wake(struct watcher *watcher);

/* NULL is allowed. */
void watcher_stop(struct watcher *watcher);

/* W2 and W3: is it time to look at the task of request @view, and what follows from @verdict. */
bool watcher_is_due(const struct pending_view *view, uint64_t now_ns);
bool watcher_should_end(const struct pending_view *view, uint64_t now_ns,
                        const struct proc_verdict *verdict);

#endif
