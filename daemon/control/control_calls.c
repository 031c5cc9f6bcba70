#include "daemon/control/control_calls.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "daemon/control/control_server.h"

struct control_calls {
	uint64_t timeout_ms;
	unsigned int max;
	pthread_t watcher;

	struct cf_mutex lock;       /* protects everything below, and the calls */
	struct cf_cond changed;     /* a call began, a request let go, stopping */
	struct control_call *first; /* those that wait, the oldest (earliest deadline) first */
	struct control_call **last;
	unsigned int nr_waiting;
	unsigned int nr_open; /* calls whose request has not let go yet */
	unsigned int refs;    /* the server's, and one for each call */
	bool stopping;
};

struct control_call {
	struct control_calls *calls; /* a reference */
	struct control_call *next;
	struct control_call **link;        /* what points to us in the list */
	struct MHD_Connection *connection; /* suspended; NULL: resumed */
	uint64_t deadline_ns;
	unsigned int refs; /* of the request and of the operation */
	int result;
	struct cf_error error;
};

static void list_add_locked(struct control_calls *calls, struct control_call *call)
        CF_REQUIRES(&calls->lock)
{
	call->link = calls->last;
	*calls->last = call;
	calls->last = &call->next;
	calls->nr_waiting++;
}

static void list_remove_locked(struct control_calls *calls, struct control_call *call)
        CF_REQUIRES(&calls->lock)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	else
		calls->last = call->link;
	calls->nr_waiting--;
}

/* Decides how @call ends, unless that is decided. */
static void finish_locked(struct control_calls *calls, struct control_call *call, int result,
                          const char *sentence) CF_REQUIRES(&calls->lock)
{
	if (!call->connection)
		return;
	list_remove_locked(calls, call);
	call->result = result;
	if (result < 0 && sentence)
		(void)cf_error_set(&call->error, result, "%s", sentence);
	MHD_resume_connection(call->connection);
	call->connection = NULL;
}

static void *watch_deadlines(void *user)
{
	struct control_calls *calls = user;

	cf_lock(&calls->lock);
	while (!calls->stopping) {
		struct control_call *call = calls->first;

		if (!call)
			cf_cond_wait(&calls->changed, &calls->lock);
		else if (clock_monotonic_ns() >= call->deadline_ns)
			finish_locked(calls, call, -ETIMEDOUT, NULL);
		else
			(void)cf_cond_wait_until(&calls->changed, &calls->lock, call->deadline_ns);
	}
	cf_unlock(&calls->lock);
	return NULL;
}

static void calls_destroy(struct control_calls *calls)
{
	cf_cond_fini(&calls->changed);
	cf_mutex_fini(&calls->lock);
	free(calls);
}

int calls_new(uint64_t timeout_ms, unsigned int max, struct control_calls **ret_calls)
{
	struct control_calls *calls = calloc(1, sizeof(*calls));
	int r;

	if (!calls)
		return -ENOMEM;
	calls->timeout_ms = timeout_ms;
	calls->max = max;
	calls->last = &calls->first;
	calls->refs = 1;
	cf_mutex_init(&calls->lock);
	cf_cond_init(&calls->changed);
	r = pthread_create(&calls->watcher, NULL, watch_deadlines, calls);
	if (r != 0) {
		calls_destroy(calls);
		return -r;
	}
	*ret_calls = calls;
	return 0;
}

int calls_begin(struct control_calls *calls, struct MHD_Connection *connection,
                struct control_call **ret_call)
{
	struct control_call *call = calloc(1, sizeof(*call));
	int r = 0;

	if (!call)
		return -ENOMEM;
	call->calls = calls;
	call->deadline_ns = clock_monotonic_ns() + calls->timeout_ms * CF_NS_PER_MS;
	call->refs = 2;
	call->result = -EAGAIN;
	cf_lock(&calls->lock);
	if (calls->stopping)
		r = -ESHUTDOWN;
	else if (calls->nr_waiting >= calls->max)
		r = -EAGAIN;
	if (r == 0) {
		MHD_suspend_connection(connection);
		call->connection = connection;
		list_add_locked(calls, call);
		calls->nr_open++;
		calls->refs++;
		cf_cond_broadcast(&calls->changed);
	}
	cf_unlock(&calls->lock);
	if (r < 0)
		free(call);
	else
		*ret_call = call;
	return r;
}

int call_result(struct control_call *call, struct cf_error *ret_error)
{
	int r;

	cf_lock(&call->calls->lock);
	r = call->connection ? -EAGAIN : call->result;
	*ret_error = call->error;
	cf_unlock(&call->calls->lock);
	return r;
}

/* Gives one reference back; the last one takes the call's reference to @calls along. */
static void put(struct control_call *call, bool by_request)
{
	struct control_calls *calls = call->calls;
	bool last_call;
	bool last_of_all;

	cf_lock(&calls->lock);
	if (by_request) {
		calls->nr_open--;
		cf_cond_broadcast(&calls->changed);
	}
	last_call = --call->refs == 0;
	last_of_all = last_call && --calls->refs == 0;
	cf_unlock(&calls->lock);
	if (last_call)
		free(call);
	if (last_of_all)
		calls_destroy(calls);
}

void call_put(struct control_call *call)
{
	if (call)
		put(call, true);
}

void control_call_end(struct control_call *call, int error, const char *sentence)
{
	struct control_calls *calls = call->calls;

	cf_lock(&calls->lock);
	finish_locked(calls, call, error, sentence);
	cf_unlock(&calls->lock);
	put(call, false);
}

void calls_stop(struct control_calls *calls, uint64_t deadline_ns)
{
	cf_lock(&calls->lock);
	calls->stopping = true;
	while (calls->first)
		finish_locked(calls, calls->first, -ESHUTDOWN, NULL);
	cf_cond_broadcast(&calls->changed);
	while (calls->nr_open && cf_cond_wait_until(&calls->changed, &calls->lock, deadline_ns))
		continue;
	cf_unlock(&calls->lock);
}

void calls_free(struct control_calls *calls)
{
	bool last;

	if (!calls)
		return;
	(void)pthread_join(calls->watcher, NULL);
	cf_lock(&calls->lock);
	last = --calls->refs == 0;
	cf_unlock(&calls->lock);
	if (last)
		calls_destroy(calls);
}
