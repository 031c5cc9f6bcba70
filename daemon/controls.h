/* What the control server asks the daemon for, answered by the image (control_server.h). */
#ifndef CLONEFS_DAEMON_CONTROLS_H
#define CLONEFS_DAEMON_CONTROLS_H

#include "daemon/control/control_server.h"

/* The user data is a struct daemon whose clone has been started. */
extern const struct control_ops controls;

#endif
