#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "core/control/message.h"

static int parse(const char *text, json_t **ret_object)
{
	return control_parse_object(text, strlen(text), ret_object, NULL);
}

static void only_one_whole_object_is_json(void **state)
{
	static const char *const bad[] = {
	        "",
	        " ",
	        "{",
	        "{}}",
	        "{} {}",
	        "[]",
	        "null",
	        "1",
	        "\"a\"",
	        "{\"a\":1,\"a\":2}",
	        "{'a':1}",
	        "{\"a\":}",
	        "{\"a\":NaN}",
	        "{\"a\":\"\\u0000\"}",
	        "{\"a\":\"\xff\"}",
	        "{\"a\":1e999}",
	        "{\"a\":99999999999999999999}",
	};
	json_t *object = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cf_error err = {0};

		assert_int_equal(control_parse_object(bad[i], strlen(bad[i]), &object, &err),
		                 -EUCLEAN);
		assert_int_equal(err.code, -EUCLEAN);
		assert_null(object);
	}
	assert_int_equal(control_parse_object("{}\0", 3, &object, NULL), -EUCLEAN);
	assert_int_equal(parse(" {\"a\": {}} \n", &object), 0);
	json_decref(object);
}

static void deep_nesting_does_not_exhaust_the_stack(void **state)
{
	char text[CONTROL_REQUEST_MAX];
	json_t *object = NULL;

	(void)state;
	memset(text, '[', sizeof(text));
	memcpy(text, "{\"a\":", 5);
	assert_int_equal(control_parse_object(text, sizeof(text), &object, NULL), -EUCLEAN);
}

static void errors_carry_a_sentence(void **state)
{
	json_t *object = control_error_to_json("no \"such\" \xff");
	json_t *other = json_pack("{s:i}", "error", 1);

	(void)state;
	assert_string_equal(control_error_sentence(object), "no \"such\" \xef\xbf\xbd");
	assert_null(control_error_sentence(other));
	json_decref(object);
	json_decref(other);
	object = json_array();
	assert_null(control_error_sentence(object));
	json_decref(object);
}

static void patches_are_all_or_none(void **state)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
	        {"{}", -EINVAL},
	        {"{\"timeout\":\"1\",\"colour\":\"red\"}", -ENOENT},
	        {"{\"timeout\":\"1\",\"max_connections\":\"0\"}", -ERANGE},
	        {"{\"timeout\":true}", -EUCLEAN},
	        {"{\"timeout\":null}", -EUCLEAN},
	        {"{\"timeout\":-1}", -EUCLEAN},
	        {"{\"timeout\":1.5}", -EUCLEAN},
	        {"{\"timeout\":[]}", -EUCLEAN},
	        {"{\"timeout\":{}}", -EUCLEAN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings_patch patch = {0};
		struct settings_patch untouched = {0};
		struct cf_error err = {0};
		json_t *object;

		assert_int_equal(parse(rows[i].text, &object), 0);
		assert_int_equal(control_patch_from_json(object, &patch, &err), rows[i].code);
		assert_true(err.text[0]);
		assert_memory_equal(&patch, &untouched, sizeof(patch));
		json_decref(object);
	}
}

static void numbers_do_for_settings_too(void **state)
{
	struct settings_patch patch;
	json_t *object;

	(void)state;
	assert_int_equal(parse("{\"max_connections\":7,\"timeout\":\"2m\"}", &object), 0);
	assert_int_equal(control_patch_from_json(object, &patch, NULL), 0);
	assert_int_equal(patch.values.max_connections, 7);
	assert_int_equal(patch.values.timeout_ms, 120000);
	assert_false(patch.given[SETTING_LOG_LEVEL]);
	json_decref(object);
}

static void change_shows_old_and_new(void **state)
{
	struct settings_patch patch = {0};
	struct settings old, settings;
	json_t *object, *changed;
	const char *before, *after;

	(void)state;
	settings_defaults(65536, &old);
	settings = old;
	assert_int_equal(settings_patch_add(&patch, "timeout", "5", NULL), 0);
	settings_patch_apply(&patch, &settings);
	object = control_change_to_json(&patch, &old, &settings);
	changed = json_object_get(object, "changed");
	assert_int_equal(json_object_size(changed), 1);
	assert_int_equal(
	        json_unpack(changed, "{s:{s:s,s:s}}", "timeout", "old", &before, "new", &after), 0);
	assert_string_equal(before, "30s");
	assert_string_equal(after, "5s");
	assert_int_equal(json_object_size(json_object_get(object, "settings")), NR_SETTINGS);
	json_decref(object);
}

static void dmsetup_takes_noflush_only(void **state)
{
	static const struct {
		const char *text;
		int code;
		bool noflush;
	} rows[] = {
	        {"{}", 0, false},
	        {"{\"noflush\":true}", 0, true},
	        {"{\"noflush\":false}", 0, false},
	        {"{\"noflush\":1}", -EUCLEAN, false},
	        {"{\"noflush\":null}", -EUCLEAN, false},
	        {"{\"flush\":true}", -EUCLEAN, false},
	        {"{\"noflush\":true,\"x\":1}", -EUCLEAN, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool noflush = !rows[i].noflush;
		json_t *object;

		assert_int_equal(parse(rows[i].text, &object), 0);
		assert_int_equal(control_dmsetup_from_json(object, &noflush, NULL), rows[i].code);
		if (rows[i].code == 0)
			assert_int_equal(noflush, rows[i].noflush);
		json_decref(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_one_whole_object_is_json),
	        cmocka_unit_test(deep_nesting_does_not_exhaust_the_stack),
	        cmocka_unit_test(errors_carry_a_sentence),
	        cmocka_unit_test(patches_are_all_or_none),
	        cmocka_unit_test(numbers_do_for_settings_too),
	        cmocka_unit_test(change_shows_old_and_new),
	        cmocka_unit_test(dmsetup_takes_noflush_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
