#include "core/engine/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/base/min_max.h"

/* What is kept of free pieces: they stay in cache and need no new page faults. */
#define WARM_MAX ((size_t)16 << 20)
/* Replies up to here come from the heap; larger ones up to REPLY_MAX, which is what the kernel asks
 * for at most, are recycled. */
#define SMALL_REPLY ((size_t)64 << 10)
#define REPLY_MAX   ((size_t)1 << 20)

/* Up to where each use may fill the budget as a whole. */
static const size_t ceilings[BUDGET_NR_USES] = {
        [BUDGET_FOREGROUND] = BUDGET_LIMIT,
        [BUDGET_READAHEAD] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)4 << 20),
        [BUDGET_BACKGROUND] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)8 << 20),
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
	size_t nr = BUDGET_LIMIT / piece_size;

	*budget = (struct budget){
	        .piece_size = piece_size,
	        .pieces = map(BUDGET_LIMIT),
	        .warm = calloc(nr, sizeof(uint32_t)),
	        .cold = calloc(nr, sizeof(uint32_t)),
	};
	cf_cond_init(&budget->room);
	if (!budget->pieces || !budget->warm || !budget->cold)
		return -ENOMEM;
	while (budget->nr_cold < nr) {
		budget->cold[budget->nr_cold] = (uint32_t)(nr - 1 - budget->nr_cold);
		budget->nr_cold++;
	}
	return 0;
}

void budget_fini(struct budget *budget)
{
	if (budget->pieces)
		(void)munmap(budget->pieces, BUDGET_LIMIT);
	free(budget->warm);
	free(budget->cold);
	while (budget->nr_replies)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	budget->pieces = NULL;
	budget->warm = budget->cold = NULL;
	cf_cond_fini(&budget->room);
}

/* Whenever one of the stacks has become lower. */
static void note_need(struct budget *budget)
{
	budget->nr_warm_spare = min_u64(budget->nr_warm_spare, budget->nr_warm);
	budget->nr_replies_spare = min_u64(budget->nr_replies_spare, budget->nr_replies);
}

/* Lets one free piece's memory go. */
static void cool_one(struct budget *budget)
{
	uint32_t index = budget->warm[--budget->nr_warm];

	(void)madvise(budget->pieces + index * budget->piece_size, budget->piece_size,
	              MADV_DONTNEED);
	budget->cold[budget->nr_cold++] = index;
}

/* What is kept must not come on top of what is used. */
static void give_back(struct budget *budget)
{
	while (budget->nr_replies && budget->total + budget->nr_replies * REPLY_MAX > BUDGET_LIMIT)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	while (budget->nr_warm && budget->total + budget->nr_replies * REPLY_MAX +
	                                          budget->nr_warm * budget->piece_size >
	                                  BUDGET_LIMIT)
		cool_one(budget);
	note_need(budget);
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
	uint32_t index;

	if (!budget_has_room_locked(budget, use, budget->piece_size) ||
	    !(budget->nr_warm + budget->nr_cold))
		return NULL;
	index = budget->nr_warm ? budget->warm[--budget->nr_warm] : budget->cold[--budget->nr_cold];
	budget_charge_locked(budget, use, budget->piece_size);
	return budget->pieces + index * budget->piece_size;
}

void budget_put_piece_locked(struct budget *budget, enum budget_use use, unsigned char *piece)
{
	size_t index = (size_t)(piece - budget->pieces) / budget->piece_size;

	budget_release_locked(budget, use, budget->piece_size);
	budget->warm[budget->nr_warm++] = (uint32_t)index;
	if (budget->nr_warm * budget->piece_size > WARM_MAX)
		cool_one(budget);
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
		reply = budget->replies[--budget->nr_replies];
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
	for (; budget->nr_replies_spare; budget->nr_replies_spare--)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	for (; budget->nr_warm_spare; budget->nr_warm_spare--)
		cool_one(budget);
	budget->nr_replies_spare = budget->nr_replies;
	budget->nr_warm_spare = budget->nr_warm;
}
