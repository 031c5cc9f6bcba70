/*
 * pthread mutexes and condition variables with clang's capability attributes, so that a lock that
 * is missing or leaked is a compile error under clang -Wthread-safety. Shape that the analysis
 * understands: cf_lock(), work, cf_unlock(), return; no early return in between.
 *
 * Condition variables use CLOCK_MONOTONIC.
 */
#ifndef CLONEFS_BASE_MUTEX_H
#define CLONEFS_BASE_MUTEX_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__clang__)
#define CF_CAPABILITY(x) __attribute__((capability(x)))
#define CF_ACQUIRE(...)  __attribute__((acquire_capability(__VA_ARGS__)))
#define CF_RELEASE(...)  __attribute__((release_capability(__VA_ARGS__)))
#define CF_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define CF_NO_ANALYSIS   __attribute__((no_thread_safety_analysis))
#else
#define CF_CAPABILITY(x)
#define CF_ACQUIRE(...)
#define CF_RELEASE(...)
#define CF_REQUIRES(...)
#define CF_NO_ANALYSIS
#endif

struct CF_CAPABILITY("mutex") cf_mutex {
	pthread_mutex_t impl;
};

struct cf_cond {
	pthread_cond_t impl;
};

static inline void cf_mutex_init(struct cf_mutex *m)
{
	int r = pthread_mutex_init(&m->impl, NULL);

	assert(r == 0);
	(void)r;
}

static inline void cf_mutex_fini(struct cf_mutex *m)
{
	(void)pthread_mutex_destroy(&m->impl);
}

static inline void cf_lock(struct cf_mutex *m) CF_ACQUIRE(m) CF_NO_ANALYSIS
{
	int r = pthread_mutex_lock(&m->impl);

	assert(r == 0);
	(void)r;
}

static inline void cf_unlock(struct cf_mutex *m) CF_RELEASE(m) CF_NO_ANALYSIS
{
	int r = pthread_mutex_unlock(&m->impl);

	assert(r == 0);
	(void)r;
}

static inline void cf_cond_init(struct cf_cond *c)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->impl, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static inline void cf_cond_fini(struct cf_cond *c)
{
	(void)pthread_cond_destroy(&c->impl);
}

static inline void cf_cond_wait(struct cf_cond *c, struct cf_mutex *m) CF_REQUIRES(m)
{
	(void)pthread_cond_wait(&c->impl, &m->impl);
}

/* Waits until woken or until the monotonic clock reaches @deadline_ns; false: the time is up. */
static inline bool cf_cond_wait_until(struct cf_cond *c, struct cf_mutex *m, uint64_t deadline_ns)
        CF_REQUIRES(m)
{
	struct timespec ts = {
	        .tv_sec = (time_t)(deadline_ns / 1000000000u),
	        .tv_nsec = (long)(deadline_ns % 1000000000u),
	};

	return pthread_cond_timedwait(&c->impl, &m->impl, &ts) != ETIMEDOUT;
}

static inline void cf_cond_signal(struct cf_cond *c)
{
	(void)pthread_cond_signal(&c->impl);
}

static inline void cf_cond_broadcast(struct cf_cond *c)
{
	(void)pthread_cond_broadcast(&c->impl);
}

#endif
