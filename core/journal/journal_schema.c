#include "core/journal/journal_schema.h"

#include <errno.h>
#include <stdio.h>

#include "core/journal/journal_sqlite.h"

/*
 * One table for all kinds: history is one list in the order of ids, and kinds come without a
 * migration. A session lasts from one open of the clone to the next. Times are milliseconds since
 * 1970; wall clocks jump, so ids order the rows, not times. What happens in a moment ends when it
 * begins; end_ms is NULL while an episode lasts, and for ever if its end was never seen.
 */
static const char *const steps[] = {
        "CREATE TABLE event ("
        " id INTEGER PRIMARY KEY,"
        " session INTEGER NOT NULL,"
        " begin_ms INTEGER NOT NULL,"
        " end_ms INTEGER,"
        " kind TEXT NOT NULL,"
        " value INTEGER NOT NULL,"
        " text TEXT NOT NULL"
        ") STRICT;"
        "CREATE INDEX event_lasting ON event (session, kind) WHERE end_ms IS NULL",
};

const struct journal_schema journal_schema = {
        .steps = steps,
        .version = sizeof(steps) / sizeof(steps[0]),
};

int journal_schema_version(sqlite3 *db, const struct journal_schema *schema, int *ret_version,
                           struct cf_error *err)
{
	int64_t version;
	int r = sqlite_get_int(db, "PRAGMA user_version", &version, err);

	if (r < 0)
		return r;
	if (version < 0)
		return cf_error_set(err, -EUCLEAN, "its schema has version %lld",
		                    (long long)version);
	if (version > schema->version)
		return cf_error_set(err, -EOPNOTSUPP,
		                    "has schema version %lld, this clonefs knows up to %d",
		                    (long long)version, schema->version);
	*ret_version = (int)version;
	return 0;
}

static int run_step(sqlite3 *db, const struct journal_schema *schema, int from,
                    struct cf_error *err)
{
	char set_version[48];
	int r = sqlite_run(db, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	(void)snprintf(set_version, sizeof(set_version), "PRAGMA user_version=%d", from + 1);
	r = sqlite_run(db, schema->steps[from], err);
	if (r == 0)
		r = sqlite_run(db, set_version, err);
	if (r == 0)
		r = sqlite_run(db, "COMMIT", err);
	if (r < 0)
		(void)sqlite_run(db, "ROLLBACK", NULL);
	return r;
}

int journal_schema_upgrade(sqlite3 *db, const struct journal_schema *schema, struct cf_error *err)
{
	int version = 0;
	int r = journal_schema_version(db, schema, &version, err);

	while (r == 0 && version < schema->version) {
		r = run_step(db, schema, version, err);
		version++;
	}
	return r;
}
