/* Puts a damaged database out of the way. Private to core/journal. */
#ifndef CLONEFS_JOURNAL_DAMAGE_H
#define CLONEFS_JOURNAL_DAMAGE_H

#include "core/base/error.h"

#define JOURNAL_BAD_KEPT 3

/*
 * Renames the database at @path, which nobody has open, to @path.bad-N with N one higher than any
 * there; its log goes with it. The lowest numbers are removed until JOURNAL_BAD_KEPT are left.
 * Afterwards nothing is left that SQLite would take for a part of a new database at @path.
 * *ret_name (owned by the caller) is the new path.
 */
int journal_move_aside(const char *path, char **ret_name, struct cf_error *err);

#endif
