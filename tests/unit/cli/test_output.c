#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"

static struct control_status sample(void)
{
	struct control_status s = {
	        .name = "disk-01234567",
	        .source = "https://host/disk.raw",
	        .mountpoint = "/mnt",
	        .image = "/mnt/disk.raw",
	        .state_dir = "/state",
	        .destination = "/state/disk.img",
	        .metadata = "/state/metadata",
	        .mode = "rw",
	        .hydration = "running",
	        .source_state = "ok",
	        .digest = "unverified",
	        .version = "0.1.0",
	        .size = UINT64_C(2) << 30,
	        .region_size = 65536,
	        .regions_total = 32768,
	        .regions_hydrated = 16400,
	        .regions_committed = 16384,
	        .regions_hydrating = 7,
	        .bytes_from_source = UINT64_C(3) << 29,
	        .requests = 214,
	        .rate_bytes_per_second = 96 << 20,
	        .eta_seconds = 80,
	        .uptime_seconds = 3725,
	        .pid = 4711,
	        .api_version = 1,
	};

	settings_defaults(65536, &s.settings);
	return s;
}

static char *status_text(const struct control_status *s)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	output_status(out, s);
	(void)fclose(out);
	return text;
}

static void status_says_what_a_person_asks(void **state)
{
	static const char *const parts[] = {
	        "disk-01234567\n",
	        "/mnt/disk.raw, 2.0 GiB (2147483648 bytes)",
	        "https://host/disk.raw (ok)",
	        "[############............] 50.0 % committed",
	        "16400 of 32768 of 64.0 KiB (16384 on disk, 7 under way)",
	        "1.5 GiB in 214 requests",
	        "96.0 MiB/s, 1 min 20 s left",
	        "process 4711, up 1 h 02 min",
	        "hydration_threshold=1024",
	        "log_level=notice",
	};
	struct control_status s = sample();
	char *text = status_text(&s);

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strstr(text, parts[i]))
			fail_msg("'%s' is not in:\n%s", parts[i], text);
	assert_null(strstr(text, "written to"));
	assert_null(strstr(text, "digest"));
	free(text);
}

static void status_says_why_it_does_not_go_on(void **state)
{
	struct control_status s = sample();
	char *text;

	(void)state;
	s.hydration = "waiting";
	strcpy(s.reason, "the source is unreachable");
	s.mode = "ro";
	s.read_only = true;
	s.modified = true;
	s.digest = "mismatch";
	s.eta_seconds = CONTROL_ETA_UNKNOWN;
	text = status_text(&s);
	assert_non_null(strstr(text, "waiting: the source is unreachable\n"));
	assert_non_null(strstr(text, "ro, mounted read-only"));
	assert_non_null(strstr(text, "written to"));
	assert_non_null(strstr(text, "mismatch"));
	assert_null(strstr(text, "left"));
	free(text);
}

static void status_says_once_what_is_wrong_with_the_source(void **state)
{
	static const char why[] = "its ETag was \"a\" and is \"b\" now";
	struct control_status s = sample();
	char *text;

	(void)state;
	s.source_state = "changed";
	strcpy(s.source_reason, why);
	s.hydration = "paused";
	strcpy(s.reason, "no_hydration");
	text = status_text(&s);
	assert_non_null(strstr(text, "  its ETag was \"a\" and is \"b\" now\n"));
	free(text);
	s.hydration = "waiting";
	(void)snprintf(s.reason, sizeof(s.reason), "%s", why);
	text = status_text(&s);
	assert_non_null(strstr(text, "waiting: its ETag was"));
	assert_null(strstr(text, "  its ETag was"));
	free(text);
}

static void terminal_sees_no_control_characters(void **state)
{
	static const char evil[] = "\033]0;owned\007\r\n\x9b";
	struct control_status s = sample();
	const struct control_status *list[] = {&s};
	char *text = NULL;
	size_t size;
	FILE *out;

	(void)state;
	s.source = s.image = s.mountpoint = s.hydration = s.mode = s.version = evil;
	strcpy(s.reason, evil);
	strcpy(s.source_reason, "\033[2J");
	out = open_memstream(&text, &size);
	output_status(out, &s);
	output_list(out, list, 1);
	(void)fclose(out);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\007'));
	assert_null(strchr(text, '\r'));
	assert_null(strchr(text, '\x9b'));
	free(text);
}

static void list_has_a_line_for_each(void **state)
{
	struct control_status one = sample();
	struct control_status two = sample();
	const struct control_status *list[] = {&one, &two};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *first_line, *second_line;

	(void)state;
	two.name = "a-much-longer-name-89abcdef";
	output_list(out, list, 2);
	(void)fclose(out);
	first_line = strchr(text, '\n') + 1;
	second_line = strchr(first_line, '\n') + 1;
	assert_int_equal(strncmp(text, "NAME ", 5), 0);
	/* Columns are aligned. */
	assert_int_equal(strstr(first_line, "rw") - first_line,
	                 strstr(second_line, "rw") - second_line);
	assert_non_null(strstr(second_line, " 50.0 %"));
	assert_string_equal(strchr(second_line, '\n'), "\n");
	free(text);
}

static void percent_is_100_only_when_all_is_there(void **state)
{
	static const struct {
		uint64_t regions, total;
		const char *shown;
	} rows[] = {
	        {0, 1, "0.0"},
	        {1, 1, "100.0"},
	        {1, 3, "33.3"},
	        {2147483647, UINT64_C(2147483648), "99.9"},
	        {UINT64_C(2147483648), UINT64_C(2147483648), "100.0"},
	        {999, 1000, "99.9"},
	        {9999, 10000, "99.9"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%.1f",
		               output_percent(rows[i].regions, rows[i].total));
		assert_string_equal(text, rows[i].shown);
	}
}

static void durations_are_short(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *shown;
	} rows[] = {
	        {0, "0 s"},
	        {59, "59 s"},
	        {60, "1 min 00 s"},
	        {3599, "59 min 59 s"},
	        {3600, "1 h 00 min"},
	        {172799, "47 h 59 min"},
	        {172800, "2 days 0 h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[64];

		assert_string_equal(output_duration(rows[i].seconds, text, sizeof(text)),
		                    rows[i].shown);
	}
}

static void progress_fits_a_terminal(void **state)
{
	struct control_status s = sample();
	char line[PROGRESS_LINE_MAX];

	(void)state;
	assert_string_equal(
	        progress_line(&s, line),
	        "[###############...............]  50.0 %  96.0 MiB/s  1 min 20 s left");
	s.regions_committed = s.regions_total;
	s.rate_bytes_per_second = UINT64_C(1023) << 20;
	s.eta_seconds = 47 * 3600;
	assert_true(strlen(progress_line(&s, line)) <= 79);
	s.eta_seconds = CONTROL_ETA_UNKNOWN;
	s.hydration = "a word that no daemon of ours would ever say";
	assert_true(strlen(progress_line(&s, line)) <= 79);
	s.rate_bytes_per_second = UINT64_MAX;
	s.eta_seconds = UINT64_MAX - 1;
	assert_true(strlen(progress_line(&s, line)) < PROGRESS_LINE_MAX - 1);
}

static void obstacles_are_named(void **state)
{
	struct control_status s = sample();

	(void)state;
	assert_string_equal(progress_obstacle(&s), "");
	s.hydration = "paused";
	assert_string_equal(progress_obstacle(&s), "paused");
	strcpy(s.reason, "clonectl pause");
	assert_string_equal(progress_obstacle(&s), "clonectl pause");
	s.regions_committed = s.regions_total;
	assert_string_equal(progress_obstacle(&s), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(status_says_what_a_person_asks),
	        cmocka_unit_test(status_says_why_it_does_not_go_on),
	        cmocka_unit_test(status_says_once_what_is_wrong_with_the_source),
	        cmocka_unit_test(terminal_sees_no_control_characters),
	        cmocka_unit_test(list_has_a_line_for_each),
	        cmocka_unit_test(percent_is_100_only_when_all_is_there),
	        cmocka_unit_test(durations_are_short),
	        cmocka_unit_test(progress_fits_a_terminal),
	        cmocka_unit_test(obstacles_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
