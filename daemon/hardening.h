/*
 * A block device may be written back through this process: memory reclaim must neither wait for it
 * nor kill it. All best effort: it needs privileges that not everybody has.
 */
#ifndef CLONEFS_DAEMON_HARDENING_H
#define CLONEFS_DAEMON_HARDENING_H

void harden_against_reclaim(void);

#endif
