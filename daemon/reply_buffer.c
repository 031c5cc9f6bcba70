#include "daemon/reply_buffer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The kernel takes hold of each page of a reply, so these are in huge pages; they come and go as a
 * whole, or only their first use would find huge ones. */
#define HUGE_PAGE ((size_t)2 << 20)
#define PER_PAGE  (HUGE_PAGE / REPLY_BUFFER_MAX)
static_assert(HUGE_PAGE % REPLY_BUFFER_MAX == 0 && REPLY_BUFFER_NR % PER_PAGE == 0,
              "huge pages hold whole buffers");
static unsigned char large[REPLY_BUFFER_NR][REPLY_BUFFER_MAX] __attribute__((aligned(HUGE_PAGE)));
/* Acquire and release: the next user of a buffer comes after the one before. */
static atomic_bool busy[REPLY_BUFFER_NR];
/* Whoever is at the buffer writes it: its user, or reply_buffer_trim(). NONE: not resident. */
enum use { USE_NONE, USE_EARLIER, USE_LATELY }; /* the later, the larger */
static enum use uses[REPLY_BUFFER_NR];
/* Buffers that are not busy, or are about to be given back. */
static sem_t nr_free;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t small_key; /* the thread's own buffer */

static void unmap(void *buffer)
{
	(void)munmap(buffer, REPLY_BUFFER_SMALL);
}

static void init(void)
{
	if (pthread_key_create(&small_key, unmap) != 0 ||
	    sem_init(&nr_free, 0, REPLY_BUFFER_NR) < 0)
		abort();
	(void)madvise(large, sizeof(large), MADV_HUGEPAGE);
}

static void *small_buffer(void)
{
	void *buffer = pthread_getspecific(small_key);

	if (buffer)
		return buffer;
	buffer = mmap(NULL, REPLY_BUFFER_SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0);
	if (buffer == MAP_FAILED)
		return NULL;
	if (pthread_setspecific(small_key, buffer) != 0) {
		unmap(buffer);
		return NULL;
	}
	return buffer;
}

static bool take(unsigned int i)
{
	return !atomic_load_explicit(&busy[i], memory_order_relaxed) &&
	       !atomic_exchange_explicit(&busy[i], true, memory_order_acquire);
}

static void give_back(unsigned int i)
{
	atomic_store_explicit(&busy[i], false, memory_order_release);
	(void)sem_post(&nr_free);
}

static void *large_buffer(void)
{
	while (sem_wait(&nr_free) < 0) {
		if (errno != EINTR)
			return NULL;
	}
	/* One is free; which one may change while we look. */
	for (unsigned int i = 0;; i = (i + 1) % REPLY_BUFFER_NR) {
		if (take(i)) {
			uses[i] = USE_LATELY;
			return large[i];
		}
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
	give_back((unsigned int)((size_t)(at - large[0]) / REPLY_BUFFER_MAX));
}

/* False: it is in use, or every free one is spoken for. */
static bool hold(unsigned int i)
{
	/* A reader that has been let in finds a buffer, also while we hold some. */
	if (sem_trywait(&nr_free) < 0)
		return false;
	if (take(i))
		return true;
	(void)sem_post(&nr_free);
	return false;
}

/* All of them are held. */
static void age_page(unsigned int first)
{
	enum use latest = USE_NONE;

	for (unsigned int i = first; i < first + PER_PAGE; i++) {
		if (uses[i] > latest)
			latest = uses[i];
	}
	if (latest == USE_EARLIER)
		(void)madvise(large[first], HUGE_PAGE, MADV_DONTNEED);
	for (unsigned int i = first; i < first + PER_PAGE; i++)
		uses[i] = latest == USE_LATELY ? USE_EARLIER : USE_NONE;
}

void reply_buffer_trim(void)
{
	(void)pthread_once(&once, init);
	for (unsigned int first = 0; first < REPLY_BUFFER_NR; first += PER_PAGE) {
		unsigned int nr = 0;

		while (nr < PER_PAGE && hold(first + nr))
			nr++;
		if (nr == PER_PAGE)
			age_page(first);
		while (nr)
			give_back(first + --nr);
	}
}
