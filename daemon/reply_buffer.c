#include "daemon/reply_buffer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static unsigned char large[REPLY_BUFFER_NR][REPLY_BUFFER_MAX] __attribute__((aligned(4096)));
/* Acquire and release: the next user of a buffer comes after the one before. */
static atomic_bool busy[REPLY_BUFFER_NR];
static sem_t nr_free; /* buffers that are not busy, or are about to be given back */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t small_key; /* the thread's own buffer */

static void init(void)
{
	if (pthread_key_create(&small_key, free) != 0 || sem_init(&nr_free, 0, REPLY_BUFFER_NR) < 0)
		abort();
}

static void *small_buffer(void)
{
	void *buffer = pthread_getspecific(small_key);

	if (buffer)
		return buffer;
	buffer = aligned_alloc(4096, REPLY_BUFFER_SMALL);
	if (buffer && pthread_setspecific(small_key, buffer) != 0) {
		free(buffer);
		return NULL;
	}
	return buffer;
}

static void *large_buffer(void)
{
	while (sem_wait(&nr_free) < 0) {
		if (errno != EINTR)
			return NULL;
	}
	/* One is free; which one may change while we look. */
	for (unsigned int i = 0;; i = (i + 1) % REPLY_BUFFER_NR) {
		if (!atomic_load_explicit(&busy[i], memory_order_relaxed) &&
		    !atomic_exchange_explicit(&busy[i], true, memory_order_acquire))
			return large[i];
	}
}

void *reply_buffer_get(size_t length)
{
	(void)pthread_once(&once, init);
	if (length > REPLY_BUFFER_MAX)
		return NULL;
	return length <= REPLY_BUFFER_SMALL ? small_buffer() : large_buffer();
}

void reply_buffer_put(void *buffer)
{
	unsigned char *at = buffer;

	if (!at || at < large[0] || at > large[REPLY_BUFFER_NR - 1])
		return;
	atomic_store_explicit(&busy[(size_t)(at - large[0]) / REPLY_BUFFER_MAX], false,
	                      memory_order_release);
	(void)sem_post(&nr_free);
}
