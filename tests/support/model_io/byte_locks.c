#include "tests/support/model_io/byte_locks.h"

#include <stddef.h>

void byte_locks_init(struct byte_locks *locks)
{
	locks->held = NULL;
	cf_mutex_init(&locks->lock);
	cf_cond_init(&locks->freed);
}

void byte_locks_fini(struct byte_locks *locks)
{
	cf_cond_fini(&locks->freed);
	cf_mutex_fini(&locks->lock);
}

static bool conflicts(const struct byte_locks *locks, const struct byte_lock *own)
{
	for (const struct byte_lock *other = locks->held; other; other = other->next)
		if (other->start < own->end && own->start < other->end &&
		    (other->exclusive || own->exclusive))
			return true;
	return false;
}

void byte_locks_take(struct byte_locks *locks, struct byte_lock *own, uint64_t start, uint64_t end,
                     bool exclusive)
{
	*own = (struct byte_lock){.start = start, .end = end, .exclusive = exclusive};
	cf_lock(&locks->lock);
	while (conflicts(locks, own))
		cf_cond_wait(&locks->freed, &locks->lock);
	own->next = locks->held;
	locks->held = own;
	cf_unlock(&locks->lock);
}

void byte_locks_drop(struct byte_locks *locks, struct byte_lock *own)
{
	struct byte_lock **place = &locks->held;

	cf_lock(&locks->lock);
	while (*place != own)
		place = &(*place)->next;
	*place = own->next;
	cf_cond_broadcast(&locks->freed);
	cf_unlock(&locks->lock);
}
