#include "core/base/backoff.h"

#include <sys/random.h>

#include "core/base/clock.h"

#define FIRST_MS  UINT64_C(100)
#define MAX_MS    UINT64_C(5000)
#define DOUBLINGS 6

uint64_t backoff_ns(unsigned int attempts)
{
	uint64_t most_ms = FIRST_MS << (attempts < DOUBLINGS ? attempts : DOUBLINGS);
	uint64_t random = 0;

	if (most_ms > MAX_MS)
		most_ms = MAX_MS;
	/* Without randomness everybody comes back at the same time, but does come back. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = clock_monotonic_ns();
	return random % (most_ms * CF_NS_PER_MS);
}
