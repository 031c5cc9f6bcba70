#include "core/engine/prealloc.h"

#include <stddef.h>

#include "core/base/min_max.h"

void prealloc_init(struct prealloc *prealloc, bool pays)
{
	*prealloc = (struct prealloc){.pays = pays};
}

void prealloc_sent(struct prealloc *prealloc, uint64_t start, uint64_t end)
{
	if (!prealloc->pays || end - start < PREALLOC_MIN)
		return;
	prealloc->requests[prealloc->next] = (struct prealloc_request){.start = start, .end = end};
	prealloc->next = (prealloc->next + 1) % PREALLOC_NR_REQUESTS;
}

void prealloc_given_up(struct prealloc *prealloc, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < PREALLOC_NR_REQUESTS; i++) {
		struct prealloc_request *request = &prealloc->requests[i];

		if (request->end == end && request->start <= start)
			request->end = start;
	}
}

static struct prealloc_request *find(struct prealloc *prealloc, uint64_t offset)
{
	for (unsigned int i = 0; i < PREALLOC_NR_REQUESTS; i++) {
		struct prealloc_request *request = &prealloc->requests[i];

		if (request->start <= offset && offset < request->end)
			return request;
	}
	return NULL;
}

uint64_t prealloc_wanted(struct prealloc *prealloc, uint64_t offset, uint64_t now_ns)
{
	struct prealloc_request *request;
	uint64_t end;

	if (prealloc->dense_bytes < PREALLOC_STEP || now_ns < prealloc->not_before_ns)
		return 0;
	request = find(prealloc, offset);
	if (!request || offset < request->space_end)
		return 0;
	end = min_u64(offset + PREALLOC_STEP, request->end);
	if (end - offset < PREALLOC_MIN)
		return 0;
	request->space_end = end;
	return end;
}

void prealloc_answered(struct prealloc *prealloc, int error, uint64_t took_ns, uint64_t now_ns)
{
	if (error)
		prealloc->dense_bytes = 0;
	if (took_ns > PREALLOC_SLOW_NS)
		prealloc->not_before_ns = now_ns + PREALLOC_PAUSES * took_ns;
}

void prealloc_stored(struct prealloc *prealloc, uint64_t bytes, bool zeros)
{
	prealloc->dense_bytes = zeros ? 0 : prealloc->dense_bytes + bytes;
}
