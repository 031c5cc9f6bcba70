/*
 * J1  Nothing is written to a database of a newer schema.
 * J2  A damaged database is renamed, never repaired or overwritten.
 * J3  A batch is one transaction: all of it is in the database, or nothing.
 */
#include "core/journal/journal_db.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/journal/journal_damage.h"
#include "core/journal/journal_schema.h"
#include "core/journal/journal_sqlite.h"

#define BUSY_TIMEOUT_MS 200
#define ROWS_KEPT       100000
#define TRIM_INTERVAL   1000

#define CIFS_SUPER_MAGIC 0xFF534D42
#define FUSE_FS_MAGIC    0x65735546

struct journal_db {
	sqlite3 *sqlite;      /* owned */
	sqlite3_stmt *insert; /* owned */
	sqlite3_stmt *end;    /* owned */
	sqlite3_stmt *trim;   /* owned */
	int64_t session;
	unsigned int since_trim; /* rows inserted, about */

	/* Rows about the opening itself; they go with the first batch. */
	struct journal_record preface[2];
	size_t nr_preface;
};

/* Cuts @text to JOURNAL_TEXT_MAX at a character boundary. */
static void set_text(char *to, const char *text)
{
	size_t length = strnlen(text, JOURNAL_TEXT_MAX);

	if (length < JOURNAL_TEXT_MAX) {
		memcpy(to, text, length + 1);
	} else {
		size_t end = JOURNAL_TEXT_MAX - 4;

		memcpy(to, text, end + 1);
		while (end && ((unsigned char)to[end] & 0xc0) == 0x80)
			end--;
		memcpy(to + end, "...", 4);
	}
	cf_error_clean_text(to);
}

void journal_record_set(struct journal_record *record, enum journal_record_form form,
                        enum journal_kind kind, uint64_t value, const char *text)
{
	record->time_ms = clock_wall_ms();
	record->value = value;
	record->kind = kind;
	record->form = form;
	set_text(record->text, text ? text : "");
}

static struct journal_record *add_preface(struct journal_db *db)
{
	return &db->preface[db->nr_preface++];
}

/* Creates the file with the mode that SQLite then gives its logs, too. */
static int create_file(const char *path, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd >= 0)
		return fchmod(fd, 0600) < 0 ? cf_error_errno(err, -errno, "its mode cannot be set")
		                            : 0;
	/* An existing file is not opened here: closing it would drop locks that SQLite may hold
	 * on it elsewhere in this process. */
	if (errno != EEXIST || stat(path, &st) < 0)
		return cf_error_errno(err, -errno, "cannot be created");
	if (!S_ISREG(st.st_mode))
		return cf_error_set(err, -EINVAL, "is not a regular file");
	if ((st.st_mode & 07777) != 0600 && chmod(path, 0600) < 0)
		return cf_error_errno(err, -errno, "its mode cannot be set");
	return 0;
}

/* Write-ahead logs need shared memory, which network file systems do not share. */
static bool can_have_wal(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type & 0xFFFFFFFF) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case CODA_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case V9FS_MAGIC:
	case FUSE_FS_MAGIC:
		return false;
	default:
		return true;
	}
}

static int set_journal_mode(sqlite3 *sqlite, bool wal, struct cf_error *err)
{
	if (wal)
		return sqlite_run(sqlite, "PRAGMA journal_mode=WAL", err);
	/* A database that was in WAL mode elsewhere is led out of it without shared memory. */
	return sqlite_run(sqlite,
	                  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE;"
	                  "PRAGMA locking_mode=NORMAL; SELECT count(*) FROM sqlite_schema",
	                  err);
}

static int open_sqlite(const char *path, sqlite3 **ret_sqlite, struct cf_error *err)
{
	int code = sqlite3_open_v2(path, ret_sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
	                           NULL);

	if (code != SQLITE_OK)
		return cf_error_set(err, sqlite_errno(code), "cannot be opened: %s",
		                    sqlite3_errstr(code));
	(void)sqlite3_extended_result_codes(*ret_sqlite, 1);
	(void)sqlite3_busy_timeout(*ret_sqlite, BUSY_TIMEOUT_MS);
	return 0;
}

/* Once the header was read: a file that may be written and is read-only to SQLite is damaged. */
static int check_writable(sqlite3 *sqlite, const char *path, struct cf_error *err)
{
	if (!sqlite3_db_readonly(sqlite, "main"))
		return 0;
	if (access(path, W_OK) < 0)
		return cf_error_errno(err, -EACCES, "cannot be written");
	return cf_error_set(err, -EUCLEAN, "its header says read-only");
}

/* The last row of an orderly session is its close. */
static int begin_session(struct journal_db *db, bool same_session, struct cf_error *err)
{
	static const char last[] = "SELECT session FROM event ORDER BY id DESC LIMIT 1";
	static const char unclosed[] = "SELECT coalesce((SELECT kind FROM event ORDER BY id DESC"
	                               " LIMIT 1), 'close') IS NOT 'close'";
	static const char begun[] = "SELECT begin_ms / 1000 FROM event WHERE session ="
	                            " (SELECT max(session) FROM event) ORDER BY id LIMIT 1";
	int64_t session = 0, crashed, seconds = 0;
	char when[32], text[96];
	struct tm tm;
	int r;

	r = sqlite_get_int(db->sqlite, last, &session, err);
	if (r < 0 && r != -ENODATA)
		return r;
	if (same_session && session) {
		db->session = session;
		return 0;
	}
	db->session = session + 1;
	r = sqlite_get_int(db->sqlite, unclosed, &crashed, err);
	if (r < 0 || !crashed || same_session)
		return r;
	r = sqlite_get_int(db->sqlite, begun, &seconds, err);
	if (r < 0)
		return r;
	if (!gmtime_r(&(time_t){seconds}, &tm) ||
	    !strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)snprintf(when, sizeof(when), "%lld", (long long)seconds);
	(void)snprintf(text, sizeof(text), "the session opened %s did not close", when);
	journal_record_set(add_preface(db), RECORD_MOMENT, JOURNAL_RECOVERY, 0, text);
	return 0;
}

static int prepare_statements(struct journal_db *db, struct cf_error *err)
{
	int r = sqlite_prepare(db->sqlite,
	                       "INSERT INTO event (session, begin_ms, end_ms, kind, value,"
	                       " text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	                       &db->insert, err);
	if (r == 0)
		r = sqlite_prepare(db->sqlite,
		                   "UPDATE event SET end_ms = ?3 WHERE session = ?1 AND"
		                   " end_ms IS NULL AND (?2 IS NULL OR kind = ?2)",
		                   &db->end, err);
	if (r == 0)
		r = sqlite_prepare(db->sqlite,
		                   "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?1",
		                   &db->trim, err);
	return r;
}

static int open_sound(struct journal_db *db, const struct journal_db_params *params,
                      struct cf_error *err)
{
	int version;
	int r = create_file(params->path, err);

	if (r == 0)
		r = open_sqlite(params->path, &db->sqlite, err);
	/* Reading the version comes before everything that writes (J1). */
	if (r == 0)
		r = journal_schema_version(db->sqlite, &journal_schema, &version, err);
	if (r == 0)
		r = check_writable(db->sqlite, params->path, err);
	if (r == 0)
		r = sqlite_quick_check(db->sqlite, err);
	if (r == 0)
		r = set_journal_mode(db->sqlite, !params->without_wal && can_have_wal(params->path),
		                     err);
	/* A power cut may cost the last rows, never the database. */
	if (r == 0)
		r = sqlite_run(db->sqlite,
		               "PRAGMA synchronous=NORMAL; PRAGMA cell_size_check=ON;"
		               "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-256;"
		               "PRAGMA journal_size_limit=1048576",
		               err);
	if (r == 0)
		r = journal_schema_upgrade(db->sqlite, &journal_schema, err);
	if (r == 0)
		r = prepare_statements(db, err);
	if (r == 0)
		r = begin_session(db, params->same_session, err);
	return r;
}

static void forget(struct journal_db *db)
{
	(void)sqlite3_finalize(db->insert);
	(void)sqlite3_finalize(db->end);
	(void)sqlite3_finalize(db->trim);
	(void)sqlite3_close(db->sqlite);
	*db = (struct journal_db){0};
}

static int begin_anew(struct journal_db *db, const struct journal_db_params *params,
                      const char *damage, struct cf_error *err)
{
	CF_AUTO_FREE char *name = NULL;
	char text[JOURNAL_TEXT_MAX];
	int r = journal_move_aside(params->path, &name, err);

	if (r < 0)
		return r;
	log_warn("the journal %s is damaged (%s), going on with a new one; the old one is %s",
	         params->path, damage, name);
	(void)snprintf(text, sizeof(text), "%.400s; it is now %.500s", damage, name);
	r = open_sound(db, params, err);
	if (r == 0)
		journal_record_set(add_preface(db), RECORD_MOMENT, JOURNAL_DAMAGED, 0, text);
	return r;
}

int journal_db_open(const struct journal_db_params *params, struct journal_db **ret_db,
                    struct cf_error *err)
{
	struct journal_db *db = calloc(1, sizeof(*db));
	struct cf_error damage = {0};
	int r;

	if (!db)
		return cf_error_errno(err, -ENOMEM, "cannot be opened");
	if (params->damage)
		r = cf_error_set(&damage, -EUCLEAN, "%s", params->damage);
	else
		r = open_sound(db, params, &damage);
	if (r == -EUCLEAN) {
		forget(db);
		r = begin_anew(db, params, damage.text, err);
	} else if (r < 0 && err) {
		*err = damage;
	}
	if (r < 0) {
		journal_db_close(db, false);
		return r;
	}
	db->since_trim = TRIM_INTERVAL;
	*ret_db = db;
	return 0;
}

static int step(struct journal_db *db, sqlite3_stmt *stmt, struct cf_error *err)
{
	int code = sqlite3_step(stmt);
	int r = 0;

	if (code != SQLITE_DONE)
		r = cf_error_set(err, sqlite_errno(code), "%s", sqlite3_errmsg(db->sqlite));
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	return r;
}

static int insert_row(struct journal_db *db, const struct journal_record *record,
                      struct cf_error *err)
{
	int64_t value = record->value > INT64_MAX ? INT64_MAX : (int64_t)record->value;
	sqlite3_stmt *stmt = db->insert;

	(void)sqlite3_bind_int64(stmt, 1, db->session);
	(void)sqlite3_bind_int64(stmt, 2, record->time_ms);
	if (record->form == RECORD_MOMENT)
		(void)sqlite3_bind_int64(stmt, 3, record->time_ms);
	(void)sqlite3_bind_text(stmt, 4, journal_kind_name(record->kind), -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(stmt, 5, value);
	(void)sqlite3_bind_text(stmt, 6, record->text, -1, SQLITE_STATIC);
	db->since_trim++;
	return step(db, stmt, err);
}

/* Ends the episodes of the session that last: those called @kind, NULL: all. */
static int end_episodes(struct journal_db *db, const char *kind, int64_t time_ms,
                        struct cf_error *err)
{
	(void)sqlite3_bind_int64(db->end, 1, db->session);
	(void)sqlite3_bind_text(db->end, 2, kind, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(db->end, 3, time_ms);
	return step(db, db->end, err);
}

static int write_record(struct journal_db *db, const struct journal_record *record,
                        struct cf_error *err)
{
	int r = 0;

	if (record->form == RECORD_END)
		return end_episodes(db, journal_kind_name(record->kind), record->time_ms, err);
	if (record->kind == JOURNAL_CLOSE)
		r = end_episodes(db, NULL, record->time_ms, err);
	return r ? r : insert_row(db, record, err);
}

static int trim(struct journal_db *db, struct cf_error *err)
{
	if (db->since_trim < TRIM_INTERVAL)
		return 0;
	db->since_trim = 0;
	(void)sqlite3_bind_int64(db->trim, 1, ROWS_KEPT);
	return step(db, db->trim, err);
}

static int write_all(struct journal_db *db, const struct journal_record *records, size_t nr,
                     uint64_t dropped, struct cf_error *err)
{
	int r = 0;

	for (size_t i = 0; i < db->nr_preface && r == 0; i++)
		r = write_record(db, &db->preface[i], err);
	/* Before the records: a close stays the last row. */
	if (r == 0 && dropped) {
		struct journal_record record;

		journal_record_set(&record, RECORD_MOMENT, JOURNAL_DROPPED, dropped,
		                   "events that were not recorded");
		r = write_record(db, &record, err);
	}
	for (size_t i = 0; i < nr && r == 0; i++)
		r = write_record(db, &records[i], err);
	return r ? r : trim(db, err);
}

int journal_db_write(struct journal_db *db, const struct journal_record *records, size_t nr,
                     uint64_t dropped, struct cf_error *err)
{
	int r = sqlite_run(db->sqlite, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	r = write_all(db, records, nr, dropped, err);
	if (r == 0)
		r = sqlite_run(db->sqlite, "COMMIT", err);
	if (r < 0) {
		/* SQLite has rolled back by itself after some errors; then this one fails. */
		(void)sqlite_run(db->sqlite, "ROLLBACK", NULL);
		return r;
	}
	db->nr_preface = 0;
	return 0;
}

void journal_db_close(struct journal_db *db, bool orderly)
{
	if (!db)
		return;
	if (orderly && db->sqlite)
		(void)sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
		                                NULL);
	forget(db);
	free(db);
}
