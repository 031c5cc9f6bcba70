#include "daemon/watcher.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/mutex.h"

#define VIEWS_AT_ONCE 64

struct watcher {
	pthread_t thread;
	struct pending_table *table; /* borrowed */
	void (*tick)(void *user);
	void *user;

	struct cf_mutex lock; /* protects: woken, stopping */
	struct cf_cond cond;
	bool woken;
	bool stopping;
};

bool watcher_is_due(const struct pending_view *view, uint64_t now_ns)
{
	if (view->pid == 0 || view->task.gone)
		return false;
	return view->interrupted_ns || now_ns - view->arrived_ns >= WATCHER_GRACE_MS * CF_NS_PER_MS;
}

bool watcher_should_end(const struct pending_view *view, uint64_t now_ns,
                        const struct proc_verdict *verdict)
{
	if (verdict->dying)
		return true;
	return verdict->ending && view->interrupted_ns &&
	       now_ns - view->interrupted_ns >= WATCHER_GRACE_MS * CF_NS_PER_MS;
}

static void look_at(struct watcher *w, const struct pending_view *view)
{
	struct proc_task task = view->task;
	struct proc_verdict verdict;

	proc_task_look(view->pid, &task, &verdict);
	if (!view->task.tgid)
		pending_set_task(w->table, view->number, &task);
	if (watcher_should_end(view, clock_monotonic_ns(), &verdict))
		pending_cancel(w->table, view->number, -EINTR);
}

static void look_at_all(struct watcher *w)
{
	struct pending_view views[VIEWS_AT_ONCE];
	uint64_t after = 0;
	size_t n;

	do {
		uint64_t now = clock_monotonic_ns();

		n = pending_list(w->table, after, views, VIEWS_AT_ONCE);
		for (size_t i = 0; i < n; i++) {
			after = views[i].number;
			if (watcher_is_due(&views[i], now))
				look_at(w, &views[i]);
		}
	} while (n == VIEWS_AT_ONCE);
}

static void *watcher_main(void *arg)
{
	struct watcher *w = arg;
	bool stopping = false;
	uint64_t next_tick = clock_monotonic_ns() + WATCHER_PERIOD_MS * CF_NS_PER_MS;

	while (!stopping) {
		bool time_is_up = false;

		cf_lock(&w->lock);
		while (!w->stopping && !w->woken && !time_is_up)
			time_is_up = !cf_cond_wait_until(&w->cond, &w->lock, next_tick);
		w->woken = false;
		stopping = w->stopping;
		cf_unlock(&w->lock);

		if (stopping)
			break;
		look_at_all(w);
		if (clock_monotonic_ns() < next_tick)
			continue;
		if (w->tick)
			w->tick(w->user);
		next_tick = clock_monotonic_ns() + WATCHER_PERIOD_MS * CF_NS_PER_MS;
	}
	return NULL;
}

int watcher_start(struct pending_table *table, void (*tick)(void *user), void *user,
                  struct watcher **ret_watcher, struct cf_error *err)
{
	struct watcher *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return cf_error_set(err, -ENOMEM, "out of memory");
	w->table = table;
	w->tick = tick;
	w->user = user;
	cf_mutex_init(&w->lock);
	cf_cond_init(&w->cond);
	r = -pthread_create(&w->thread, NULL, watcher_main, w);
	if (r < 0) {
		cf_cond_fini(&w->cond);
		cf_mutex_fini(&w->lock);
		free(w);
		return cf_error_errno(err, r, "cannot start the watcher thread");
	}
	(void)pthread_setname_np(w->thread, "clonefs-watch");
	*ret_watcher = w;
	return 0;
}

void watcher_wake(struct watcher *w)
{
	cf_lock(&w->lock);
	w->woken = true;
	cf_cond_signal(&w->cond);
	cf_unlock(&w->lock);
}

void watcher_stop(struct watcher *w)
{
	if (!w)
		return;
	cf_lock(&w->lock);
	w->stopping = true;
	cf_cond_signal(&w->cond);
	cf_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	cf_cond_fini(&w->cond);
	cf_mutex_fini(&w->lock);
	free(w);
}
