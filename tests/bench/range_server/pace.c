#include "tests/bench/range_server/pace.h"

/* What a timer that fired late, or a client that was slow, may catch up with. */
#define LAG 0.010

static double take(struct pace *pace, double oldest, uint64_t length)
{
	if (pace->free_at < oldest)
		pace->free_at = oldest;
	pace->free_at += (double)length / pace->rate;
	return pace->free_at;
}

double pace_take(struct pace *connection, struct pace *link, double due, double now,
                 uint64_t length)
{
	double since = due > now - LAG ? due : now - LAG;
	double here = 0, there = 0;

	if (connection->rate <= 0 && link->rate <= 0)
		return now;
	if (connection->rate > 0)
		here = take(connection, since - PACE_CHUNK / connection->rate, length);
	if (link->rate > 0)
		there = take(link, since, length);
	return here > there ? here : there;
}

double pace_end(const struct pace *connection, uint64_t length)
{
	return connection->rate <= 0 ? 0 : connection->free_at + (double)length / connection->rate;
}
