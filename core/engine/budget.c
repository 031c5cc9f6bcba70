#include "core/engine/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/base/min_max.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define WORD_BITS 64
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

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

int budget_init(struct budget *budget, size_t piece_size)
{
	*budget = (struct budget){
	        .piece_size = piece_size,
	        .nr_pieces = BUDGET_LIMIT / piece_size,
	        .map = map(BUDGET_LIMIT + HUGE_PAGE),
	        .taken = calloc(BUDGET_LIMIT / piece_size / WORD_BITS + 1, sizeof(uint64_t)),
	};
	cf_cond_init(&budget->room);
	if (!budget->map || !budget->taken)
		return -ENOMEM;
	budget->pieces = budget->map + (HUGE_PAGE - (uintptr_t)budget->map % HUGE_PAGE);
	(void)madvise(budget->pieces, BUDGET_LIMIT, MADV_HUGEPAGE);
	return 0;
}

void budget_fini(struct budget *budget)
{
	if (budget->map)
		(void)munmap(budget->map, BUDGET_LIMIT + HUGE_PAGE);
	free(budget->taken);
	while (budget->nr_replies)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	budget->map = NULL;
	budget->taken = NULL;
	cf_cond_fini(&budget->room);
}

/* ---- the pieces' mapping ---- */

static uint64_t bit(size_t index)
{
	return UINT64_C(1) << index % WORD_BITS;
}

/* The lowest one that is free; nr_pieces: none. */
static size_t find_free(const struct budget *budget)
{
	for (size_t word = 0; word * WORD_BITS < budget->nr_pieces; word++) {
		if (~budget->taken[word])
			return min_u64(word * WORD_BITS +
			                       (size_t)__builtin_ctzll(~budget->taken[word]),
			               budget->nr_pieces);
	}
	return budget->nr_pieces;
}

/* Bytes up to the end of the last one that is used. */
static size_t end_of_taken(const struct budget *budget)
{
	for (size_t word = budget->nr_pieces / WORD_BITS + 1; word-- > 0;) {
		if (budget->taken[word])
			return ((word + 1) * WORD_BITS -
			        (size_t)__builtin_clzll(budget->taken[word])) *
			       budget->piece_size;
	}
	return 0;
}

/* Lets the memory behind @bytes go. */
static void shrink(struct budget *budget, size_t bytes)
{
	size_t keep = round_up(bytes, HUGE_PAGE);

	if (keep >= budget->resident)
		return;
	(void)madvise(budget->pieces + keep, budget->resident - keep, MADV_DONTNEED);
	budget->resident = keep;
}

/* ---- what is charged ---- */

/* Free memory that is kept. */
static size_t kept(const struct budget *budget)
{
	return budget->nr_replies * REPLY_MAX + budget->resident -
	       min_u64(budget->nr_taken * budget->piece_size, budget->resident);
}

/* What is kept must not come on top of what is used. */
static void give_back(struct budget *budget)
{
	while (budget->nr_replies && budget->total + budget->nr_replies * REPLY_MAX > BUDGET_LIMIT)
		(void)munmap(budget->replies[--budget->nr_replies], REPLY_MAX);
	budget->nr_replies_spare = min_u64(budget->nr_replies_spare, budget->nr_replies);
	if (budget->total + kept(budget) > BUDGET_LIMIT)
		shrink(budget, end_of_taken(budget));
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
	size_t index = find_free(budget);
	size_t end = (index + 1) * budget->piece_size;

	if (!budget_has_room_locked(budget, use, budget->piece_size) || index == budget->nr_pieces)
		return NULL;
	budget->taken[index / WORD_BITS] |= bit(index);
	budget->nr_taken++;
	budget->needed = max_u64(budget->needed, end);
	budget->resident = max_u64(budget->resident, round_up(end, HUGE_PAGE));
	budget_charge_locked(budget, use, budget->piece_size);
	return budget->pieces + index * budget->piece_size;
}

void budget_put_piece_locked(struct budget *budget, enum budget_use use, unsigned char *piece)
{
	size_t index = (size_t)(piece - budget->pieces) / budget->piece_size;

	assert(budget->taken[index / WORD_BITS] & bit(index));
	budget->taken[index / WORD_BITS] &= ~bit(index);
	budget->nr_taken--;
	budget_release_locked(budget, use, budget->piece_size);
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
	budget->nr_replies_spare = budget->nr_replies;
	shrink(budget, budget->needed);
	budget->needed = end_of_taken(budget);
}
