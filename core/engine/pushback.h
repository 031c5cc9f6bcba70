/*
 * How many requests a source bears at a time. Readers' own are sent beyond it; read-ahead and
 * background keep to it.
 *
 * A source that serves some requests and refuses others as too much (429, 503, as nginx does with
 * limit_conn) has said how many: those that it has not refused. From there on one more is tried
 * every two seconds at most, as requests end; when it has refused none for half a minute, nothing
 * is known any more.
 *
 * No locks, does not block; times are those of clock_monotonic_ns().
 */
#ifndef CLONEFS_ENGINE_PUSHBACK_H
#define CLONEFS_ENGINE_PUSHBACK_H

#include <stdint.h>

#define PUSHBACK_TRY_MORE_NS UINT64_C(2000000000)
#define PUSHBACK_KNOWN_NS    UINT64_C(30000000000)

struct pushback {
	unsigned int limit;  /* requests at a time; UINT_MAX: none is known */
	uint64_t refused_ns; /* when the source last refused one */
	uint64_t changed_ns; /* when the limit last changed, or was confirmed */
};

void pushback_init(struct pushback *pushback);

/* The source refused a request while it had @others (UINT_MAX: unknown), and served at least one of
 * those. */
void pushback_refused(struct pushback *pushback, unsigned int others, uint64_t now_ns);
/* A request is over and has brought bytes. */
void pushback_served(struct pushback *pushback, uint64_t now_ns);

#endif
