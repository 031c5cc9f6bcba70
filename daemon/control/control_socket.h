/*
 * The Unix socket of the control server: made with mode 0600 whatever the umask, at a path of any
 * length, and removed only while it is still the one that was made.
 */
#ifndef CLONEFS_DAEMON_CONTROL_SOCKET_H
#define CLONEFS_DAEMON_CONTROL_SOCKET_H

#include <stdbool.h>

#include "core/base/error.h"

struct control_socket;

/*
 * Makes and listens. A socket that is there already is stale and replaced (the caller holds the
 * clone's lock). -EEXIST: something else is there. @path is copied.
 */
int control_socket_open(const char *path, struct control_socket **ret_socket, struct cf_error *err);

/* Hands the listening descriptor over: whoever takes it closes it. */
int control_socket_take_fd(struct control_socket *socket);

/* Removes the socket from its folder, closes what was not taken, frees. NULL is allowed. */
void control_socket_close(struct control_socket *socket);

/* Is the process at the other end of connection @fd root or this process's user? */
bool control_socket_peer_is_allowed(int fd);

#endif
