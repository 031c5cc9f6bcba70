/*
 * Where the readers of metadata say what is wrong with it. An open stops at the first damage and
 * turns it into a sentence; the checker collects all of it. Both use the same readers.
 *
 * The damage_*() reporters return what the reader that found it should go on with: the errno in an
 * open, 0 (leave the bad part out, continue) in a thorough check.
 */
#ifndef CLONEFS_METADATA_DAMAGE_H
#define CLONEFS_METADATA_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct damage {
	uint64_t block;
	int code; /* the negative errno with which an open refuses this */
	const char *what;
	const char *expected;
	const char *found;
};

struct damage_sink {
	void (*take)(struct damage_sink *sink, const struct damage *damage);
	/* Report also what does no harm to an open, and go on after a report. */
	bool thorough;
};

/* A sink for opens: puts the sentence into @err (borrowed, NULL is allowed). */
struct damage_error {
	struct damage_sink sink;
	struct cf_error *err;
};

struct damage_error damage_to_error(struct cf_error *err);

int damage_text(struct damage_sink *sink, int code, uint64_t block, const char *what,
                const char *expected, const char *found);
int damage_number(struct damage_sink *sink, int code, uint64_t block, const char *what,
                  uint64_t expected, uint64_t found);
int damage_hex(struct damage_sink *sink, int code, uint64_t block, const char *what,
               uint64_t expected, uint64_t found);
/* @found should be from @low to @high. */
int damage_range(struct damage_sink *sink, int code, uint64_t block, const char *what, uint64_t low,
                 uint64_t high, uint64_t found);

/*
 * What a reader returns when a block it needed was reported already: -ENOMEM and an open's errors
 * go up, a thorough check continues.
 */
int damage_skip(const struct damage_sink *sink, int r);

#endif
