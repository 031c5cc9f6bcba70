/*
 * The control server: HTTP/1.1 and JSON on a Unix socket, for clonectl and whoever else is the
 * same user or root.
 *
 *   GET  /v1/status     the object of core/control/status.h
 *   POST /v1/pause      answers with the status when no background request is in flight
 *   POST /v1/resume     the status
 *   POST /v1/flush      the status, when everything written before is on stable storage
 *   POST /v1/settings   {NAME: VALUE, ...} -> {"changed": {NAME: {"old", "new"}}, "settings":
 * {...}} POST /v1/dmsetup    {"noflush": bool} -> {"line": dm-clone's status line}, after a flush,
 *                       also after one that failed
 *
 * It knows nothing of the engine: a table of functions stands between. One thread (of
 * libmicrohttpd) serves all clients and must not be held up, so calls that take time are begun
 * there and ended by whoever finishes them; a second thread watches their deadline.
 */
#ifndef CLONEFS_DAEMON_CONTROL_SERVER_H
#define CLONEFS_DAEMON_CONTROL_SERVER_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/control/settings.h"
#include "core/control/status.h"

struct control_server;
struct control_call; /* a client that waits for pause, flush or dmsetup */

/*
 * All required. Called on the server's thread, one at a time, with no lock of the server's held;
 * none may wait for a disk, the source or a commit.
 */
struct control_ops {
	/* Fills everything in; the structure is zeroed before. */
	void (*get_status)(void *user, struct control_status *ret_status);
	void (*get_settings)(void *user, struct settings *ret_settings);
	/*
	 * All of @settings are valid and take effect at once; @old is what get_settings() said
	 * just before. Negative errno: nothing has changed, @err says why.
	 */
	int (*set_settings)(void *user, const struct settings *old, const struct settings *settings,
	                    struct cf_error *err);
	/*
	 * Begin to pause, or to commit. The end is told with control_call_end(), exactly once, on
	 * any thread, perhaps before this returns.
	 */
	void (*pause)(void *user, struct control_call *call);
	void (*flush)(void *user, struct control_call *call);
	void (*resume)(void *user);
};

struct control_server_params {
	/*
	 * Path of the socket, of any length; its folder exists. What is there and is a socket is
	 * stale and replaced: the caller holds the clone's lock.
	 */
	const char *socket_path; /* copied */
	const struct control_ops *ops;
	void *user;
	uint64_t call_timeout_ms; /* how long a client waits for pause and flush; 0: five minutes */
};

/*
 * Makes the socket (mode 0600 whatever the umask) and begins to serve. Starts threads: after the
 * last fork. -EEXIST: something else than a socket is in the way; other errno of the system.
 */
int control_server_start(const struct control_server_params *params,
                         struct control_server **ret_server, struct cf_error *err);

/*
 * The end of a call: @error is 0 or a negative errno, @sentence says why (NULL: strerror). Harmless
 * after the client was answered otherwise (deadline) and after control_server_stop().
 */
void control_call_end(struct control_call *call, int error, const char *sentence);

/*
 * Removes the socket (only if it is still ours), answers who waits with 503, ends both threads,
 * frees. No function of the table is called when it has returned. NULL is allowed.
 */
void control_server_stop(struct control_server *server);

#endif
