#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"
#include "core/journal/journal_read.h"
#include "daemon/history.h"
#include "daemon/warnings.h"

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/history-test.XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/journal.db", folder);
	return 0;
}

static int remove_folder(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	(void)state;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char name[128];

		(void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		(void)unlink(name);
	}
	(void)rmdir(path);
	return rmdir(folder);
}

/* Each row as "kind[value]=text;", of those that last also whether they still do. */
static int append_row(void *user, const struct journal_row *row)
{
	char text[400];

	if (strcmp(row->kind, "open") == 0 || strcmp(row->kind, "close") == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%s%s[%lld]=%.200s;", row->kind,
	               row->lasting ? "..." : "", (long long)row->value, row->text);
	(void)strncat(user, text, 1000 - strlen(user));
	return 0;
}

static void assert_rows(struct journal *journal, const char *expected)
{
	static const struct journal_filter all;
	char rows[1001] = "";

	assert_int_equal(journal_flush(journal, 60000), 0);
	assert_int_equal(journal_read(path, &all, append_row, rows, NULL), 0);
	assert_string_equal(rows, expected);
	journal_close(journal, "test");
}

static void each_event_of_the_image_becomes_its_row(void **state)
{
	static const struct {
		struct image_event event;
		const char *rows;
	} cases[] = {
	        {{IMAGE_EVENT_OUTAGE_BEGIN, 0, "refused"}, "outage...[0]=refused;"},
	        {{IMAGE_EVENT_SOURCE_CHANGED, 0, "etag"}, "source_changed...[0]=etag;"},
	        {{IMAGE_EVENT_MODE, IMAGE_RO, "EIO"}, "mode[1]=ro: EIO;"},
	        {{IMAGE_EVENT_LOST, 3, "1-3"}, "lost[3]=1-3;"},
	        {{IMAGE_EVENT_NOT_KEPT, 2, "4, 9"}, "lost[2]=4, 9;"},
	        {{IMAGE_EVENT_PAUSED, 0, ""}, "pause[0]=;"},
	        {{IMAGE_EVENT_RESUMED, 0, ""}, "resume[0]=;"},
	        {{IMAGE_EVENT_MILESTONE, 99, ""}, "milestone[99]=;"},
	        {{IMAGE_EVENT_MILESTONE, 100, ""}, "milestone[100]=;done[0]=;"},
	        {{IMAGE_EVENT_NO_SPACE_BEGIN, 0, "full"}, "no_space...[0]=full;"},
	        {{IMAGE_EVENT_OUTAGE_END, 5, ""}, ""},
	        {{IMAGE_EVENT_SOURCE_BACK, 0, ""}, ""},
	        {{IMAGE_EVENT_NO_SPACE_END, 0, ""}, ""},
	        {{IMAGE_EVENT_NO_SHARING, 0, "why"}, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct journal *journal = history_open(folder, "test", "https://host/disk.raw");

		assert_non_null(journal);
		history_event(journal, &cases[i].event);
		assert_rows(journal, cases[i].rows);
		(void)remove_folder(state);
		(void)make_folder(state);
	}
}

static void a_digest_is_one_row(void **state)
{
	struct journal *journal = history_open(folder, "test", "source");

	(void)state;
	history_digest(journal, DIGEST_MISMATCH, "found 1, expected 2");
	history_digest(NULL, DIGEST_OK, "");
	assert_rows(journal, "digest[0]=mismatch: found 1, expected 2;");
}

static void what_the_mount_found_begins_an_episode(void **state)
{
	static const struct {
		enum image_source_state found;
		const char *rows;
	} cases[] = {
	        {SOURCE_STATE_OK, ""},
	        {SOURCE_STATE_UNUSED, ""},
	        {SOURCE_STATE_UNREACHABLE, "outage...[0]=why;"},
	        {SOURCE_STATE_CHANGED, "source_changed...[0]=why;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct journal *journal = history_open(folder, "test", "source");

		history_source(journal, cases[i].found, "why");
		assert_rows(journal, cases[i].rows);
		(void)remove_folder(state);
		(void)make_folder(state);
	}
}

static void warnings_wait_for_the_journal(void **state)
{
	struct warnings warnings = {.nr = 0};
	struct journal *journal;

	(void)state;
	for (int i = 0; i <= WARNINGS_MAX; i++)
		warnings_say(&warnings, "number %d", i);
	assert_int_equal(warnings.nr, WARNINGS_MAX);
	assert_string_equal(warnings.texts[0], "number 0");
	warnings_fini(&warnings);
	warnings_say(&warnings, "one");
	warnings_say(&warnings, "two");
	journal = history_open(folder, "test", "source");
	warnings_note(&warnings, journal);
	warnings_note(&warnings, journal);
	assert_rows(journal, "warning[0]=one;warning[0]=two;");
}

static void an_episode_ends_with_its_own_end(void **state)
{
	static const struct image_event events[] = {
	        {IMAGE_EVENT_OUTAGE_BEGIN, 0, "a"},   {IMAGE_EVENT_NO_SPACE_BEGIN, 0, "b"},
	        {IMAGE_EVENT_SOURCE_CHANGED, 0, "c"}, {IMAGE_EVENT_NO_SPACE_END, 0, ""},
	        {IMAGE_EVENT_OUTAGE_END, 0, ""},
	};
	struct journal *journal = history_open(folder, "test", "source");

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		history_event(journal, &events[i]);
	assert_rows(journal, "outage[0]=a;no_space[0]=b;source_changed...[0]=c;");
}

static void only_settings_that_differ_are_noted(void **state)
{
	struct journal *journal = history_open(folder, "test", "source");
	struct settings old, settings;

	(void)state;
	settings_defaults(65536, &old);
	settings = old;
	history_settings(journal, &old, &settings);
	settings.timeout_ms = 5000;
	settings.background_rate = 20u << 20;
	history_settings(journal, &old, &settings);
	assert_rows(journal, "setting[0]=background_rate=20M;setting[0]=timeout=5s;");
}

static void a_journal_that_cannot_be_had_is_none(void **state)
{
	static const struct image_event event = {IMAGE_EVENT_PAUSED, 0, ""};

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_null(history_open(folder, "test", "source"));
	history_event(NULL, &event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
	        TEST(each_event_of_the_image_becomes_its_row),
	        TEST(a_digest_is_one_row),
	        TEST(what_the_mount_found_begins_an_episode),
	        TEST(warnings_wait_for_the_journal),
	        TEST(an_episode_ends_with_its_own_end),
	        TEST(only_settings_that_differ_are_noted),
	        TEST(a_journal_that_cannot_be_had_is_none),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
