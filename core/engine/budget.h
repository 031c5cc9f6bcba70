/*
 * One budget of memory for everything that holds data: pieces on their way to the destination,
 * parked writes, replies. At its limit background stops first, then read-ahead, then the thread
 * that brings another write waits; pieces that somebody waits for always have a reserve of their
 * own, so that what is parked can get on.
 *
 * Replies are counted but never refused: readers are few (the kernel limits them), and one who is
 * refused could only be failed.
 *
 * Buffers are recycled: those of pieces come from a pool, those of large replies have mappings of
 * their own. So nothing is left resident in a heap's holes, and what is kept for the next use goes
 * back to the system as soon as it and what is charged pass the limit (of the pool: whole blocks
 * that are not in use), and when it was not needed between two calls of budget_trim_locked().
 *
 * All functions want the image's lock.
 */
#ifndef CLONEFS_ENGINE_BUDGET_H
#define CLONEFS_ENGINE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/mutex.h"
#include "core/engine/piece_pool.h"

#define BUDGET_LIMIT   ((size_t)36 << 20)
#define BUDGET_RESERVE ((size_t)8 << 20)

enum budget_use {
	BUDGET_FOREGROUND, /* pieces that somebody waits for */
	BUDGET_READAHEAD,
	BUDGET_BACKGROUND,
	BUDGET_WRITE,
	BUDGET_REPLY,
	BUDGET_NR_USES
};

/* Large replies that are kept for the next reader. */
#define BUDGET_REPLIES_KEPT 8
/* Idle bytes of the pool that are kept for the next piece. Not all of them can be given back at
 * once when replies need memory: a block stays while one of its pieces is in use. */
#define BUDGET_POOL_KEPT ((size_t)12 << 20)

struct budget {
	size_t used[BUDGET_NR_USES];
	size_t total;
	struct piece_pool pool;             /* BUDGET_LIMIT bytes */
	void *replies[BUDGET_REPLIES_KEPT]; /* owned; stack, nr_replies are there */
	size_t nr_replies;
	size_t nr_replies_spare; /* of nr_replies: not needed since the last trim */
	struct cf_cond room;     /* signalled when writes may go on */
	unsigned int waiting;    /* threads in budget_wait_write_locked() */
};

/* 0 or -ENOMEM; after both budget_fini() is allowed. */
int budget_init(struct budget *budget, size_t piece_size);
void budget_fini(struct budget *budget);

/* May @use have @bytes more? */
bool budget_has_room_locked(const struct budget *budget, enum budget_use use, size_t bytes);

void budget_charge_locked(struct budget *budget, enum budget_use use, size_t bytes);
void budget_release_locked(struct budget *budget, enum budget_use use, size_t bytes);

/* A buffer of pool.piece_size bytes, charged to @use; NULL: no room. */
unsigned char *budget_get_piece_locked(struct budget *budget, enum budget_use use);
void budget_put_piece_locked(struct budget *budget, enum budget_use use, unsigned char *piece);

/* A buffer for a reply of @length bytes, charged to BUDGET_REPLY; NULL: no memory. */
unsigned char *budget_get_reply_locked(struct budget *budget, size_t length);
/* Takes it back; @length as it was asked for. */
void budget_put_reply_locked(struct budget *budget, unsigned char *reply, size_t length);

/*
 * Charges @bytes to BUDGET_WRITE, waiting (with @lock let go) until there is room or *@stop.
 * A write larger than all the room there is passes when no other one is charged.
 * False: *@stop.
 */
bool budget_wait_write_locked(struct budget *budget, size_t bytes, struct cf_mutex *lock,
                              const bool *stop) CF_REQUIRES(lock);

/* Bytes that are kept for the next use, beside what is charged. */
size_t budget_kept_locked(const struct budget *budget);

/* Gives back what is kept and was not needed since the last call. */
void budget_trim_locked(struct budget *budget);

#endif
