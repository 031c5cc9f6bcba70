#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	/* Hundreds of databases are synced: in memory, if there is a folder for that. */
	if (!tmp)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(f->folder, sizeof(f->folder), "%s/journal-test.XXXXXX", tmp);
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->path, sizeof(f->path), "%s/journal.db", f->folder);
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	(void)chmod(f->folder, 0700);
	(void)nftw(f->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static int collect(void *user, const struct journal_row *row)
{
	struct rows *rows = user;
	struct fixture_row *to;

	rows->row = realloc(rows->row, (rows->nr + 1) * sizeof(*rows->row));
	assert_non_null(rows->row);
	to = &rows->row[rows->nr++];
	*to = (struct fixture_row){
	        .session = row->session,
	        .begin_ms = row->begin_ms,
	        .end_ms = row->end_ms,
	        .value = row->value,
	        .lasting = row->lasting,
	};
	(void)snprintf(to->kind, sizeof(to->kind), "%s", row->kind);
	(void)snprintf(to->text, sizeof(to->text), "%s", row->text);
	return 0;
}

struct rows rows_read(const char *path, const struct journal_filter *filter)
{
	static const struct journal_filter all;
	struct cf_error err = {0};
	struct rows rows = {0};
	int r = journal_read(path, filter ? filter : &all, collect, &rows, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	return rows;
}

void rows_free(struct rows *rows)
{
	free(rows->row);
	*rows = (struct rows){0};
}

const struct fixture_row *rows_find(const struct rows *rows, const char *kind)
{
	for (size_t i = rows->nr; i > 0; i--)
		if (strcmp(rows->row[i - 1].kind, kind) == 0)
			return &rows->row[i - 1];
	fail_msg("no row of kind %s among %zu", kind, rows->nr);
	return NULL;
}

size_t rows_count(const struct rows *rows, const char *kind)
{
	size_t count = 0;

	for (size_t i = 0; i < rows->nr; i++)
		count += strcmp(rows->row[i].kind, kind) == 0;
	return count;
}

struct journal *fixture_open(const struct fixture *f, const struct journal_options *options)
{
	static const struct journal_options impatient = {.opening = "a test", .retry_ms = 10};
	struct cf_error err = {0};
	struct journal *j = NULL;

	if (journal_open(f->path, options ? options : &impatient, &j, &err) < 0)
		fail_msg("%s", err.text);
	return j;
}

sqlite3 *fixture_connect(const struct fixture *f)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, PATIENCE_MS);
	return db;
}

void fixture_sql(const struct fixture *f, const char *sql)
{
	sqlite3 *db = fixture_connect(f);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int fixture_run_child(const char *mode, const char *path)
{
	char self[] = "/proc/self/exe", child[] = "--child";
	char *argv[] = {self, child, strdup(mode), strdup(path), NULL};
	int status = -1;
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(argv[2]);
	free(argv[3]);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void *file_read(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc(st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(read(fd, data, st.st_size), st.st_size);
	(void)close(fd);
	*ret_size = st.st_size;
	return data;
}

void file_write(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	(void)close(fd);
}

bool file_exists(const char *folder, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

int child_crash(const char *path)
{
	struct journal_options options = {.opening = "about to crash"};
	struct journal *j;

	if (journal_open(path, &options, &j, NULL) < 0)
		return 1;
	journal_event(j, JOURNAL_WARNING, 0, "before the crash");
	journal_begin(j, JOURNAL_OUTAGE, "never seen to end");
	if (journal_flush(j, PATIENCE_MS) < 0)
		return 2;
	_exit(0);
}
