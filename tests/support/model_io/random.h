/* A small seeded generator (splitmix64): the same numbers on every machine. */
#ifndef CLONEFS_TESTS_MODEL_IO_RANDOM_H
#define CLONEFS_TESTS_MODEL_IO_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* From 0 to @limit - 1; @limit > 0. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
	return random_next(random) % limit;
}

static inline void random_fill(struct random *random, uint8_t *bytes, size_t length)
{
	while (length > 0) {
		uint64_t number = random_next(random);
		size_t part = length < sizeof(number) ? length : sizeof(number);

		memcpy(bytes, &number, part);
		bytes += part;
		length -= part;
	}
}

#endif
