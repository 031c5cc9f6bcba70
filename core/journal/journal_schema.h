/* The journal's schema and how older ones become it. Private to core/journal. */
#ifndef CLONEFS_JOURNAL_SCHEMA_H
#define CLONEFS_JOURNAL_SCHEMA_H

#include <sqlite3.h>

#include "core/base/error.h"

/*
 * Step N turns version N (0: an empty database) into version N + 1. PRAGMA user_version holds the
 * version. A released step is never changed, a later one only adds: readers of version N must
 * find their columns in every later version up to the one they refuse.
 */
struct journal_schema {
	const char *const *steps;
	int version; /* = number of steps */
};

extern const struct journal_schema journal_schema;

/*
 * Brings @db to @schema's version, each step in a transaction of its own together with its number.
 * -EOPNOTSUPP: the database is newer; it was not touched.
 */
int journal_schema_upgrade(sqlite3 *db, const struct journal_schema *schema, struct cf_error *err);

/* *ret_version of @db; -EOPNOTSUPP if it is newer than @schema. */
int journal_schema_version(sqlite3 *db, const struct journal_schema *schema, int *ret_version,
                           struct cf_error *err);

#endif
