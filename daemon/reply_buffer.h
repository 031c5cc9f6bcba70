/*
 * Memory that a hydrated read is answered from. Small replies have a buffer per thread; large ones
 * share a few, because each that was used stays resident until reply_buffer_trim(): the lowest free
 * one is taken, so that only as many are touched as are needed at a time. They lie two by two in
 * huge pages, where the system has them. All of it is mapped: in a heap the buffers of threads that
 * come and go would leave holes, which stay resident.
 */
#ifndef CLONEFS_DAEMON_REPLY_BUFFER_H
#define CLONEFS_DAEMON_REPLY_BUFFER_H

#include <stddef.h>

#define REPLY_BUFFER_SMALL ((size_t)64 << 10)
#define REPLY_BUFFER_MAX   ((size_t)1 << 20)
/* Large ones at a time: more readers of one destination would only wait for it, too. */
#define REPLY_BUFFER_NR 8

/*
 * A buffer of @length bytes, at most REPLY_BUFFER_MAX. Waits for one of the large ones when all are
 * in use. NULL: no memory, or it is longer than that. A thread has at most one.
 */
void *reply_buffer_get(size_t length);

/* Gives it back; NULL is allowed. */
void reply_buffer_put(void *buffer);

/* Large buffers of which neither of a huge page was taken since the last call give their memory
 * back. Does not wait. */
void reply_buffer_trim(void);

#endif
