/*
 * Locks of byte ranges, shared or exclusive: operations that overlap take turns, so that the model
 * knows what each of them must see; all others run at the same time.
 */
#ifndef CLONEFS_TESTS_MODEL_IO_BYTE_LOCKS_H
#define CLONEFS_TESTS_MODEL_IO_BYTE_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mutex.h"

/* One holder's range, in the holder's memory. */
struct byte_lock {
	uint64_t start, end; /* bytes; end is behind the last */
	bool exclusive;
	struct byte_lock *next;
};

struct byte_locks {
	struct cf_mutex lock; /* protects: held and the list behind it */
	struct cf_cond freed;
	struct byte_lock *held;
};

void byte_locks_init(struct byte_locks *locks);
void byte_locks_fini(struct byte_locks *locks);
/* Waits for overlapping holders unless both sides share. */
void byte_locks_take(struct byte_locks *locks, struct byte_lock *own, uint64_t start, uint64_t end,
                     bool exclusive);
void byte_locks_drop(struct byte_locks *locks, struct byte_lock *own);

#endif
