/* Which connection is due next. Each is in it once at most. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct connection;

struct alarms {
	struct alarm {
		double due;
		bool exactly;
		struct connection *connection;
	} * heap;
	size_t count, room;
};

/* 0 or -ENOMEM. */
int alarms_add(struct alarms *alarms, double due, bool exactly, struct connection *connection);

/* Takes out the earliest one that is due at the time now; NULL if none is. */
struct connection *alarms_take(struct alarms *alarms, double now);
