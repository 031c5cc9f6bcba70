#include "core/engine/valid_sectors.h"

#include <assert.h>

#define WORD_BITS 64u

/* Bits [from, to) of one word, to <= 64. */
static uint64_t mask_of(uint32_t from, uint32_t to)
{
	uint64_t up_to = to == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << to) - 1;

	return up_to & (UINT64_MAX << from);
}

void valid_sectors_set(uint64_t *words, uint32_t first, uint32_t end)
{
	while (first < end) {
		uint32_t bit = first % WORD_BITS;
		uint32_t n = end - first < WORD_BITS - bit ? end - first : WORD_BITS - bit;

		words[first / WORD_BITS] |= mask_of(bit, bit + n);
		first += n;
	}
}

uint32_t valid_sectors_run(const uint64_t *words, uint32_t first, uint32_t end, bool *ret_valid)
{
	bool valid = words[first / WORD_BITS] >> (first % WORD_BITS) & 1;
	/* Set: where the run ends. */
	uint64_t flip = valid ? UINT64_MAX : 0;

	assert(first < end);
	*ret_valid = valid;
	while (first < end) {
		uint32_t bit = first % WORD_BITS;
		uint64_t others = (words[first / WORD_BITS] ^ flip) & mask_of(bit, WORD_BITS);

		if (others) {
			first = first - bit + (uint32_t)__builtin_ctzll(others);
			return first < end ? first : end;
		}
		first += WORD_BITS - bit;
	}
	return end;
}

bool valid_sectors_are_all(const uint64_t *words, uint32_t first, uint32_t end)
{
	bool valid;

	return valid_sectors_run(words, first, end, &valid) == end && valid;
}

bool valid_sectors_are_any(const uint64_t *words, uint32_t first, uint32_t end)
{
	bool valid;

	return valid_sectors_run(words, first, end, &valid) < end || valid;
}
