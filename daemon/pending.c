#include "daemon/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/mutex.h"

struct pending {
	struct pending_table *table;
	uint64_t number;
	pid_t pid;
	uint64_t arrived_ns;

	/* all below: table->lock */
	struct pending *next;
	struct pending *prev;
	unsigned int references; /* submitter until attach, done() until finish, each cancel */
	bool finished;
	uint64_t interrupted_ns;
	struct proc_task task;
	struct image_request *request; /* owned; NULL until attach */
	int cancel_error;              /* asked for before attach */
};

struct pending_table {
	struct pending_engine engine;
	struct cf_mutex lock; /* protects: list, count, next_number and the entries */
	struct cf_cond empty;
	struct pending list; /* head of a ring; rising numbers */
	size_t count;
	uint64_t next_number;
};

struct pending_table *pending_table_new(const struct pending_engine *engine)
{
	struct pending_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->engine = *engine;
	table->list.next = table->list.prev = &table->list;
	table->next_number = 1;
	cf_mutex_init(&table->lock);
	cf_cond_init(&table->empty);
	return table;
}

void pending_table_free(struct pending_table *table)
{
	if (!table)
		return;
	assert(table->count == 0);
	cf_cond_fini(&table->empty);
	cf_mutex_fini(&table->lock);
	free(table);
}

struct pending *pending_add(struct pending_table *table, pid_t pid)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->table = table;
	p->pid = pid;
	p->arrived_ns = clock_monotonic_ns();
	p->references = 2;
	cf_lock(&table->lock);
	p->number = table->next_number++;
	p->next = &table->list;
	p->prev = table->list.prev;
	p->prev->next = p;
	table->list.prev = p;
	table->count++;
	cf_unlock(&table->lock);
	return p;
}

uint64_t pending_number(const struct pending *p)
{
	return p->number;
}

/* Gives one reference back, without the lock; the last one forgets the image's request. */
static void pending_put(struct pending *p)
{
	struct pending_table *table = p->table;
	bool last;

	cf_lock(&table->lock);
	last = --p->references == 0;
	cf_unlock(&table->lock);
	if (!last)
		return;
	if (p->request)
		table->engine.put(p->request);
	free(p);
	/* Last, so that an empty table means that nothing of the image is referred to. */
	cf_lock(&table->lock);
	if (--table->count == 0)
		cf_cond_broadcast(&table->empty);
	cf_unlock(&table->lock);
}

void pending_attach(struct pending *p, struct image_request *request)
{
	struct pending_table *table = p->table;
	int error;

	cf_lock(&table->lock);
	p->request = request;
	error = p->finished ? 0 : p->cancel_error;
	cf_unlock(&table->lock);
	if (error && request)
		table->engine.cancel(table->engine.user, request, error);
	pending_put(p);
}

void pending_finish(struct pending *p)
{
	struct pending_table *table = p->table;

	cf_lock(&table->lock);
	assert(!p->finished);
	p->finished = true;
	p->prev->next = p->next;
	p->next->prev = p->prev;
	cf_unlock(&table->lock);
	pending_put(p);
}

static struct pending *find_locked(struct pending_table *table, uint64_t number)
{
	/* New requests are at the end, and those that wait for long are few. */
	for (struct pending *p = table->list.prev; p != &table->list && p->number >= number;
	     p = p->prev)
		if (p->number == number)
			return p;
	return NULL;
}

bool pending_interrupt(struct pending_table *table, uint64_t number, uint64_t now_ns)
{
	struct pending *p;

	cf_lock(&table->lock);
	p = find_locked(table, number);
	if (p && !p->interrupted_ns)
		p->interrupted_ns = now_ns;
	cf_unlock(&table->lock);
	return p != NULL;
}

void pending_cancel(struct pending_table *table, uint64_t number, int error)
{
	struct image_request *request = NULL;
	struct pending *p;

	cf_lock(&table->lock);
	p = find_locked(table, number);
	if (p) {
		p->references++;
		p->cancel_error = error;
		request = p->request;
	}
	cf_unlock(&table->lock);
	if (!p)
		return;
	if (request)
		table->engine.cancel(table->engine.user, request, error);
	pending_put(p);
}

size_t pending_list(struct pending_table *table, uint64_t after, struct pending_view *views,
                    size_t max)
{
	size_t n = 0;

	cf_lock(&table->lock);
	for (struct pending *p = table->list.next; p != &table->list && n < max; p = p->next) {
		if (p->number <= after)
			continue;
		views[n++] = (struct pending_view){
		        .number = p->number,
		        .pid = p->pid,
		        .arrived_ns = p->arrived_ns,
		        .interrupted_ns = p->interrupted_ns,
		        .task = p->task,
		};
	}
	cf_unlock(&table->lock);
	return n;
}

void pending_set_task(struct pending_table *table, uint64_t number, const struct proc_task *task)
{
	struct pending *p;

	cf_lock(&table->lock);
	p = find_locked(table, number);
	if (p)
		p->task = *task;
	cf_unlock(&table->lock);
}

size_t pending_count(struct pending_table *table)
{
	size_t count;

	cf_lock(&table->lock);
	count = table->count;
	cf_unlock(&table->lock);
	return count;
}

void pending_wait_empty(struct pending_table *table)
{
	cf_lock(&table->lock);
	while (table->count)
		cf_cond_wait(&table->empty, &table->lock);
	cf_unlock(&table->lock);
}
