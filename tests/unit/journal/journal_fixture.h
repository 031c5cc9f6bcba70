/* A folder for a journal, its rows as the reader sees them, and programs of our own that crash. */
#ifndef CLONEFS_TESTS_JOURNAL_FIXTURE_H
#define CLONEFS_TESTS_JOURNAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "core/journal/journal.h"
#include "core/journal/journal_kind.h"
#include "core/journal/journal_read.h"

/* How long a test waits for what must happen: only a broken program uses it up. */
#define PATIENCE_MS 60000

struct fixture {
	char folder[128];
	char path[160]; /* of the database */
};

/* cmocka set-up and tear-down: *state is a struct fixture with an empty folder. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct rows {
	size_t nr;
	struct fixture_row {
		int64_t session, begin_ms, end_ms, value;
		bool lasting;
		char kind[64];
		char text[JOURNAL_TEXT_MAX];
	} * row;
};

/* All rows that pass @filter (NULL: all); asserts that they can be read. */
struct rows rows_read(const char *path, const struct journal_filter *filter);
void rows_free(struct rows *rows);
/* The last row of @kind; asserts that there is one. */
const struct fixture_row *rows_find(const struct rows *rows, const char *kind);
size_t rows_count(const struct rows *rows, const char *kind);

/* Opens the journal of @f with @options, NULL: an impatient one. Asserts success. */
struct journal *fixture_open(const struct fixture *f, const struct journal_options *options);

/* Runs @sql on the database through a connection of its own; asserts success. */
void fixture_sql(const struct fixture *f, const char *sql);
sqlite3 *fixture_connect(const struct fixture *f);

/* Runs this very program again as `program --child MODE PATH`; its exit status. */
int fixture_run_child(const char *mode, const char *path);

/* Whole files, in memory of the caller. */
void *file_read(const char *path, size_t *ret_size);
void file_write(const char *path, const void *data, size_t size);
bool file_exists(const char *folder, const char *name);

/* The child that opens a journal, writes one event and dies without closing it. */
int child_crash(const char *path);

#endif
