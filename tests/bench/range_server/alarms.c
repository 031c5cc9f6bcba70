#include "tests/bench/range_server/alarms.h"

#include <errno.h>
#include <stdlib.h>

int alarms_add(struct alarms *alarms, double due, bool exactly, struct connection *connection)
{
	size_t i = alarms->count;

	if (i == alarms->room) {
		size_t room = alarms->room ? 2 * alarms->room : 64;
		struct alarm *heap = realloc(alarms->heap, room * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		alarms->heap = heap;
		alarms->room = room;
	}
	alarms->count++;
	for (; i > 0 && alarms->heap[(i - 1) / 2].due > due; i = (i - 1) / 2)
		alarms->heap[i] = alarms->heap[(i - 1) / 2];
	alarms->heap[i] = (struct alarm){due, exactly, connection};
	return 0;
}

struct connection *alarms_take(struct alarms *alarms, double now)
{
	struct connection *first;
	struct alarm last;
	size_t i = 0;

	if (alarms->count == 0 || alarms->heap[0].due > now)
		return NULL;
	first = alarms->heap[0].connection;
	last = alarms->heap[--alarms->count];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < alarms->count &&
		    alarms->heap[child + 1].due < alarms->heap[child].due)
			child++;
		if (child >= alarms->count || alarms->heap[child].due >= last.due)
			break;
		alarms->heap[i] = alarms->heap[child];
		i = child;
	}
	if (alarms->count > 0)
		alarms->heap[i] = last;
	return first;
}
