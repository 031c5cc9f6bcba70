#include "core/journal/journal_sqlite.h"

#include <errno.h>
#include <string.h>

int sqlite_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_ERROR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_FORMAT:
		return -EUCLEAN;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int failed(sqlite3 *db, int code, struct cf_error *err)
{
	return cf_error_set(err, sqlite_errno(code), "%s", sqlite3_errmsg(db));
}

int sqlite_run(sqlite3 *db, const char *sql, struct cf_error *err)
{
	int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : failed(db, code, err);
}

int sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct cf_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

	if (code != SQLITE_OK)
		return failed(db, code, err);
	*ret_stmt = stmt;
	return 0;
}

int sqlite_get_int(sqlite3 *db, const char *sql, int64_t *ret_value, struct cf_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int code;
	int r = sqlite_prepare(db, sql, &stmt, err);

	if (r < 0)
		return r;
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(stmt, 0);
	else if (code == SQLITE_DONE)
		r = cf_error_set(err, -ENODATA, "no such row");
	else
		r = failed(db, code, err);
	(void)sqlite3_finalize(stmt);
	return r;
}

int sqlite_quick_check(sqlite3 *db, struct cf_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int code;
	int r = sqlite_prepare(db, "PRAGMA quick_check(1)", &stmt, err);

	if (r < 0)
		return r;
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(stmt, 0);

		if (!found || strcmp(found, "ok") != 0)
			r = cf_error_set(err, -EUCLEAN, "%s", found ? found : "quick_check failed");
	} else {
		r = failed(db, code, err);
	}
	(void)sqlite3_finalize(stmt);
	return r;
}
