/* Seeded random numbers (splitmix64): small, good from any seed, the same everywhere. */
#ifndef CLONEFS_TESTS_RANDOM_H
#define CLONEFS_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* 0 to @limit - 1; 0 for a limit of 0. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
	return limit ? random_next(random) % limit : 0;
}

static inline bool random_one_in(struct random *random, uint64_t n)
{
	return random_below(random, n) == 0;
}

/* A generator of its own for the purpose @purpose of the seed @seed. */
static inline struct random random_from(uint64_t seed, uint64_t purpose)
{
	struct random random = {seed * UINT64_C(0xD1342543DE82EF95) + purpose};

	(void)random_next(&random);
	return random;
}

#endif
