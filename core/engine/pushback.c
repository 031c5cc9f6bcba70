#include "core/engine/pushback.h"

#include <limits.h>

void pushback_init(struct pushback *pushback)
{
	*pushback = (struct pushback){.limit = UINT_MAX};
}

void pushback_refused(struct pushback *pushback, unsigned int others, uint64_t now_ns)
{
	if (others < pushback->limit)
		pushback->limit = others;
	pushback->refused_ns = pushback->changed_ns = now_ns;
}

void pushback_served(struct pushback *pushback, uint64_t now_ns)
{
	if (pushback->limit == UINT_MAX)
		return;
	if (now_ns >= pushback->refused_ns + PUSHBACK_KNOWN_NS) {
		pushback->limit = UINT_MAX;
	} else if (now_ns >= pushback->changed_ns + PUSHBACK_TRY_MORE_NS) {
		pushback->limit++;
		pushback->changed_ns = now_ns;
	}
}
