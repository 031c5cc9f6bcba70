#include "tests/bench/range_server/pace.h"

/* What a timer that fired late, or a client that was slow, may catch up with, besides a chunk. */
#define LAG 0.010

static double take(struct pace *pace, double now, uint64_t length)
{
	double oldest;

	if (pace->rate <= 0)
		return now;
	oldest = now - LAG - PACE_CHUNK / pace->rate;
	if (pace->free_at < oldest)
		pace->free_at = oldest;
	pace->free_at += (double)length / pace->rate;
	return pace->free_at;
}

void pace_begin(struct pace *connection, double at)
{
	double free_at;

	if (connection->rate <= 0)
		return;
	free_at = at - PACE_CHUNK / connection->rate;
	if (connection->free_at < free_at)
		connection->free_at = free_at;
}

double pace_take(struct pace *connection, struct pace *link, double now, uint64_t length)
{
	double here = take(connection, now, length);
	double there = take(link, now, length);

	return here > there ? here : there;
}

double pace_end(const struct pace *connection, uint64_t length)
{
	return connection->rate <= 0 ? 0 : connection->free_at + (double)length / connection->rate;
}
