/*
 * Sees to it that the daemon ends although its end hangs: a disk that does not answer holds up the
 * last commit and with it whoever waits for its thread. Signals that come meanwhile are counted
 * here, with those that came before.
 *
 *   G1  One signal asks for an orderly end, however long that takes.
 *   G2  From the second one on the orderly end has STOP_GUARD_GRACE_MS left, from the third one on
 *       none. Then the process ends with exit status 1: what was not committed is given up, the
 *       journal has no close, locks go with the process, and the next mount finds the last commit.
 */
#ifndef CLONEFS_DAEMON_STOP_GUARD_H
#define CLONEFS_DAEMON_STOP_GUARD_H

#include <stdint.h>

/* As long as others wait for a holder that is closing. */
#define STOP_GUARD_GRACE_MS UINT64_C(10000)

struct stop_guard;

/*
 * Takes over @signal_fd (signals_open()), which stays the caller's to close after
 * stop_guard_free(); @nr_signals were taken from it before. @name, of the clone, is borrowed.
 * NULL, with a line in the log: no guard, signals are not looked at any more.
 */
struct stop_guard *stop_guard_new(const char *name, int signal_fd, unsigned int nr_signals,
                                  uint64_t grace_ms);

/* The end is there. NULL is allowed. */
void stop_guard_free(struct stop_guard *guard);

#endif
