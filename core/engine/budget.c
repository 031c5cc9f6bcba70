#include "core/engine/budget.h"

#include <assert.h>
#include <stdlib.h>

/* What the pool keeps: recycled pieces stay in cache and need no new page faults. */
#define POOL_MAX   ((size_t)16 << 20)
#define PAGE_ALIGN 4096u

/* Up to where each use may fill the budget as a whole. */
static const size_t ceilings[BUDGET_NR_USES] = {
        [BUDGET_FOREGROUND] = BUDGET_LIMIT,
        [BUDGET_READAHEAD] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)8 << 20),
        [BUDGET_BACKGROUND] = BUDGET_LIMIT - BUDGET_RESERVE - ((size_t)16 << 20),
        [BUDGET_WRITE] = BUDGET_LIMIT - BUDGET_RESERVE,
        [BUDGET_REPLY] = SIZE_MAX,
};

void budget_init(struct budget *budget, size_t piece_size)
{
	*budget = (struct budget){.piece_size = piece_size};
	cf_cond_init(&budget->room);
}

void budget_fini(struct budget *budget)
{
	void *piece = budget->free_pieces;

	while (piece) {
		void *next = *(void **)piece;

		free(piece);
		piece = next;
	}
	budget->free_pieces = NULL;
	cf_cond_fini(&budget->room);
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
	void *piece;

	if (!budget_has_room_locked(budget, use, budget->piece_size))
		return NULL;
	piece = budget->free_pieces;
	if (piece) {
		budget->free_pieces = *(void **)piece;
		budget->nr_free--;
	} else {
		piece = aligned_alloc(PAGE_ALIGN, budget->piece_size);
		if (!piece)
			return NULL;
	}
	budget_charge_locked(budget, use, budget->piece_size);
	return piece;
}

void budget_put_piece_locked(struct budget *budget, enum budget_use use, unsigned char *piece)
{
	if ((budget->nr_free + 1) * budget->piece_size <= POOL_MAX) {
		*(void **)(void *)piece = budget->free_pieces;
		budget->free_pieces = piece;
		budget->nr_free++;
	} else {
		free(piece);
	}
	budget_release_locked(budget, use, budget->piece_size);
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
