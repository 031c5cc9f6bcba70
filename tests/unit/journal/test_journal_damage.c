#include "journal_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/journal/journal_damage.h"

/* A database of a few pages that was closed in order. */
static unsigned char *make_sound(const struct fixture *f, size_t *ret_size)
{
	struct journal *j = fixture_open(f, NULL);

	for (int i = 0; i < 200; i++) {
		journal_event(j, JOURNAL_WARNING, i, "some text to fill pages with");
		if (i % 50 == 0)
			assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	}
	journal_close(j, "test");
	return file_read(f->path, ret_size);
}

static void remove_file(const struct fixture *f, const char *suffix)
{
	char name[300];

	(void)snprintf(name, sizeof(name), "%s%s", f->path, suffix);
	(void)unlink(name);
}

/* Whatever a byte becomes, the journal is used, begun anew, or refused as a newer one. */
static void check_flipped(const struct fixture *f, const unsigned char *bytes, size_t size,
                          int *ret_renamed)
{
	static const struct journal_options options = {.opening = "flipped", .retry_ms = 10};
	struct journal *j = NULL;
	struct rows rows;
	int r;

	remove_file(f, ".bad-1");
	file_write(f->path, bytes, size);
	r = journal_open(f->path, &options, &j, NULL);
	if (r == -EOPNOTSUPP)
		return;
	assert_int_equal(r, 0);
	journal_event(j, JOURNAL_DONE, 0, "written");
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_close(j, "test");
	rows = rows_read(f->path, NULL);
	assert_string_equal(rows_find(&rows, "done")->text, "written");
	assert_string_equal(rows.row[rows.nr - 1].kind, "close");
	rows_free(&rows);

	if (file_exists(f->folder, "journal.db.bad-1")) {
		char bad[300];
		size_t bad_size;
		void *kept;

		(*ret_renamed)++;
		(void)snprintf(bad, sizeof(bad), "%s.bad-1", f->path);
		kept = file_read(bad, &bad_size);
		assert_int_equal(bad_size, size);
		assert_memory_equal(kept, bytes, size);
		free(kept);
	}
}

static void any_flipped_byte_is_survived(void **state)
{
	struct fixture *f = *state;
	size_t size;
	unsigned char *bytes = make_sound(f, &size);
	int tried = 0, renamed = 0;

	/* The header and the schema byte by byte, then samples of every page. */
	for (size_t i = 0; i < size; i += i < 100 ? 1 : i < 4096 ? 127 : 1021) {
		bytes[i] ^= 0xff;
		check_flipped(f, bytes, size, &renamed);
		bytes[i] ^= 0xff;
		tried++;
	}
	assert_true(tried > 130);
	assert_true(renamed > 20);
	free(bytes);
}

static void files_that_are_no_database_are_begun_anew(void **state)
{
	static const char text[] =
	        "this is a letter, not a database, and it is longer than a header "
	        "of one hundred bytes, so that it could be taken for one";
	struct fixture *f = *state;
	struct rows rows;
	char big[8192];

	memset(big, 0xa5, sizeof(big));
	file_write(f->path, text, sizeof(text));
	journal_close(fixture_open(f, NULL), "test");
	assert_true(file_exists(f->folder, "journal.db.bad-1"));
	file_write(f->path, big, sizeof(big));
	journal_close(fixture_open(f, NULL), "test");
	assert_true(file_exists(f->folder, "journal.db.bad-2"));
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, 3);
	assert_string_equal(rows.row[0].kind, "damaged");
	assert_non_null(strstr(rows.row[0].text, "journal.db.bad-2"));
	rows_free(&rows);
}

static void a_truncated_database_is_begun_anew_or_used(void **state)
{
	struct fixture *f = *state;
	size_t size;
	unsigned char *bytes = make_sound(f, &size);
	int renamed = 0;

	for (size_t cut = 0; cut < size; cut += 1500)
		check_flipped(f, bytes, cut, &renamed);
	assert_true(renamed > 3);
	free(bytes);
}

static void another_programs_database_is_put_aside(void **state)
{
	struct fixture *f = *state;

	fixture_sql(f, "CREATE TABLE event (x); INSERT INTO event VALUES (1)");
	journal_close(fixture_open(f, NULL), "test");
	assert_true(file_exists(f->folder, "journal.db.bad-1"));
}

static void three_bad_files_are_kept(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		file_write(f->path, "garbage that is not a database", 30);
		journal_close(fixture_open(f, NULL), "test");
	}
	assert_false(file_exists(f->folder, "journal.db.bad-1"));
	assert_false(file_exists(f->folder, "journal.db.bad-2"));
	assert_true(file_exists(f->folder, "journal.db.bad-3"));
	assert_true(file_exists(f->folder, "journal.db.bad-4"));
	assert_true(file_exists(f->folder, "journal.db.bad-5"));
}

static void other_names_are_no_bad_files(void **state)
{
	static const char *const names[] = {".bad-",  ".bad-0",    ".bad-1x", ".bad-99999999999",
	                                    ".badly", ".bad-2-wal"};
	struct fixture *f = *state;
	char *moved = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[300];

		(void)snprintf(path, sizeof(path), "%s%s", f->path, names[i]);
		file_write(path, "x", 1);
	}
	file_write(f->path, "x", 1);
	assert_int_equal(journal_move_aside(f->path, &moved, NULL), 0);
	assert_string_equal(moved + strlen(moved) - 6, ".bad-1");
	free(moved);
}

static void the_log_of_a_damaged_database_goes_with_it(void **state)
{
	struct fixture *f = *state;
	struct rows rows;

	assert_int_equal(fixture_run_child("crash", f->path), 0);
	assert_true(file_exists(f->folder, "journal.db-wal"));
	/* The log holds the first page, which would stand for the damaged one: a flipped version
	 * number in it is what SQLite refuses. */
	file_write(f->path, "garbage that is not a database", 30);
	journal_close(fixture_open(f, NULL), "test");
	rows = rows_read(f->path, NULL);
	if (file_exists(f->folder, "journal.db.bad-1"))
		assert_int_equal(rows_count(&rows, "warning"), 0);
	assert_string_equal(rows.row[rows.nr - 1].kind, "close");
	rows_free(&rows);
}

static void damage_while_open_begins_a_new_database(void **state)
{
	struct fixture *f = *state;
	struct journal *j = fixture_open(f, NULL);
	struct rows rows;

	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	fixture_sql(f, "DROP TABLE event");
	journal_event(j, JOURNAL_DONE, 0, "after the damage");
	assert_int_equal(journal_flush(j, PATIENCE_MS), 0);
	journal_close(j, "test");
	assert_true(file_exists(f->folder, "journal.db.bad-1"));
	rows = rows_read(f->path, NULL);
	assert_int_equal(rows.nr, 3);
	assert_string_equal(rows.row[0].kind, "damaged");
	assert_string_equal(rows.row[1].kind, "done");
	assert_string_equal(rows.row[2].kind, "close");
	rows_free(&rows);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        TEST(any_flipped_byte_is_survived),
	        TEST(files_that_are_no_database_are_begun_anew),
	        TEST(a_truncated_database_is_begun_anew_or_used),
	        TEST(another_programs_database_is_put_aside),
	        TEST(three_bad_files_are_kept),
	        TEST(other_names_are_no_bad_files),
	        TEST(the_log_of_a_damaged_database_goes_with_it),
	        TEST(damage_while_open_begins_a_new_database),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child_crash(argv[3]);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
