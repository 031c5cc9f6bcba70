/*
 * SQLite's result codes and small calls, translated once into ours. Private to core/journal.
 *
 * Inside core/journal the sentences have no subject; journal_open(), the journal's thread and
 * journal_read() put "the journal PATH" in front.
 */
#ifndef CLONEFS_JOURNAL_SQLITE_H
#define CLONEFS_JOURNAL_SQLITE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

/*
 * 0, or: -EBUSY locked by somebody else; -ENOSPC disk full; -EUCLEAN damaged, or the schema is not
 * what its version says (our statements are fixed, so that an error in one means this); -EACCES
 * cannot be opened or written; -ENOMEM; -EIO.
 */
int sqlite_errno(int code);

/* Runs statements, whose results are ignored. */
int sqlite_run(sqlite3 *db, const char *sql, struct cf_error *err);

/* The first column of the first row of @sql; -ENODATA when there is no row. */
int sqlite_get_int(sqlite3 *db, const char *sql, int64_t *ret_value, struct cf_error *err);

/* 0 if SQLite finds the database sound, else -EUCLEAN and what it found first. */
int sqlite_quick_check(sqlite3 *db, struct cf_error *err);

int sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct cf_error *err);

#endif
