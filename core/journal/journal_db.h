/*
 * The open database behind a journal: found sound or begun anew, its schema current, its session
 * numbered. Used by one thread at a time. Private to core/journal.
 */
#ifndef CLONEFS_JOURNAL_DB_H
#define CLONEFS_JOURNAL_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/journal/journal_kind.h"

struct journal_db;

enum journal_record_form { RECORD_MOMENT, RECORD_BEGIN, RECORD_END };

struct journal_record {
	int64_t time_ms;
	uint64_t value;
	enum journal_kind kind;
	enum journal_record_form form;
	char text[JOURNAL_TEXT_MAX];
};

/* Fills @record; the text is cleaned and cut. */
void journal_record_set(struct journal_record *record, enum journal_record_form form,
                        enum journal_kind kind, uint64_t value, const char *text);

struct journal_db_params {
	const char *path;
	bool without_wal;
	bool same_session;  /* opened again after trouble: no recovery row */
	const char *damage; /* what an earlier write found; NULL: only looked for now */
};

/*
 * -EOPNOTSUPP newer schema; -EINVAL not a regular file; -EBUSY, -ENOSPC, -EIO, -EACCES, -ENOMEM:
 * try again later. Damage is no error: the file is moved aside.
 */
int journal_db_open(const struct journal_db_params *params, struct journal_db **ret_db,
                    struct cf_error *err);

/*
 * Writes @nr records, and if @dropped is not 0 a row that says so, in one transaction: all or
 * none. -EBUSY, -ENOSPC: the database can be used on; else it has to be closed: -EUCLEAN damaged,
 * others as in open.
 */
int journal_db_write(struct journal_db *db, const struct journal_record *records, size_t nr,
                     uint64_t dropped, struct cf_error *err);

/* @orderly: empties the write-ahead log into the database. NULL is allowed. */
void journal_db_close(struct journal_db *db, bool orderly);

#endif
