#include "core/engine/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/base/min_max.h"

/* Replies up to here come from the heap; larger ones up to REPLY_MAX, which is what the kernel asks
 * for at most, are recycled. */
#define SMALL_REPLY ((size_t)64 << 10)
#define REPLY_MAX   ((size_t)1 << 20)

/* Up to where each use may fill the budget as a whole. */
static const size_t ceilings[BUDGET_NR_USES] = {
        [BUDGET_FOREGROUND] = BUDGET_LIMIT,
        [BUDGET_READAHEAD] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)2 << 20),
        [BUDGET_BACKGROUND] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)4 << 20),
        [BUDGET_WRITE] = BUDGET_LIMIT - BUDGET_RESERVE,
        [BUDGET_REPLY] = SIZE_MAX,
};

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int budget_init(struct budget *budget, size_t piece_size)
{
	*budget = (struct budget){0};
	cf_cond_init(&budget->room);
	return piece_pool_init(&budget->pool, BUDGET_LIMIT, piece_size);
}

void budget_fini(struct budget *budget)
{
	piece_pool_fini(&budget->pool);
	while (budget->nr_replies)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	cf_cond_fini(&budget->room);
}

size_t budget_kept_locked(const struct budget *budget)
{
	return piece_pool_idle_bytes(&budget->pool) + budget->nr_replies * REPLY_MAX;
}

static bool is_over(const struct budget *budget)
{
	return budget->total + budget_kept_locked(budget) > BUDGET_LIMIT;
}

static void *take_reply(struct budget *budget)
{
	void *reply = budget->replies[--budget->nr_replies];

	budget->nr_replies_spare = min_u64(budget->nr_replies_spare, budget->nr_replies);
	return reply;
}

/* What is kept must not come on top of what is used. */
static void give_back(struct budget *budget)
{
	while (is_over(budget) && piece_pool_shrink(&budget->pool))
		;
	while (budget->nr_replies && is_over(budget))
		(void)munmap(take_reply(budget), REPLY_MAX);
}

bool budget_has_room_locked(const struct budget *budget, enum budget_use use, size_t bytes)
{
	if (use == BUDGET_FOREGROUND && budget->used[use] + bytes <= BUDGET_RESERVE)
		return true;
	return budget->total + bytes <= ceilings[use];
}

void budget_charge_locked(struct budget *budget, enum budget_use use, size_t bytes)
{
	budget->used[use] += bytes;
	budget->total += bytes;
	give_back(budget);
}

void budget_release_locked(struct budget *budget, enum budget_use use, size_t bytes)
{
	assert(budget->used[use] >= bytes && budget->total >= bytes);
	budget->used[use] -= bytes;
	budget->total -= bytes;
	if (budget->waiting)
		cf_cond_broadcast(&budget->room);
}

unsigned char *budget_get_piece_locked(struct budget *budget, enum budget_use use)
{
	unsigned char *piece;

	if (!budget_has_room_locked(budget, use, budget->pool.piece_size))
		return NULL;
	piece = piece_pool_get(&budget->pool);
	if (piece)
		budget_charge_locked(budget, use, budget->pool.piece_size);
	return piece;
}

void budget_put_piece_locked(struct budget *budget, enum budget_use use, unsigned char *piece)
{
	piece_pool_put(&budget->pool, piece);
	budget_release_locked(budget, use, budget->pool.piece_size);
	while (piece_pool_idle_bytes(&budget->pool) > BUDGET_POOL_KEPT &&
	       piece_pool_shrink(&budget->pool))
		;
	give_back(budget);
}

static bool is_recycled(size_t length)
{
	return length > SMALL_REPLY && length <= REPLY_MAX;
}

unsigned char *budget_get_reply_locked(struct budget *budget, size_t length)
{
	void *reply;

	if (!is_recycled(length))
		reply = malloc(length);
	else if (budget->nr_replies)
		reply = take_reply(budget);
	else
		reply = map(REPLY_MAX);
	if (reply)
		budget_charge_locked(budget, BUDGET_REPLY, length);
	return reply;
}

void budget_put_reply_locked(struct budget *budget, unsigned char *reply, size_t length)
{
	budget_release_locked(budget, BUDGET_REPLY, length);
	if (!is_recycled(length))
		free(reply);
	else if (budget->nr_replies < BUDGET_REPLIES_KEPT)
		budget->replies[budget->nr_replies++] = reply;
	else
		(void)munmap(reply, REPLY_MAX);
	give_back(budget);
}

static bool write_fits(const struct budget *budget, size_t bytes)
{
	return budget_has_room_locked(budget, BUDGET_WRITE, bytes) || !budget->used[BUDGET_WRITE];
}

bool budget_wait_write_locked(struct budget *budget, size_t bytes, struct cf_mutex *lock,
                              const bool *stop)
{
	budget->waiting++;
	while (!*stop && !write_fits(budget, bytes))
		cf_cond_wait(&budget->room, lock);
	budget->waiting--;
	if (*stop)
		return false;
	budget_charge_locked(budget, BUDGET_WRITE, bytes);
	return true;
}

void budget_trim_locked(struct budget *budget)
{
	for (size_t spare = budget->nr_replies_spare; spare; spare--)
		(void)munmap(take_reply(budget), REPLY_MAX);
	budget->nr_replies_spare = budget->nr_replies;
	piece_pool_trim(&budget->pool);
}
