#include "core/engine/climb.h"

#include "core/base/clock.h"

/* Of n connections that are bound each by itself, one more brings the nth part. This part of that
 * has to show. */
#define PART 4

static void measure(struct climb *climb, double before, uint64_t bytes, uint64_t now_ns)
{
	climb->since_ns = now_ns;
	climb->since_bytes = bytes;
	climb->before = before;
}

void climb_begin(struct climb *climb, uint64_t bytes, uint64_t now_ns)
{
	*climb = (struct climb){.since_ns = now_ns, .since_bytes = bytes};
}

static double rate_of(const struct climb *climb, uint64_t bytes, uint64_t now_ns)
{
	return now_ns > climb->since_ns
	               ? (double)(bytes - climb->since_bytes) * (double)CF_NS_PER_S /
	                         (double)(now_ns - climb->since_ns)
	               : 0;
}

unsigned int climb_next(struct climb *climb, unsigned int limit, uint64_t bytes, uint64_t now_ns)
{
	double rate = rate_of(climb, bytes, now_ns);
	double before = climb->before;

	if (!climb->settled) {
		measure(climb, 0, bytes, now_ns);
		climb->settled = true;
		return limit;
	}
	if (before > 0 && rate < before + before / (PART * (limit - 1))) {
		measure(climb, 0, bytes, now_ns);
		climb->hold_ns = now_ns + CLIMB_HOLD_NS;
		return limit - 1;
	}
	/* What it brings is measured on. */
	if (now_ns < climb->hold_ns)
		return limit;
	measure(climb, rate, bytes, now_ns);
	return limit + 1;
}
