/*
 * Pipes that large hydrated replies go through, as references to the destination's pages: the
 * kernel then copies their bytes once, from page cache to page cache, and nobody else does. A few,
 * shared by all workers.
 *
 * libfuse takes a reply over into a pipe of its worker's, which must hold as much, so a reply is
 * what fits into the largest pipe that everybody may have (/proc/sys/fs/pipe-max-size), beside the
 * header and what libfuse reserves.
 */
#ifndef CLONEFS_DAEMON_REPLY_PIPE_H
#define CLONEFS_DAEMON_REPLY_PIPE_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a reply: 252 pages. */
#define REPLY_PIPE_MAX ((size_t)1008 << 10)
/* At a time: more readers of one destination would wait for it anyway. */
#define REPLY_PIPE_NR 8

struct reply_pipe;

/*
 * From now on there are some, if this process may have as many as it likes of that size: ordinary
 * users, also those that are root in a namespace of theirs, share 64 MiB of pipes among all that
 * they run (/proc/sys/fs/pipe-user-pages-soft).
 */
void reply_pipe_allow(void);

/* No more of them. False: there were none already. */
bool reply_pipe_forbid(void);

/* An empty pipe, or NULL: all are in use, or there are none. Any thread; does not wait. */
struct reply_pipe *reply_pipe_get(void);

/* The end to write to, and the one to read from; neither waits. Borrowed. */
int reply_pipe_in(const struct reply_pipe *pipe);
int reply_pipe_out(const struct reply_pipe *pipe);

/* Gives it back, whatever is still in it. */
void reply_pipe_put(struct reply_pipe *pipe);

#endif
