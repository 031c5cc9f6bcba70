/*
 * The FUSE requests in flight that the image has taken and not answered yet: what the watcher
 * looks at, what shutting down waits for, and how a request is ended early without touching one
 * that has been answered meanwhile. Knows neither FUSE nor /proc.
 *
 * Life of a request: pending_add(), then the image's call with done(), then pending_attach() with
 * what the call returned. done() may run before pending_attach(), on another thread; it replies,
 * then calls pending_finish(). The entry is gone when both have been called.
 *
 * Only done() replies, and the image calls it once, so a request is answered exactly once. Others
 * refer to a request by its number, which is never used twice: an interrupt that comes late finds
 * nothing. Thread-safe; the engine is called without the table's lock.
 */
#ifndef CLONEFS_DAEMON_PENDING_H
#define CLONEFS_DAEMON_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/proc_task.h"

struct image_request;
struct pending;
struct pending_table;

/* How the table ends and forgets image requests; tests put their own here. */
struct pending_engine {
	void (*cancel)(void *user, struct image_request *req, int error);
	void (*put)(struct image_request *req);
	void *user;
};

/* NULL: no memory. @engine is copied. */
struct pending_table *pending_table_new(const struct pending_engine *engine);
/* The table must be empty. NULL is allowed. */
void pending_table_free(struct pending_table *table);

/*
 * A new entry for the request that thread @pid (0: the kernel itself) waits for. NULL: no memory.
 */
struct pending *pending_add(struct pending_table *table, pid_t pid);
uint64_t pending_number(const struct pending *p);

/* The image's reference (NULL allowed) is the entry's now; @p is not the caller's any more. */
void pending_attach(struct pending *p, struct image_request *request);

/* From done(), after the reply: nobody finds the entry any more, and @p is not the caller's. */
void pending_finish(struct pending *p);

/* The kernel sent an interrupt for request @number at @now_ns. False: it has been answered. */
bool pending_interrupt(struct pending_table *table, uint64_t number, uint64_t now_ns);

/* Asks the image to end request @number with @error; nothing if it has been answered. */
void pending_cancel(struct pending_table *table, uint64_t number, int error);

/* What the watcher decides by. */
struct pending_view {
	uint64_t number;
	pid_t pid;
	uint64_t arrived_ns;
	uint64_t interrupted_ns; /* 0: never */
	struct proc_task task;   /* zero until pending_set_task() */
};

/*
 * Copies up to @max views of requests with numbers above @after, in rising order; returns how many.
 */
size_t pending_list(struct pending_table *table, uint64_t after, struct pending_view *views,
                    size_t max);
void pending_set_task(struct pending_table *table, uint64_t number, const struct proc_task *task);

size_t pending_count(struct pending_table *table);

/* Waits until everything is answered and every image request given back. */
void pending_wait_empty(struct pending_table *table);

#endif
