#include "journal_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"

#define MANY 3000 /* more than fit into the queue */

static void a_new_database_is_private_whatever_the_umask(void **state)
{
	static const mode_t umasks[] = {0, 022, 077};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		mode_t before = umask(umasks[i]);
		struct journal *j = fixture_open(f, NULL);
		char wal[200];
		struct stat st;

		(void)umask(before);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
		(void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
		assert_int_equal(stat(wal, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		journal_close(j, "test");
		assert_int_equal(unlink(f->path), 0);
	}
}

static void an_orderly_session_is_an_open_and_a_close(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	journal_close(fixture_open(f, NULL), "unmounted");
	journal_close(fixture_open(f, NULL), "unmounted");
	/* Nothing waits in the log: whoever takes the file alone has all of it. */
	assert_false(file_exists(f->folder, "journal.db-wal"));
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, 4);
	assert_string_equal(rows.row[0].kind, "open");
	assert_string_equal(rows.row[0].text, "a test");
	assert_int_equal(rows.row[0].value, getpid());
	assert_string_equal(rows.row[1].kind, "close");
	assert_string_equal(rows.row[1].text, "unmounted");
	assert_int_equal(rows.row[1].session, 1);
	assert_int_equal(rows.row[2].session, 2);
	rows_free(&rows);
}

static void each_kind_becomes_a_row(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct rows rows;

	for (int kind = 0; kind < NR_JOURNAL_KINDS; kind++) {
		const char *name = journal_kind_name((enum journal_kind)kind);
		enum journal_kind parsed;

		assert_true(journal_kind_parse(name, &parsed));
		assert_int_equal(parsed, kind);
		if (journal_kind_lasts((enum journal_kind)kind))
			journal_begin(j, (enum journal_kind)kind, name);
		else if (kind != JOURNAL_OPEN && kind != JOURNAL_CLOSE)
			journal_event(j, (enum journal_kind)kind, 7, name);
	}
	journal_close(j, "close");
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, NR_JOURNAL_KINDS);
	for (int kind = 0; kind < NR_JOURNAL_KINDS; kind++) {
		const char *name = journal_kind_name((enum journal_kind)kind);

		assert_int_equal(rows_count(&rows, name), 1);
		if (kind != JOURNAL_OPEN)
			assert_string_equal(rows_find(&rows, name)->text, name);
	}
	assert_int_equal(rows_find(&rows, "milestone")->value, 7);
	rows_free(&rows);
}

static void an_unknown_kind_is_not_parsed(void **state)
{
	enum journal_kind kind;

	(void)state;
	assert_false(journal_kind_parse("", &kind));
	assert_false(journal_kind_parse("outages", &kind));
}

static void an_episode_is_one_row_with_begin_and_end(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct rows rows;

	journal_begin(j, JOURNAL_OUTAGE, "first");
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	rows = rows_read(f->path, NULL);
	assert_true(rows_find(&rows, "outage")->lasting);
	assert_int_equal(rows_find(&rows, "outage")->end_ms, 0);
	rows_free(&rows);

	journal_end(j, JOURNAL_OUTAGE);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	rows = rows_read(f->path, NULL);
	assert_false(rows_find(&rows, "outage")->lasting);
	assert_true(rows_find(&rows, "outage")->end_ms >= rows_find(&rows, "outage")->begin_ms);
	rows_free(&rows);

	journal_begin(j, JOURNAL_OUTAGE, "second");
	journal_begin(j, JOURNAL_OUTAGE, "third");
	journal_begin(j, JOURNAL_NO_SPACE, "full");
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_count(&rows, "outage"), 3);
	assert_false(rows.row[2].lasting);
	assert_true(rows.row[3].lasting);
	rows_free(&rows);

	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	for (size_t i = 0; i < rows.nr; i++)
		assert_false(rows.row[i].lasting);
	rows_free(&rows);
}

static void an_end_without_a_begin_makes_no_row(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct rows rows;

	journal_end(j, JOURNAL_OUTAGE);
	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, 2);
	rows_free(&rows);
}

static void a_crashed_session_is_told_by_the_next(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	assert_true(file_exists(f->folder, "journal.db-wal"));
	journal_close(fixture_open(f, NULL), "test");
	rows = rows_read(f->path, NULL);
	assert_string_equal(rows_find(&rows, "warning")->text, "before the crash");
	assert_int_equal(rows_count(&rows, "recovery"), 1);
	assert_int_equal(rows_find(&rows, "recovery")->session, 2);
	assert_non_null(strstr(rows_find(&rows, "recovery")->text, "did not close"));
	/* When an outage ended that nobody saw end is not known. */
	assert_true(rows_find(&rows, "outage")->lasting);
	assert_int_equal(rows_find(&rows, "outage")->session, 1);
	assert_int_equal(rows_find(&rows, "open")->session, 2);
	rows_free(&rows);

	journal_close(fixture_open(f, NULL), "test");
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_count(&rows, "recovery"), 1);
	rows_free(&rows);
}

static void texts_are_cut_and_cleaned(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	char text[2 * JOURNAL_TEXT_MAX];
	struct rows rows;

	/* Two-byte characters, shifted by one, so that the cut falls into one. */
	text[0] = 'x';
	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 3);
	journal_event(j, JOURNAL_WARNING, 0, text);
	journal_event(j, JOURNAL_SETTING, 0, "bell\a and \x1b[31m red \xff");
	journal_event(j, JOURNAL_MODE, UINT64_MAX, NULL);
	journal_close(j, "test");

	rows = rows_read(f->path, NULL);
	assert_in_range(strlen(rows_find(&rows, "warning")->text), JOURNAL_TEXT_MAX - 8,
	                JOURNAL_TEXT_MAX - 1);
	assert_null(strchr(rows_find(&rows, "warning")->text, '?'));
	assert_string_equal(rows_find(&rows, "warning")->text +
	                            strlen(rows_find(&rows, "warning")->text) - 3,
	                    "...");
	assert_string_equal(rows_find(&rows, "setting")->text, "bell? and ?[31m red ?");
	assert_string_equal(rows_find(&rows, "mode")->text, "");
	assert_int_equal(rows_find(&rows, "mode")->value, INT64_MAX);
	rows_free(&rows);
}

/*
 * The lock is held until all calls have returned: that they return at all shows that none waits.
 */
static void events_are_dropped_and_counted_while_the_database_is_locked(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	sqlite3 *locker;
	struct journal_counts counts;
	struct rows rows;

	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	locker = fixture_connect(f);
	assert_int_equal(sqlite3_exec(locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	journal_begin(j, JOURNAL_OUTAGE, "its end must not be lost");
	for (int i = 0; i < MANY; i++)
		journal_event(j, JOURNAL_MILESTONE, i, "milestone");
	journal_begin(j, JOURNAL_NO_SPACE, "dropped");
	journal_end(j, JOURNAL_NO_SPACE);
	journal_end(j, JOURNAL_OUTAGE);
	journal_get_counts(j, &counts);
	assert_true(counts.dropped > MANY / 2);
	assert_true(counts.dropped < MANY);
	assert_int_equal(journal_flush(j, 50), -ETIMEDOUT);

	assert_int_equal(sqlite3_exec(locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(locker), SQLITE_OK);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_close(j, "test");

	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_count(&rows, "dropped"), 1);
	assert_int_equal(rows_find(&rows, "dropped")->value, counts.dropped);
	assert_int_equal(rows_count(&rows, "milestone") + counts.dropped, MANY + 1);
	assert_int_equal(rows_find(&rows, "milestone")->value, rows_count(&rows, "milestone") - 1);
	assert_false(rows_find(&rows, "outage")->lasting);
	assert_int_equal(rows_count(&rows, "no_space"), 0);
	rows_free(&rows);
}

static void a_database_locked_at_open_gets_its_rows_later(void **state)
{
	struct fixture *f = *state;
	sqlite3 *locker;
	struct journal *j;
	struct rows rows;

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	locker = fixture_connect(f);
	assert_int_equal(sqlite3_exec(locker,
	                              "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;"
	                              "INSERT INTO event VALUES"
	                              " (1000, 1, 0, 0, 'warning', 0, 'locker')",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	j = fixture_open(f, NULL);
	journal_event(j, JOURNAL_DONE, 0, "done");
	assert_int_equal(journal_flush(j, 50), -ETIMEDOUT);
	assert_int_equal(sqlite3_exec(locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(locker), SQLITE_OK);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_count(&rows, "recovery"), 1);
	assert_int_equal(rows_count(&rows, "done"), 1);
	rows_free(&rows);
}

static void close_gives_up_on_a_locked_database(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	sqlite3 *locker;
	struct rows rows;

	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	locker = fixture_connect(f);
	assert_int_equal(sqlite3_exec(locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	journal_close(j, "nobody will read this");
	assert_int_equal(sqlite3_exec(locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(locker), SQLITE_OK);
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, 1);
	rows_free(&rows);
}

/* A file system of 512 KiB for the folder, where one may mount; else a limit on file sizes. */
static bool mount_small(const char *folder)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", folder, "tmpfs", 0, "size=512k,mode=0700") == 0;
}

static void fill_disk(const struct fixture *f, bool mounted, char *filler)
{
	struct rlimit limit = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
	char block[4096];
	FILE *file;

	(void)snprintf(filler, 200, "%s/filler", f->folder);
	if (!mounted) {
		struct stat st;
		char wal[200];

		(void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
		assert_int_equal(stat(wal, &st), 0);
		limit.rlim_cur = st.st_size;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		return;
	}
	memset(block, 'x', sizeof(block));
	file = fopen(filler, "w");
	assert_non_null(file);
	setbuf(file, NULL);
	while (fwrite(block, 1, sizeof(block), file) == sizeof(block))
		;
	(void)fclose(file);
}

static void a_full_disk_costs_rows_and_their_number_is_told(void **state)
{
	struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	struct fixture *f = *state;
	bool mounted = mount_small(f->folder);
	struct journal *j = fixture_open(f, NULL);
	struct journal_counts counts;
	char filler[200];
	struct rows rows;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	fill_disk(f, mounted, filler);
	for (int i = 0; i < MANY; i++)
		journal_event(j, JOURNAL_WARNING, i,
		              "a text that is long enough to need more than one page soon");
	journal_get_counts(j, &counts);
	assert_true(counts.dropped > 0);
	assert_int_equal(journal_flush(j, 200), -ETIMEDOUT);

	if (mounted)
		assert_int_equal(unlink(filler), 0);
	else
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_find(&rows, "dropped")->value, counts.dropped);
	assert_int_equal(rows_count(&rows, "warning") + counts.dropped, MANY);
	assert_int_equal(rows_count(&rows, "close"), 1);
	rows_free(&rows);
	if (mounted)
		assert_int_equal(umount2(f->folder, MNT_DETACH), 0);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	struct journal_options options = {0};
	struct cf_error err = {0};
	struct journal *j = NULL;
	size_t size_before, size_after;
	void *before, *after;

	journal_close(fixture_open(f, NULL), "test");
	fixture_sql(f, "PRAGMA user_version=77");
	before = file_read(f->path, &size_before);
	assert_int_equal(journal_open(f->path, &options, &j, &err), -EOPNOTSUPP);
	assert_null(j);
	assert_non_null(strstr(err.text, "77"));
	assert_non_null(strstr(err.text, f->path));
	after = file_read(f->path, &size_after);
	assert_int_equal(size_before, size_after);
	assert_memory_equal(before, after, size_before);
	assert_false(file_exists(f->folder, "journal.db.bad-1"));
	free(before);
	free(after);
}

static void what_is_no_regular_file_is_refused(void **state)
{
	struct fixture *f = *state;
	struct journal_options options = {0};
	struct cf_error err = {0};
	struct journal *j = NULL;

	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(journal_open(f->path, &options, &j, &err), -EINVAL);
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(journal_open(f->path, &options, &j, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
}

static void a_folder_that_is_missing_fails_no_mount(void **state)
{
	struct fixture *f = *state;
	struct fixture missing = *f;
	struct journal *j;

	(void)snprintf(missing.path, sizeof(missing.path), "%s/none/journal.db", f->folder);
	j = fixture_open(&missing, NULL);
	journal_event(j, JOURNAL_DONE, 0, NULL);
	journal_close(j, "test");
}

static void without_a_journal_all_calls_do_nothing(void **state)
{
	struct journal_counts counts;

	(void)state;
	journal_event(NULL, JOURNAL_DONE, 0, NULL);
	journal_begin(NULL, JOURNAL_OUTAGE, NULL);
	journal_end(NULL, JOURNAL_OUTAGE);
	assert_int_equal(journal_flush(NULL, 1), 0);
	journal_get_counts(NULL, &counts);
	assert_int_equal(counts.written, 0);
	journal_close(NULL, NULL);
}

#define NR_THREADS 4

static void *send_many(void *arg)
{
	for (int i = 0; i < MANY; i++) {
		journal_event(arg, JOURNAL_WARNING, i, "from a thread");
		if (i % 100 == 0) {
			journal_begin(arg, JOURNAL_OUTAGE, "o");
			journal_end(arg, JOURNAL_OUTAGE);
		}
	}
	return NULL;
}

static void every_event_of_many_threads_is_written_or_counted(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct journal_counts counts;
	pthread_t threads[NR_THREADS];
	struct rows rows;
	uint64_t told = 0;

	for (int i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, j), 0);
	for (int i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_get_counts(j, &counts);
	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	for (size_t i = 0; i < rows.nr; i++)
		if (strcmp(rows.row[i].kind, "dropped") == 0)
			told += rows.row[i].value;
	assert_int_equal(told, counts.dropped);
	assert_int_equal(rows_count(&rows, "warning") + rows_count(&rows, "outage") + told,
	                 NR_THREADS * (MANY + MANY / 100));
	rows_free(&rows);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        TEST(a_new_database_is_private_whatever_the_umask),
	        TEST(an_orderly_session_is_an_open_and_a_close),
	        TEST(each_kind_becomes_a_row),
	        TEST(an_unknown_kind_is_not_parsed),
	        TEST(an_episode_is_one_row_with_begin_and_end),
	        TEST(an_end_without_a_begin_makes_no_row),
	        TEST(a_crashed_session_is_told_by_the_next),
	        TEST(texts_are_cut_and_cleaned),
	        TEST(events_are_dropped_and_counted_while_the_database_is_locked),
	        TEST(a_database_locked_at_open_gets_its_rows_later),
	        TEST(close_gives_up_on_a_locked_database),
	        TEST(a_full_disk_costs_rows_and_their_number_is_told),
	        TEST(a_newer_schema_is_refused_and_left_alone),
	        TEST(what_is_no_regular_file_is_refused),
	        TEST(a_folder_that_is_missing_fails_no_mount),
	        TEST(without_a_journal_all_calls_do_nothing),
	        TEST(every_event_of_many_threads_is_written_or_counted),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child_crash(argv[3]);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
