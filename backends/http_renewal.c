/*
 * Invariants:
 * 1. asked - 1 <= begun <= asked, and ended is begun or the one before: one reading runs, one more
 *    at most is wanted.
 * 2. Whoever asked gets the number of a reading that began later: it finds what was written before.
 * 3. notify() is not called once http_renewal_free() has the lock.
 */
#include "backends/http_renewal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/mutex.h"

struct http_renewal {
	struct http_secret_files files; /* owned; constant */

	struct cf_mutex lock; /* protects what follows */
	struct cf_cond wake;  /* for the thread: asked or closing */
	bool has_thread;
	pthread_t thread;
	bool closing;
	bool left_behind; /* freed while it read: the thread destroys this */
	void (*notify)(void *user);
	void *user;
	uint64_t asked, begun, ended; /* numbers of readings */
	uint64_t since_ns;            /* reading @ended + 1, if asked for, is due since */
	uint64_t taken;               /* what the last http_renewal_take() returned */
	int error;                    /* of reading @ended */
	struct cf_error why;
	struct http_secrets found; /* owned */
};

int http_renewal_new(struct http_secret_files *files, struct http_renewal **ret)
{
	struct http_renewal *renewal = calloc(1, sizeof(*renewal));

	if (!renewal)
		return -ENOMEM;
	renewal->files = *files;
	*files = (struct http_secret_files){.user_file = NULL};
	cf_mutex_init(&renewal->lock);
	cf_cond_init(&renewal->wake);
	*ret = renewal;
	return 0;
}

static void destroy(struct http_renewal *renewal)
{
	http_secrets_wipe(&renewal->found);
	http_secret_files_fini(&renewal->files);
	cf_cond_fini(&renewal->wake);
	cf_mutex_fini(&renewal->lock);
	free(renewal);
}

static void end_reading_locked(struct http_renewal *renewal, int error,
                               const struct http_secrets *found, const struct cf_error *why)
        CF_REQUIRES(&renewal->lock)
{
	http_secrets_wipe(&renewal->found);
	renewal->found = *found;
	renewal->error = error;
	renewal->why = *why;
	renewal->ended = renewal->begun;
	renewal->since_ns = clock_monotonic_ns();
	if (!renewal->closing && renewal->notify)
		renewal->notify(renewal->user);
}

static void *renewal_main(void *user)
{
	struct http_renewal *renewal = user;
	bool left_behind;

	cf_lock(&renewal->lock);
	while (!renewal->closing) {
		struct http_secrets found = {.user = NULL};
		struct cf_error why = {0};
		int error;

		if (renewal->begun == renewal->asked) {
			cf_cond_wait(&renewal->wake, &renewal->lock);
			continue;
		}
		renewal->begun = renewal->asked;
		cf_unlock(&renewal->lock);
		error = http_secrets_read(&renewal->files, &found, &why);
		cf_lock(&renewal->lock);
		end_reading_locked(renewal, error, &found, &why);
	}
	left_behind = renewal->left_behind;
	cf_unlock(&renewal->lock);
	if (left_behind)
		destroy(renewal);
	return NULL;
}

/* Signals are for the daemon's own thread. */
static bool start_thread_locked(struct http_renewal *renewal) CF_REQUIRES(&renewal->lock)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	renewal->has_thread = pthread_create(&renewal->thread, NULL, renewal_main, renewal) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (renewal->has_thread)
		(void)pthread_setname_np(renewal->thread, "clonefs-secrets");
	return renewal->has_thread;
}

void http_renewal_free(struct http_renewal *renewal)
{
	bool has_thread, reads;

	if (!renewal)
		return;
	cf_lock(&renewal->lock);
	renewal->closing = true;
	has_thread = renewal->has_thread;
	reads = renewal->begun != renewal->ended;
	if (reads)
		(void)pthread_detach(renewal->thread);
	renewal->left_behind = reads;
	cf_cond_signal(&renewal->wake);
	cf_unlock(&renewal->lock);
	if (reads)
		return;
	if (has_thread)
		(void)pthread_join(renewal->thread, NULL);
	destroy(renewal);
}

void http_renewal_watch(struct http_renewal *renewal, void (*notify)(void *user), void *user)
{
	cf_lock(&renewal->lock);
	renewal->notify = notify;
	renewal->user = user;
	cf_unlock(&renewal->lock);
}

uint64_t http_renewal_ask(struct http_renewal *renewal, uint64_t patience_ns)
{
	uint64_t number = 0;
	uint64_t now_ns;
	bool stuck;

	cf_lock(&renewal->lock);
	now_ns = clock_monotonic_ns();
	if (renewal->asked == renewal->ended)
		renewal->since_ns = now_ns;
	stuck = renewal->asked != renewal->ended && now_ns - renewal->since_ns >= patience_ns;
	if (!stuck && (renewal->has_thread || start_thread_locked(renewal))) {
		if (renewal->asked == renewal->begun)
			renewal->asked++;
		number = renewal->asked;
		cf_cond_signal(&renewal->wake);
	}
	cf_unlock(&renewal->lock);
	return number;
}

uint64_t http_renewal_take(struct http_renewal *renewal, int *ret_error, struct http_secrets *ret,
                           struct cf_error *err)
{
	uint64_t number = 0;

	cf_lock(&renewal->lock);
	if (renewal->ended != renewal->taken) {
		number = renewal->taken = renewal->ended;
		*ret_error = renewal->error;
		*ret = renewal->found;
		*err = renewal->why;
		renewal->found = (struct http_secrets){.user = NULL};
	}
	cf_unlock(&renewal->lock);
	return number;
}
