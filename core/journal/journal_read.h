/*
 * Reading a journal, of a running clone or of one that is not mounted, without changing what it
 * says. (SQLite may leave an empty log beside the database.)
 */
#ifndef CLONEFS_JOURNAL_READ_H
#define CLONEFS_JOURNAL_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct journal_row {
	int64_t id;       /* orders the rows */
	int64_t session;  /* one from each open of the clone to the next */
	int64_t begin_ms; /* since 1970 */
	int64_t end_ms;   /* = begin_ms for what happens in a moment; 0 if lasting */
	bool lasting;     /* still, or (in an earlier session) the end was not seen */
	const char
	        *kind; /* a name; one of a later version may be unknown to journal_kind_parse() */
	int64_t value;
	const char *text; /* clean for a terminal */
};

struct journal_filter {
	int64_t since_ms; /* rows that began, ended or last then or later; 0: all */
	const char *kind; /* name; NULL: all */
};

/* Gets each row; the strings are borrowed for the call. Not 0: reading ends with this result. */
typedef int journal_row_fn(void *user, const struct journal_row *row);

/*
 * Calls @fn for the rows of the database at @path that pass @filter, in their order. Blocks on the
 * local disk, up to 2 s on a lock. A write-ahead log that a crash left and that cannot be opened
 * in place (a folder one cannot write) is read from a private copy below $TMPDIR.
 *
 * Errors: -ENOENT there is no journal; -EACCES; -EUCLEAN damaged; -EOPNOTSUPP newer schema; -EBUSY;
 * -EIO; -ENOMEM; what @fn returned (then without a sentence).
 */
int journal_read(const char *path, const struct journal_filter *filter, journal_row_fn *fn,
                 void *user, struct cf_error *err);

#endif
