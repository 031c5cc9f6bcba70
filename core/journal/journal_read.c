#include "core/journal/journal_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/journal/journal_kind.h"
#include "core/journal/journal_schema.h"
#include "core/journal/journal_sqlite.h"

#define BUSY_TIMEOUT_MS 2000
#define COPY_TRIES      3

/* What is read, and who gets it. */
struct reading {
	const struct journal_filter *filter;
	journal_row_fn *fn;
	void *user;
};

static void copy_text(char *to, size_t size, sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	(void)snprintf(to, size, "%s", text ? (const char *)text : "");
	cf_error_clean_text(to);
}

static int hand_over(sqlite3_stmt *stmt, const struct reading *reading)
{
	char kind[64], text[JOURNAL_TEXT_MAX];
	struct journal_row row = {
	        .id = sqlite3_column_int64(stmt, 0),
	        .session = sqlite3_column_int64(stmt, 1),
	        .begin_ms = sqlite3_column_int64(stmt, 2),
	        .lasting = sqlite3_column_type(stmt, 3) == SQLITE_NULL,
	        .end_ms = sqlite3_column_int64(stmt, 3),
	        .kind = kind,
	        .value = sqlite3_column_int64(stmt, 5),
	        .text = text,
	};

	copy_text(kind, sizeof(kind), stmt, 4);
	copy_text(text, sizeof(text), stmt, 6);
	return reading->fn(reading->user, &row);
}

static int read_rows(sqlite3 *sqlite, const struct reading *reading, struct cf_error *err)
{
	static const char rows[] =
	        "SELECT id, session, begin_ms, end_ms, kind, value, text FROM event"
	        " WHERE (end_ms >= ?1 OR begin_ms >= ?1 OR (end_ms IS NULL AND session ="
	        " (SELECT max(session) FROM event))) AND (?2 IS NULL OR kind = ?2) ORDER BY id";
	sqlite3_stmt *stmt;
	int version = 0;
	int code;
	int r = journal_schema_version(sqlite, &journal_schema, &version, err);

	if (r < 0 || version == 0)
		return r;
	r = sqlite_prepare(sqlite, rows, &stmt, err);
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(stmt, 1, reading->filter->since_ms);
	(void)sqlite3_bind_text(stmt, 2, reading->filter->kind, -1, SQLITE_STATIC);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW && r == 0)
		r = hand_over(stmt, reading);
	if (r == 0 && code != SQLITE_DONE)
		r = cf_error_set(err, sqlite_errno(code), "%s", sqlite3_errmsg(sqlite));
	(void)sqlite3_finalize(stmt);
	return r;
}

/* Opens and reads one page, which is what fails if the log cannot be used. */
static int open_in_place(const char *path, int flags, sqlite3 **ret_sqlite, struct cf_error *err)
{
	sqlite3 *sqlite = NULL;
	int64_t unused;
	int code = sqlite3_open_v2(path, &sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
	int r;

	if (code == SQLITE_OK) {
		(void)sqlite3_busy_timeout(sqlite, BUSY_TIMEOUT_MS);
		(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		r = sqlite_get_int(sqlite, "SELECT count(*) FROM sqlite_schema", &unused, err);
	} else {
		r = cf_error_set(err, sqlite_errno(code), "cannot be opened: %s",
		                 sqlite3_errstr(code));
	}
	if (r < 0)
		(void)sqlite3_close(sqlite);
	else
		*ret_sqlite = sqlite;
	return r;
}

static int copy_file(const char *from, const char *to)
{
	CF_AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
	CF_AUTO_CLOSE int out = -1;
	ssize_t n;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	do {
		char buf[65536];
		ssize_t done = 0;

		n = read(in, buf, sizeof(buf));
		while (done < n) {
			ssize_t w = write(out, buf + done, (size_t)(n - done));

			if (w < 0 && errno != EINTR)
				return -errno;
			done += w > 0 ? w : 0;
		}
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* Private names of the copy; the folder is removed with it. */
struct private_copy {
	char folder[256];
	char db[280], wal[288], shm[288];
};

static int copy_make_folder(struct private_copy *copy)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(copy->folder, sizeof(copy->folder), "%s/clonefs-journal.XXXXXX",
	                 tmp && *tmp ? tmp : "/tmp");

	if (n < 0 || (size_t)n >= sizeof(copy->folder))
		return -ENAMETOOLONG;
	if (!mkdtemp(copy->folder))
		return -errno;
	(void)snprintf(copy->db, sizeof(copy->db), "%s/journal.db", copy->folder);
	(void)snprintf(copy->wal, sizeof(copy->wal), "%s-wal", copy->db);
	(void)snprintf(copy->shm, sizeof(copy->shm), "%s-shm", copy->db);
	return 0;
}

static void copy_empty(const struct private_copy *copy)
{
	(void)unlink(copy->db);
	(void)unlink(copy->wal);
	(void)unlink(copy->shm);
}

static int copy_fill(const struct private_copy *copy, const char *path)
{
	CF_AUTO_FREE char *wal = NULL;
	int r;

	if (asprintf(&wal, "%s-wal", path) < 0)
		return -ENOMEM;
	copy_empty(copy);
	r = copy_file(wal, copy->wal);
	if (r == 0 || r == -ENOENT)
		r = copy_file(path, copy->db);
	return r;
}

/* The original may be written meanwhile: a copy that does not hold together is made again. */
static int copy_open(const struct private_copy *copy, const char *path, sqlite3 **ret_sqlite,
                     struct cf_error *err)
{
	int r = -EUCLEAN;

	for (int i = 0; i < COPY_TRIES && r == -EUCLEAN; i++) {
		sqlite3 *sqlite = NULL;

		r = copy_fill(copy, path);
		if (r < 0)
			return cf_error_errno(err, r, "cannot be copied");
		r = open_in_place(copy->db, SQLITE_OPEN_READWRITE, &sqlite, err);
		if (r == 0)
			r = sqlite_quick_check(sqlite, err);
		if (r == 0)
			*ret_sqlite = sqlite;
		else
			(void)sqlite3_close(sqlite);
	}
	return r;
}

static int read_copy(const char *path, const struct reading *reading, struct cf_error *err)
{
	struct private_copy copy;
	sqlite3 *sqlite = NULL;
	int r = copy_make_folder(&copy);

	if (r < 0)
		return cf_error_errno(err, r, "needs a private copy, which cannot be made");
	r = copy_open(&copy, path, &sqlite, err);
	if (r == 0) {
		r = read_rows(sqlite, reading, err);
		(void)sqlite3_close(sqlite);
	}
	copy_empty(&copy);
	(void)rmdir(copy.folder);
	return r;
}

int journal_read(const char *path, const struct journal_filter *filter, journal_row_fn *fn,
                 void *user, struct cf_error *err)
{
	struct reading reading = {.filter = filter, .fn = fn, .user = user};
	struct cf_error why = {0};
	sqlite3 *sqlite = NULL;
	int r;

	/* Said apart from "cannot be opened": a clone may have no journal yet. */
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return cf_error_set(err, -ENOENT, "there is no journal %s", path);
	r = open_in_place(path, SQLITE_OPEN_READONLY, &sqlite, &why);
	if (r == 0) {
		r = read_rows(sqlite, &reading, &why);
		(void)sqlite3_close(sqlite);
	} else if (r == -EACCES) {
		r = read_copy(path, &reading, &why);
	}
	if (why.code)
		(void)cf_error_set(err, r, "the journal %s %s", path, why.text);
	return r;
}
