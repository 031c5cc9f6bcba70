#include "journal_fixture.h"

#include <string.h>

#include "core/journal/journal_db.h"
#include "core/journal/journal_sqlite.h"

static int64_t get_int(const struct fixture *f, const char *sql)
{
	sqlite3 *db = fixture_connect(f);
	int64_t value = -1;

	assert_int_equal(sqlite_get_int(db, sql, &value, NULL), 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return value;
}

static struct journal_db *open_db(const struct fixture *f, bool without_wal)
{
	struct journal_db_params params = {.path = f->path, .without_wal = without_wal};
	struct cf_error err = {0};
	struct journal_db *db = NULL;

	if (journal_db_open(&params, &db, &err) < 0)
		fail_msg("%s", err.text);
	return db;
}

static void write_one(struct journal_db *db)
{
	struct journal_record record;

	journal_record_set(&record, RECORD_MOMENT, JOURNAL_WARNING, 1, "one");
	assert_int_equal(journal_db_write(db, &record, 1, 0, NULL), 0);
}

static void a_network_file_system_gets_no_write_ahead_log(void **state)
{
	struct fixture *f = *state;
	struct journal_db *db = open_db(f, true);

	write_one(db);
	assert_false(file_exists(f->folder, "journal.db-wal"));
	assert_false(file_exists(f->folder, "journal.db-shm"));
	/* Others can read meanwhile: the lock is not kept. */
	assert_int_equal(get_int(f, "SELECT count(*) FROM event"), 1);
	journal_db_close(db, true);
}

static void a_database_is_led_out_of_the_write_ahead_log(void **state)
{
	struct fixture *f = *state;
	struct journal_db *db;

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	assert_true(file_exists(f->folder, "journal.db-wal"));
	db = open_db(f, true);
	write_one(db);
	assert_false(file_exists(f->folder, "journal.db-wal"));
	assert_int_equal(get_int(f, "SELECT count(*) FROM event WHERE kind = 'warning'"), 2);
	journal_db_close(db, true);

	db = open_db(f, false);
	write_one(db);
	assert_true(file_exists(f->folder, "journal.db-wal"));
	journal_db_close(db, true);
	assert_false(file_exists(f->folder, "journal.db-wal"));
	assert_int_equal(get_int(f, "SELECT count(*) FROM event WHERE kind = 'warning'"), 3);
}

static void old_rows_are_let_go(void **state)
{
	struct fixture *f = *state;
	struct journal_db *db = open_db(f, false);

	journal_db_close(db, true);
	fixture_sql(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
	               " WHERE i < 100500) INSERT INTO event SELECT i, 1, i, i, 'warning', i, ''"
	               " FROM n");
	db = open_db(f, false);
	write_one(db);
	assert_int_equal(get_int(f, "SELECT count(*) FROM event"), 100000);
	assert_int_equal(get_int(f, "SELECT value FROM event ORDER BY id DESC LIMIT 1"), 1);
	journal_db_close(db, true);
}

static void a_batch_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct journal_db *db = open_db(f, false);
	struct journal_record records[3];

	fixture_sql(f, "CREATE TRIGGER refuse BEFORE INSERT ON event WHEN NEW.value = 3"
	               " BEGIN SELECT raise(ABORT, 'no'); END");
	for (int i = 0; i < 3; i++)
		journal_record_set(&records[i], RECORD_MOMENT, JOURNAL_WARNING, i + 1, "");
	assert_int_not_equal(journal_db_write(db, records, 3, 0, NULL), 0);
	assert_int_equal(get_int(f, "SELECT count(*) FROM event"), 0);
	assert_int_equal(journal_db_write(db, records, 2, 5, NULL), 0);
	assert_int_equal(get_int(f, "SELECT count(*) FROM event"), 3);
	assert_int_equal(get_int(f, "SELECT value FROM event WHERE kind = 'dropped'"), 5);
	journal_db_close(db, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        TEST(a_network_file_system_gets_no_write_ahead_log),
	        TEST(a_database_is_led_out_of_the_write_ahead_log),
	        TEST(old_rows_are_let_go),
	        TEST(a_batch_is_all_or_nothing),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child_crash(argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
