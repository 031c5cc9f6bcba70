/*
 * Clients that wait for something slow (pause, flush): their connections are suspended, so that
 * the server's one thread goes on with others, and resumed by whoever finishes first: the end of
 * the operation, the deadline, the server's stop.
 *
 * Locks: control_calls' lock is the only one, and libmicrohttpd's own are taken below it.
 * Invariants:
 *  (1) a call is in the list of those that wait exactly while its connection is suspended;
 *  (2) a connection is resumed exactly once, under the lock, so that after calls_stop() none is
 *      suspended and none ever will be;
 *  (3) a call lives until its request and its operation have both let go of it, the lock as long
 *      as the last call: the operation may end after the server is gone.
 */
#ifndef CLONEFS_DAEMON_CONTROL_CALLS_H
#define CLONEFS_DAEMON_CONTROL_CALLS_H

#include <stdint.h>

#include "core/base/error.h"

struct MHD_Connection;
struct control_call;
struct control_calls;

/* Starts the thread that watches deadlines. No more than @max calls wait at once. */
int calls_new(uint64_t timeout_ms, unsigned int max, struct control_calls **ret_calls);

/*
 * Suspends @connection and hands out two references: one for the request (call_put), one for the
 * operation, which control_call_end() takes. -ESHUTDOWN, -EAGAIN (too many), -ENOMEM: nothing
 * has been suspended.
 */
int calls_begin(struct control_calls *calls, struct MHD_Connection *connection,
                struct control_call **ret_call);

/*
 * How a call ended, after its connection was resumed: 0, or a negative errno with the sentence in
 * @ret_error, if the operation gave one. -ETIMEDOUT: not yet; -ESHUTDOWN: the server stops.
 * -EAGAIN: it has not ended.
 */
int call_result(struct control_call *call, struct cf_error *ret_error);

/* NULL is allowed. */
void call_put(struct control_call *call);

/*
 * Resumes all with -ESHUTDOWN, refuses new ones, and waits until their requests have let go of
 * them (were answered), at most until the monotonic clock reaches @deadline_ns.
 */
void calls_stop(struct control_calls *calls, uint64_t deadline_ns);

/* After calls_stop(). Ends the thread. NULL is allowed. */
void calls_free(struct control_calls *calls);

#endif
