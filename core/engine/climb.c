#include "core/engine/climb.h"

#include "core/base/clock.h"

/* A step up is this part of what there is, at least one. */
#define STEP_PART 4
/* Connections that are each bound by itself bring as many times more as they are more. This part of
 * that has to show. */
#define GAIN_PART 2
/* After a step that brought too little the next one comes so much later. */
#define HOLD_NS (10 * CF_NS_PER_S)

static void measure(struct climb *climb, bool counts, uint64_t bytes, uint64_t now_ns)
{
	climb->since_ns = now_ns;
	climb->since_bytes = bytes;
	climb->counts = counts;
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

/* Has the last step brought too little? */
static bool was_useless(const struct climb *climb, unsigned int limit, double rate)
{
	double more = (double)(limit - climb->from) / climb->from;

	return rate < climb->before * (1 + more / GAIN_PART);
}

unsigned int climb_next(struct climb *climb, unsigned int limit, uint64_t bytes, uint64_t now_ns)
{
	double rate = rate_of(climb, bytes, now_ns);
	unsigned int from = climb->from;

	if (!climb->counts) {
		measure(climb, true, bytes, now_ns);
		return limit;
	}
	if (from && was_useless(climb, limit, rate)) {
		measure(climb, false, bytes, now_ns);
		climb->from = 0;
		climb->hold_ns = now_ns + HOLD_NS;
		return from;
	}
	/* Until then it is counted on. */
	if (now_ns < climb->hold_ns)
		return limit;
	measure(climb, false, bytes, now_ns);
	climb->from = limit;
	climb->before = rate;
	return limit + (limit > STEP_PART ? limit / STEP_PART : 1);
}
