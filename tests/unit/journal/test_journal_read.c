#include "journal_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static void rows_are_chosen_by_kind_and_time(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct journal_filter filter;
		const char *texts; /* of the rows, in order */
	} cases[] = {
	        /* An unfinished outage of an earlier session counts by its begin. */
	        {{0}, "abcdef"},
	        {{.kind = "outage"}, "bcf"},
	        {{.kind = "nonsense"}, ""},
	        {{.since_ms = 101}, "bcdef"},
	        {{.since_ms = 300}, "def"},
	        {{.since_ms = 201, .kind = "outage"}, "cf"},
	        {{.since_ms = 5000}, "f"},
	        {{.since_ms = INT64_MAX}, "f"},
	};

	journal_close(fixture_open(f, NULL), "test");
	fixture_sql(f, "DELETE FROM event; INSERT INTO event"
	               " (session, begin_ms, end_ms, kind, value, text) VALUES"
	               " (1, 100, 100, 'open', 0, 'a'), (1, 150, 200, 'outage', 0, 'b'),"
	               " (1, 250, NULL, 'outage', 0, 'c'), (2, 300, 300, 'open', 0, 'd'),"
	               " (2, 400, 400, 'future kind', 0, 'e'), (2, 450, NULL, 'outage', 0, 'f')");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rows rows = rows_read(f->path, &cases[i].filter);
		char texts[16] = "";

		for (size_t k = 0; k < rows.nr; k++)
			strcat(texts, rows.row[k].text);
		assert_string_equal(texts, cases[i].texts);
		rows_free(&rows);
	}
}

static int stop_at_second(void *user, const struct journal_row *row)
{
	(void)row;
	return ++*(int *)user == 2 ? -ECANCELED : 0;
}

static void the_receiver_can_stop(void **state)
{
	struct fixture *f = *state;
	static const struct journal_filter all;
	struct cf_error err = {0};
	int calls = 0;

	for (int i = 0; i < 3; i++)
		journal_close(fixture_open(f, NULL), "test");
	assert_int_equal(journal_read(f->path, &all, stop_at_second, &calls, &err), -ECANCELED);
	assert_int_equal(calls, 2);
	assert_string_equal(err.text, "");
}

static int read_result(const char *path, struct cf_error *err)
{
	static const struct journal_filter all;
	int calls = -1000000;

	return journal_read(path, &all, stop_at_second, &calls, err);
}

static void failures_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct cf_error err = {0};

	assert_int_equal(read_result(f->path, &err), -ENOENT);
	file_write(f->path, "garbage that is not a database", 30);
	assert_int_equal(read_result(f->path, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, f->path));
	assert_int_equal(unlink(f->path), 0);
	file_write(f->path, "", 0);
	assert_int_equal(read_result(f->path, &err), 0);
	journal_close(fixture_open(f, NULL), "test");
	fixture_sql(f, "PRAGMA user_version=99");
	assert_int_equal(read_result(f->path, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "99"));
}

static void a_journal_is_read_while_it_is_written(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct rows rows;

	for (int i = 1; i <= 20; i++) {
		journal_event(j, JOURNAL_MILESTONE, i, NULL);
		assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
		rows = rows_read(f->path, NULL);
		assert_int_equal(rows.nr, i + 1);
		rows_free(&rows);
	}
	journal_close(j, "test");
}

static void hostile_texts_are_cleaned(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	journal_close(fixture_open(f, NULL), "test");
	fixture_sql(f, "INSERT INTO event VALUES (99, 9, 1, 1, 'k' || char(27), 0,"
	               " char(27) || '[2J' || printf('%.*c', 5000, 'x'))");
	rows = rows_read(f->path, NULL);
	assert_string_equal(rows.row[rows.nr - 1].kind, "k?");
	assert_memory_equal(rows.row[rows.nr - 1].text, "?[2Jxxx", 7);
	assert_int_equal(strlen(rows.row[rows.nr - 1].text), JOURNAL_TEXT_MAX - 1);
	rows_free(&rows);
}

static void a_log_left_by_a_crash_is_read_in_place(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows_count(&rows, "warning"), 1);
	rows_free(&rows);
	assert_true(file_exists(f->folder, "journal.db-wal"));
}

static int count_warnings(void *user, const struct journal_row *row)
{
	*(int *)user += strcmp(row->kind, "warning") == 0;
	return 0;
}

/* As somebody who cannot write the folder: exit status = warnings seen, or 100 + what failed. */
static int child_read(const char *path)
{
	static const struct journal_filter all;
	char tmp[] = "/tmp/journal-test.XXXXXX";
	struct cf_error err = {0};
	int warnings = 0;

	if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return 100;
	(void)prctl(PR_SET_DUMPABLE, 1);
	if (!mkdtemp(tmp) || setenv("TMPDIR", tmp, 1) < 0)
		return 103;
	if (journal_read(path, &all, count_warnings, &warnings, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 101;
	}
	/* Nothing of the copy is left behind. */
	return rmdir(tmp) < 0 ? 102 : warnings;
}

static void make_unwritable(const struct fixture *f)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (size_t i = 0; geteuid() == 0 && i < 3; i++) {
		char path[300];

		(void)snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
		if (access(path, F_OK) == 0)
			assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	}
	assert_int_equal(chmod(f->folder, 0555), 0);
}

static void an_unwritable_folder_is_read_through_a_private_copy(void **state)
{
	struct fixture *f = *state;
	char shm[300];

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	(void)snprintf(shm, sizeof(shm), "%s-shm", f->path);
	assert_int_equal(unlink(shm), 0);
	make_unwritable(f);
	assert_int_equal(fixture_run_child("read", f->path), 1);
	assert_false(file_exists(f->folder, "journal.db-shm"));
}

static void an_unwritable_folder_after_an_orderly_close_is_read_too(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);

	journal_event(j, JOURNAL_WARNING, 0, "one");
	journal_event(j, JOURNAL_WARNING, 0, "two");
	journal_close(j, "test");
	make_unwritable(f);
	assert_int_equal(fixture_run_child("read", f->path), 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        TEST(rows_are_chosen_by_kind_and_time),
	        TEST(the_receiver_can_stop),
	        TEST(failures_are_told_apart),
	        TEST(a_journal_is_read_while_it_is_written),
	        TEST(hostile_texts_are_cleaned),
	        TEST(a_log_left_by_a_crash_is_read_in_place),
	        TEST(an_unwritable_folder_is_read_through_a_private_copy),
	        TEST(an_unwritable_folder_after_an_orderly_close_is_read_too),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return strcmp(argv[2], "read") == 0 ? child_read(argv[3]) : child_crash(argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
