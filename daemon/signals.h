/*
 * Signals as events: SIGTERM and SIGINT are read from a descriptor, so that no handler runs in the
 * middle of anything. SIGHUP and SIGPIPE are ignored.
 */
#ifndef CLONEFS_DAEMON_SIGNALS_H
#define CLONEFS_DAEMON_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

/* Before any thread is made: they inherit the mask. *ret_fd is the caller's to close. */
int signals_open(int *ret_fd, struct cf_error *err);

/* Takes one signal that asks for the end from @fd: its name, or NULL: there was none. */
const char *signals_take(int fd);

/* Sleeps for @ms; true: cut short by a signal that asks for the end, which is still to be taken. */
bool signals_sleep(uint64_t ms);

#endif
