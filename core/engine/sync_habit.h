/*
 * Does a writer sync after each write, as a database does with its log? Then a write is best on its
 * way to the disk before its sync is asked for. With more than one to a sync it is not: those
 * beside each other go in one piece then.
 *
 * Any thread, no locks, does not block. Of calls that race one may be forgotten: it is a guess.
 */
#ifndef CLONEFS_ENGINE_SYNC_HABIT_H
#define CLONEFS_ENGINE_SYNC_HABIT_H

#include <stdatomic.h>
#include <stdbool.h>

struct sync_habit {
	atomic_uint nr_changes; /* writes and others, since the last sync */
	atomic_uint nr_pairs;   /* syncs in a row that had one change before them, up to enough */
};

void sync_habit_init(struct sync_habit *habit);

/* A change is asked for, of whichever kind and region. True: expect its sync. */
bool sync_habit_changed(struct sync_habit *habit);
/* A sync is asked for. One without a change before it says nothing. */
void sync_habit_synced(struct sync_habit *habit);

#endif
