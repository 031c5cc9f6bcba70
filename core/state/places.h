/* Where the parts of a clone may not lie: in each other, or in what the clone itself shows. */
#ifndef CLONEFS_STATE_PLACES_H
#define CLONEFS_STATE_PLACES_H

#include <stdbool.h>

#include "core/base/error.h"

/* Absolute paths; NULL: not a path on this host, or not known yet. Nothing needs to exist. */
struct places {
	const char *source;
	const char *destination;
	const char *metadata;
	const char *state_dir;
	const char *mountpoint;
};

/* 0, or -EINVAL with a sentence about the first contradiction. */
int places_check(const struct places *places, struct cf_error *err);

/* Do two paths lead to the same file or block device (or to the same missing name)? */
bool places_are_same(const char *a, const char *b);

#endif
