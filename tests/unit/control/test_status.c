#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "core/control/status.h"

static struct control_status sample(void)
{
	struct control_status s = {
	        .name = "disk-01234567",
	        .source = "https://host/disk.raw?...",
	        .mountpoint = "/mnt",
	        .image = "/mnt/disk.raw",
	        .state_dir = "/var/lib/clonefs/disk-01234567",
	        .destination = "/var/lib/clonefs/disk-01234567/disk.img",
	        .metadata = "/var/lib/clonefs/disk-01234567/metadata",
	        .mode = "rw",
	        .hydration = "waiting",
	        .source_state = "unreachable",
	        .digest = "unverified",
	        .version = "0.1.0",
	        .reason = "the source is unreachable",
	        .source_reason = "no such host",
	        .size = 1001,
	        .region_size = 4096,
	        .regions_total = 1003,
	        .regions_hydrated = 1002,
	        .regions_committed = 1000,
	        .regions_hydrating = 1004,
	        .metadata_blocks_used = 1005,
	        .metadata_blocks_total = 1006,
	        .bytes_from_source = 1007,
	        .requests = 1008,
	        .rate_bytes_per_second = 1009,
	        .eta_seconds = 1010,
	        .uptime_seconds = 1011,
	        .pid = 1012,
	        .api_version = 1,
	        .read_only = true,
	        .modified = false,
	        .digest_expected = true,
	};

	settings_defaults(65536, &s.settings);
	s.settings.hydration_threshold = 1013;
	s.settings.hydration_batch_size = 1014;
	return s;
}

/* Names and types are a promise to others' programs: written out here a second time. */
static void json_has_every_promised_field(void **state)
{
	static const char expected[] =
	        "{\"name\":\"disk-01234567\",\"source\":\"https://host/disk.raw?...\","
	        "\"mountpoint\":\"/mnt\",\"image\":\"/mnt/disk.raw\","
	        "\"state_dir\":\"/var/lib/clonefs/disk-01234567\","
	        "\"destination\":\"/var/lib/clonefs/disk-01234567/disk.img\","
	        "\"metadata\":\"/var/lib/clonefs/disk-01234567/metadata\",\"mode\":\"rw\","
	        "\"hydration\":\"waiting\",\"reason\":\"the source is unreachable\","
	        "\"source_state\":\"unreachable\",\"source_reason\":\"no such host\","
	        "\"digest\":\"unverified\",\"version\":\"0.1.0\","
	        "\"size\":1001,\"region_size\":4096,\"regions_total\":1003,"
	        "\"regions_hydrated\":1002,\"regions_committed\":1000,\"regions_hydrating\":1004,"
	        "\"hydration_threshold\":1013,\"hydration_batch_size\":1014,"
	        "\"metadata_blocks_used\":1005,\"metadata_blocks_total\":1006,"
	        "\"bytes_from_source\":1007,\"requests\":1008,\"rate_bytes_per_second\":1009,"
	        "\"eta_seconds\":1010,\"uptime_seconds\":1011,\"pid\":1012,\"api_version\":1,"
	        "\"read_only\":true,\"modified\":false,\"digest_expected\":true,\"settings\":{"
	        "\"hydration_threshold\":\"1013\",\"hydration_batch_size\":\"1014\","
	        "\"background_rate\":\"0\",\"max_connections\":\"16\",\"timeout\":\"30s\","
	        "\"stop_timeout\":\"20s\",\"on_source_error\":\"eio\",\"log_level\":\"notice\"}}";
	struct control_status s = sample();
	json_t *object = control_status_to_json(&s);
	json_t *wanted = json_loads(expected, 0, NULL);

	(void)state;
	assert_non_null(object);
	assert_non_null(wanted);
	assert_true(json_equal(object, wanted));
	json_decref(object);
	json_decref(wanted);
}

static void reason_and_eta_can_be_null(void **state)
{
	struct control_status s = sample();
	struct control_status back;
	json_t *object;

	(void)state;
	s.reason[0] = '\0';
	s.eta_seconds = CONTROL_ETA_UNKNOWN;
	object = control_status_to_json(&s);
	assert_true(json_is_null(json_object_get(object, "reason")));
	assert_true(json_is_null(json_object_get(object, "eta_seconds")));
	assert_int_equal(control_status_from_json(object, &back, NULL), 0);
	assert_string_equal(back.reason, "");
	assert_true(back.eta_seconds == CONTROL_ETA_UNKNOWN);
	control_status_fini(&back);
	json_decref(object);
}

static void round_trip_keeps_everything(void **state)
{
	struct control_status s = sample();
	json_t *object = control_status_to_json(&s);
	struct control_status back;
	json_t *again;

	(void)state;
	assert_int_equal(control_status_from_json(object, &back, NULL), 0);
	again = control_status_to_json(&back);
	assert_true(json_equal(object, again));
	json_decref(again);
	json_decref(object);
	/* The strings live in the document, whoever else has let go of it. */
	assert_string_equal(back.name, "disk-01234567");
	control_status_fini(&back);
	control_status_fini(&back);
}

static void paths_that_are_no_utf8_are_shown_all_the_same(void **state)
{
	static const struct {
		const char *given, *shown;
	} rows[] = {
	        {"/mnt/\xff\xfe", "/mnt/\xef\xbf\xbd\xef\xbf\xbd"},
	        {"/mnt/\xc3\xa4", "/mnt/\xc3\xa4"},
	        {"/mnt/\xc3", "/mnt/\xef\xbf\xbd"},
	        {"/mnt/\xed\xa0\x80", "/mnt/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	        {"/mnt/\xc0\xaf", "/mnt/\xef\xbf\xbd\xef\xbf\xbd"},
	        {"/mnt/\xf0\x9f\x92\xbe", "/mnt/\xf0\x9f\x92\xbe"},
	        {"/mnt/\xf4\x90\x80\x80", "/mnt/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	        {"/a\n\"b\\", "/a\n\"b\\"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct control_status s = sample();
		json_t *object;

		s.mountpoint = rows[i].given;
		object = control_status_to_json(&s);
		assert_non_null(object);
		assert_string_equal(json_string_value(json_object_get(object, "mountpoint")),
		                    rows[i].shown);
		json_decref(object);
	}
}

static void huge_counts_do_not_become_negative(void **state)
{
	struct control_status s = sample();
	json_t *object;

	(void)state;
	s.bytes_from_source = UINT64_MAX;
	object = control_status_to_json(&s);
	assert_true(json_integer_value(json_object_get(object, "bytes_from_source")) == INT64_MAX);
	json_decref(object);
}

/* Every field in turn is missing, and of every other type. */
static void hostile_fields_are_refused(void **state)
{
	struct control_status s = sample();
	json_t *good = control_status_to_json(&s);
	json_t *wrong[] = {json_null(),      json_true(),  json_integer(-1), json_real(1.5),
	                   json_string("x"), json_array(), json_object(),    json_integer(1)};
	const char *name;
	json_t *value;

	(void)state;
	json_object_foreach (good, name, value) {
		struct control_status back;
		struct cf_error err;
		json_t *bad = json_copy(good);

		(void)json_object_del(bad, name);
		/* Younger than the API's version. */
		if (strcmp(name, "source_reason") != 0) {
			assert_int_equal(control_status_from_json(bad, &back, &err), -EUCLEAN);
			assert_non_null(strstr(err.text, name));
		}
		json_decref(bad);
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			/* Of the right type, or a null that may be one. */
			if (json_typeof(wrong[i]) == json_typeof(value) &&
			    !(json_is_integer(value) && json_integer_value(wrong[i]) < 0))
				continue;
			if (json_is_boolean(wrong[i]) && json_is_boolean(value))
				continue;
			if (json_is_null(wrong[i]) &&
			    (strcmp(name, "reason") == 0 || strcmp(name, "eta_seconds") == 0))
				continue;
			bad = json_copy(good);
			(void)json_object_set(bad, name, wrong[i]);
			assert_int_equal(control_status_from_json(bad, &back, &err), -EUCLEAN);
			json_decref(bad);
		}
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		json_decref(wrong[i]);
	json_decref(good);
}

static void impossible_numbers_are_refused(void **state)
{
	static const struct {
		const char *name;
		json_int_t value;
	} rows[] = {{"size", 0},
	            {"region_size", 0},
	            {"regions_total", 0},
	            {"regions_hydrated", 1004},
	            {"regions_committed", 1004}};
	struct control_status s = sample();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *object = control_status_to_json(&s);
		struct control_status back;

		(void)json_object_set_new(object, rows[i].name, json_integer(rows[i].value));
		assert_int_equal(control_status_from_json(object, &back, NULL), -EUCLEAN);
		json_decref(object);
	}
}

static void fields_and_settings_of_newer_versions_are_ignored(void **state)
{
	struct control_status s = sample();
	json_t *object = control_status_to_json(&s);
	struct control_status back;

	(void)state;
	(void)json_object_set_new(object, "colour", json_string("red"));
	(void)json_object_set_new(json_object_get(object, "settings"), "colour", json_true());
	assert_int_equal(control_status_from_json(object, &back, NULL), 0);
	control_status_fini(&back);
	json_decref(object);
}

static void a_daemon_without_source_reason_is_understood(void **state)
{
	struct control_status s = sample();
	json_t *object = control_status_to_json(&s);
	struct control_status back;

	(void)state;
	(void)json_object_del(object, "source_reason");
	assert_int_equal(control_status_from_json(object, &back, NULL), 0);
	assert_string_equal(back.source_reason, "");
	control_status_fini(&back);
	json_decref(object);
}

static void endless_reason_is_cut(void **state)
{
	struct control_status s = sample();
	json_t *object = control_status_to_json(&s);
	struct control_status back;
	char *longer = test_malloc(10000);

	(void)state;
	memset(longer, 'a', 9999);
	longer[9999] = '\0';
	(void)json_object_set_new(object, "reason", json_string(longer));
	(void)json_object_set_new(object, "source_reason", json_string(longer));
	assert_int_equal(control_status_from_json(object, &back, NULL), 0);
	assert_int_equal(strlen(back.reason), CONTROL_REASON_MAX - 1);
	assert_int_equal(strlen(back.source_reason), CONTROL_REASON_MAX - 1);
	control_status_fini(&back);
	json_decref(object);
	test_free(longer);
}

static void complete_means_committed(void **state)
{
	struct control_status s = sample();

	(void)state;
	s.regions_hydrated = s.regions_total;
	assert_false(control_status_is_complete(&s));
	s.regions_committed = s.regions_total;
	assert_true(control_status_is_complete(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(json_has_every_promised_field),
	        cmocka_unit_test(reason_and_eta_can_be_null),
	        cmocka_unit_test(round_trip_keeps_everything),
	        cmocka_unit_test(paths_that_are_no_utf8_are_shown_all_the_same),
	        cmocka_unit_test(huge_counts_do_not_become_negative),
	        cmocka_unit_test(hostile_fields_are_refused),
	        cmocka_unit_test(impossible_numbers_are_refused),
	        cmocka_unit_test(fields_and_settings_of_newer_versions_are_ignored),
	        cmocka_unit_test(a_daemon_without_source_reason_is_understood),
	        cmocka_unit_test(endless_reason_is_cut),
	        cmocka_unit_test(complete_means_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
