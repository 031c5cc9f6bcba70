/*
 * From "the image can be read" to "nobody uses it any more": the main thread waits here for the
 * unmount and for signals (docs/architecture.md, "Nobody gets stuck").
 *
 *   serving --umount, last close--------------------------> over
 *      |signal: background stops, a commit begins, the mount is taken away lazily
 *   leaving --last close, second signal, stop_timeout=----> over
 */
#ifndef CLONEFS_DAEMON_SERVE_H
#define CLONEFS_DAEMON_SERVE_H

struct daemon;

/*
 * Returns when the FUSE loop has ended and nothing waits in it: what was still waiting at a second
 * signal or stop_timeout= has got EIO. Why it ended, for the journal: "umount", "SIGTERM", ...
 */
const char *serve_until_end(struct daemon *d, int signal_fd);

#endif
