#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/control/settings.h"

static void defaults_follow_the_region_size(void **state)
{
	static const struct {
		uint64_t region_size, threshold, batch;
	} rows[] = {
	        {4096, 16384, 2048}, {65536, 1024, 128},        {8 << 20, 8, 1},
	        {64 << 20, 1, 1},    {UINT64_C(1) << 30, 1, 1},
	};
	struct settings s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		settings_defaults(rows[i].region_size, &s);
		assert_int_equal(s.hydration_threshold, rows[i].threshold);
		assert_int_equal(s.hydration_batch_size, rows[i].batch);
	}
	assert_int_equal(s.background_rate, 0);
	assert_int_equal(s.timeout_ms, 30000);
	assert_int_equal(s.stop_timeout_ms, 20000);
	assert_int_equal(s.on_source_error, SETTINGS_ON_ERROR_EIO);
	assert_int_equal(s.log_level, LOG_LEVEL_NOTICE);
	assert_in_range(s.max_connections, 1, 256);
}

/* Each value as given, and as it is shown afterwards; both must mean the same. */
static void values_are_read_and_shown(void **state)
{
	static const struct {
		const char *name, *given, *shown;
	} rows[] = {
	        {"hydration_threshold", "0", "0"},
	        {"hydration_threshold", "4294967295", "4294967295"},
	        {"hydration_batch_size", "0128", "128"},
	        {"background_rate", "0", "0"},
	        {"background_rate", "1023", "1023"},
	        {"background_rate", "1024", "1K"},
	        {"background_rate", "10M", "10M"},
	        {"background_rate", "2048M", "2G"},
	        {"background_rate", "1T", "1T"},
	        {"background_rate", "4096T", "4096T"},
	        {"background_rate", "18446744073709551615", "18446744073709551615"},
	        {"max_connections", "1", "1"},
	        {"max_connections", "256", "256"},
	        {"timeout", "30", "30s"},
	        {"timeout", "1ms", "1ms"},
	        {"timeout", "1500ms", "1500ms"},
	        {"timeout", "120s", "2m"},
	        {"timeout", "90s", "90s"},
	        {"timeout", "60m", "1h"},
	        {"stop_timeout", "0", "0s"},
	        {"stop_timeout", "20000ms", "20s"},
	        {"on_source_error", "eio", "eio"},
	        {"on_source_error", "wait", "wait"},
	        {"on_source_error", "wait:0", "wait:0s"},
	        {"on_source_error", "wait:120", "wait:2m"},
	        {"log_level", "error", "error"},
	        {"log_level", "debug", "debug"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings_patch patch = {0};
		struct settings_patch again = {0};
		struct settings one, two;
		char text[SETTING_TEXT_MAX];
		enum setting setting;

		settings_defaults(65536, &one);
		two = one;
		assert_true(setting_find(rows[i].name, &setting));
		assert_int_equal(settings_patch_add(&patch, rows[i].name, rows[i].given, NULL), 0);
		settings_patch_apply(&patch, &one);
		assert_string_equal(setting_format(&one, setting, text), rows[i].shown);
		assert_int_equal(settings_patch_add(&again, rows[i].name, text, NULL), 0);
		settings_patch_apply(&again, &two);
		assert_string_equal(setting_format(&two, setting, text), rows[i].shown);
	}
}

static void wrong_values_are_refused_and_change_nothing(void **state)
{
	static const struct {
		const char *name, *given;
		int code;
	} rows[] = {
	        {"hydration_threshold", "4294967296", -ERANGE},
	        {"hydration_threshold", "-1", -EINVAL},
	        {"hydration_threshold", "1K", -EINVAL},
	        {"hydration_threshold", "", -EINVAL},
	        {"hydration_batch_size", "0x10", -EINVAL},
	        {"hydration_batch_size", "99999999999999999999", -ERANGE},
	        {"background_rate", "1k", -EINVAL},
	        {"background_rate", "1.5M", -EINVAL},
	        {"background_rate", " 1M", -EINVAL},
	        {"background_rate", "16777216T", -ERANGE},
	        {"max_connections", "0", -ERANGE},
	        {"max_connections", "257", -ERANGE},
	        {"timeout", "0", -ERANGE},
	        {"timeout", "0ms", -ERANGE},
	        {"timeout", "30 s", -EINVAL},
	        {"timeout", "5124095577h", -ERANGE},
	        {"stop_timeout", "forever", -EINVAL},
	        {"on_source_error", "EIO", -EINVAL},
	        {"on_source_error", "wait:", -EINVAL},
	        {"on_source_error", "wait:x", -EINVAL},
	        {"on_source_error", "waiting", -EINVAL},
	        {"log_level", "verbose", -EINVAL},
	        {"log_levels", "debug", -ENOENT},
	        {"region_size", "64K", -ENOENT},
	        {"", "", -ENOENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings_patch patch = {0};
		struct settings_patch before;
		struct cf_error err = {0};

		assert_int_equal(settings_patch_add(&patch, "timeout", "5s", NULL), 0);
		assert_int_equal(settings_patch_add(&patch, "on_source_error", "wait:7", NULL), 0);
		memcpy(&before, &patch, sizeof(patch));
		assert_int_equal(settings_patch_add(&patch, rows[i].name, rows[i].given, &err),
		                 rows[i].code);
		assert_memory_equal(&patch, &before, sizeof(patch));
		assert_int_equal(err.code, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].name));
		if (rows[i].code != -ENOENT)
			assert_non_null(strstr(err.text, "expected"));
	}
}

static void later_value_wins_and_others_stay(void **state)
{
	struct settings_patch patch = {0};
	struct settings s;
	char text[SETTING_TEXT_MAX];

	(void)state;
	settings_defaults(65536, &s);
	s.max_connections = 77;
	assert_int_equal(settings_patch_add(&patch, "on_source_error", "wait:7", NULL), 0);
	assert_int_equal(settings_patch_add(&patch, "on_source_error", "wait", NULL), 0);
	assert_int_equal(settings_patch_add(&patch, "timeout", "1", NULL), 0);
	assert_int_equal(settings_patch_add(&patch, "timeout", "9", NULL), 0);
	settings_patch_apply(&patch, &s);
	assert_int_equal(s.timeout_ms, 9000);
	assert_int_equal(s.wait_ms, 0);
	assert_string_equal(setting_format(&s, SETTING_ON_SOURCE_ERROR, text), "wait");
	assert_int_equal(s.max_connections, 77);
	assert_int_equal(s.hydration_threshold, 1024);
}

static void every_setting_has_its_own_name_and_field(void **state)
{
	static const char *const values[NR_SETTINGS] = {"11",  "12",  "13",       "14",
	                                                "15s", "16s", "wait:17s", "info"};
	struct settings_patch patch = {0};
	struct settings s = {0};
	char text[SETTING_TEXT_MAX];

	(void)state;
	for (int i = 0; i < NR_SETTINGS; i++) {
		enum setting found;

		assert_true(setting_find(setting_name((enum setting)i), &found));
		assert_int_equal(found, i);
		assert_int_equal(
		        settings_patch_add(&patch, setting_name((enum setting)i), values[i], NULL),
		        0);
	}
	settings_patch_apply(&patch, &s);
	for (int i = 0; i < NR_SETTINGS; i++)
		assert_string_equal(setting_format(&s, (enum setting)i, text), values[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(defaults_follow_the_region_size),
	        cmocka_unit_test(values_are_read_and_shown),
	        cmocka_unit_test(wrong_values_are_refused_and_change_nothing),
	        cmocka_unit_test(later_value_wins_and_others_stay),
	        cmocka_unit_test(every_setting_has_its_own_name_and_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
