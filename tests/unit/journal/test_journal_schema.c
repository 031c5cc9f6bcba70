#include "journal_fixture.h"

#include <errno.h>

#include "core/journal/journal_schema.h"
#include "core/journal/journal_sqlite.h"

static int64_t get_int(sqlite3 *db, const char *sql)
{
	int64_t value = -1;

	assert_int_equal(sqlite_get_int(db, sql, &value, NULL), 0);
	return value;
}

static sqlite3 *memory(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	return db;
}

static void an_empty_database_gets_the_current_schema(void **state)
{
	sqlite3 *db = memory();

	(void)state;
	assert_int_equal(journal_schema_upgrade(db, &journal_schema, NULL), 0);
	assert_int_equal(get_int(db, "PRAGMA user_version"), journal_schema.version);
	assert_int_equal(get_int(db, "SELECT count(*) FROM event"), 0);
	/* A current one stays as it is. */
	assert_int_equal(journal_schema_upgrade(db, &journal_schema, NULL), 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static const char *const three_steps[] = {
        "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
        "ALTER TABLE t ADD COLUMN b DEFAULT 2",
        "UPDATE t SET b = a + b",
};

static void an_older_schema_is_upgraded_with_its_rows(void **state)
{
	(void)state;
	for (int from = 0; from <= 3; from++) {
		struct journal_schema old = {.steps = three_steps, .version = from};
		struct journal_schema now = {.steps = three_steps, .version = 3};
		sqlite3 *db = memory();

		assert_int_equal(journal_schema_upgrade(db, &old, NULL), 0);
		assert_int_equal(get_int(db, "PRAGMA user_version"), from);
		assert_int_equal(journal_schema_upgrade(db, &now, NULL), 0);
		assert_int_equal(get_int(db, "PRAGMA user_version"), 3);
		assert_int_equal(get_int(db, "SELECT b FROM t"), 3);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
}

static void a_failing_step_changes_nothing(void **state)
{
	static const char *const broken[] = {
	        "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
	        "INSERT INTO t VALUES (2); INSERT INTO missing VALUES (3)",
	};
	struct journal_schema schema = {.steps = broken, .version = 2};
	struct cf_error err = {0};
	sqlite3 *db = memory();

	(void)state;
	assert_int_equal(journal_schema_upgrade(db, &schema, &err), -EUCLEAN);
	assert_string_not_equal(err.text, "");
	assert_int_equal(get_int(db, "PRAGMA user_version"), 1);
	assert_int_equal(get_int(db, "SELECT count(*) FROM t"), 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void versions_out_of_range_are_told_apart(void **state)
{
	static const struct {
		const char *set;
		int result;
	} cases[] = {
	        {"PRAGMA user_version=4", -EOPNOTSUPP},
	        {"PRAGMA user_version=2147483647", -EOPNOTSUPP},
	        {"PRAGMA user_version=-1", -EUCLEAN},
	        {"PRAGMA user_version=3", 0},
	};
	struct journal_schema schema = {.steps = three_steps, .version = 3};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sqlite3 *db = memory();

		assert_int_equal(sqlite_run(db, cases[i].set, NULL), 0);
		assert_int_equal(journal_schema_upgrade(db, &schema, NULL), cases[i].result);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_empty_database_gets_the_current_schema),
	        cmocka_unit_test(an_older_schema_is_upgraded_with_its_rows),
	        cmocka_unit_test(a_failing_step_changes_nothing),
	        cmocka_unit_test(versions_out_of_range_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
