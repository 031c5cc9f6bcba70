#include "core/engine/sync_habit.h"

/* So many pairs of a change and its sync make a habit. */
#define ENOUGH 4u

void sync_habit_init(struct sync_habit *habit)
{
	atomic_init(&habit->nr_changes, 0);
	atomic_init(&habit->nr_pairs, 0);
}

bool sync_habit_changed(struct sync_habit *habit)
{
	unsigned int nr = atomic_fetch_add_explicit(&habit->nr_changes, 1, memory_order_relaxed);

	return nr == 0 && atomic_load_explicit(&habit->nr_pairs, memory_order_relaxed) >= ENOUGH;
}

void sync_habit_synced(struct sync_habit *habit)
{
	unsigned int nr = atomic_exchange_explicit(&habit->nr_changes, 0, memory_order_relaxed);
	unsigned int nr_pairs = atomic_load_explicit(&habit->nr_pairs, memory_order_relaxed);

	if (!nr)
		return;
	if (nr > 1)
		nr_pairs = 0;
	else if (nr_pairs < ENOUGH)
		nr_pairs++;
	atomic_store_explicit(&habit->nr_pairs, nr_pairs, memory_order_relaxed);
}
