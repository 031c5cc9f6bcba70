#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "core/control/message.h"
#include "fake_clone.h"
#include "http_client.h"

#define LONG_MS UINT64_C(600000)

static json_t *json_of(const struct reply *reply)
{
	json_t *object = NULL;

	assert_int_equal(control_parse_object(reply->body, reply->length, &object, NULL), 0);
	assert_string_equal(reply->type, "application/json");
	return object;
}

static void assert_error(const struct reply *reply, long status, const char *part)
{
	json_t *object = json_of(reply);

	assert_int_equal(reply->status, status);
	assert_non_null(control_error_sentence(object));
	assert_non_null(strstr(control_error_sentence(object), part));
	json_decref(object);
}

static void assert_is_status(const struct reply *reply)
{
	json_t *object = json_of(reply);
	struct control_status status;

	assert_int_equal(reply->status, 200);
	assert_int_equal(control_status_from_json(object, &status, NULL), 0);
	assert_string_equal(status.name, "fake");
	control_status_fini(&status);
	json_decref(object);
}

static void status_and_resume_answer_at_once(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	http_request(clone.socket_path, "GET", "/v1/status", NULL, &reply);
	assert_is_status(&reply);
	http_request(clone.socket_path, "POST", "/v1/resume", "", &reply);
	assert_is_status(&reply);
	http_request(clone.socket_path, "POST", "/v1/resume", "{}", &reply);
	assert_is_status(&reply);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 2);
	fake_clone_end(&clone);
}

static void settings_are_applied_all_or_none(void **state)
{
	struct settings settings;
	struct fake_clone clone;
	struct reply reply;
	const char *old, *new;
	json_t *object;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	http_request(clone.socket_path, "POST", "/v1/settings",
	             "{\"timeout\":\"5\",\"log_level\":\"loud\"}", &reply);
	assert_error(&reply, 400, "log_level");
	http_request(clone.socket_path, "POST", "/v1/settings", "{\"region_size\":\"64K\"}",
	             &reply);
	assert_error(&reply, 400, "region_size");
	http_request(clone.socket_path, "POST", "/v1/settings", "", &reply);
	assert_error(&reply, 400, "no setting");
	assert_int_equal(fake_clone_count(&clone, &clone.nr_sets), 0);

	http_request(clone.socket_path, "POST", "/v1/settings",
	             "{\"timeout\":\"5\",\"max_connections\":3}", &reply);
	assert_int_equal(reply.status, 200);
	object = json_of(&reply);
	assert_int_equal(json_unpack(object, "{s:{s:{s:s,s:s}}}", "changed", "timeout", "old", &old,
	                             "new", &new),
	                 0);
	assert_string_equal(old, "30s");
	assert_string_equal(new, "5s");
	json_decref(object);
	fake_clone_settings(&clone, &settings);
	assert_int_equal(settings.timeout_ms, 5000);
	assert_int_equal(settings.max_connections, 3);

	fake_clone_refuse_settings(&clone);
	http_request(clone.socket_path, "POST", "/v1/settings", "{\"timeout\":\"6\"}", &reply);
	assert_error(&reply, 409, "not today");
	fake_clone_end(&clone);
}

static void what_is_not_there_is_refused(void **state)
{
	static const struct {
		const char *method, *path, *body;
		long status;
		const char *allow;
	} rows[] = {
	        {"GET", "/", NULL, 404, ""},
	        {"GET", "/v1", NULL, 404, ""},
	        {"GET", "/v1/status/", NULL, 404, ""},
	        {"GET", "/v2/status", NULL, 404, ""},
	        {"POST", "/v1/remove", "", 404, ""},
	        {"POST", "/v1/status", "{}", 405, "GET"},
	        {"DELETE", "/v1/status", NULL, 405, "GET"},
	        {"GET", "/v1/pause", NULL, 405, "POST"},
	        {"GET", "/v1/settings", NULL, 405, "POST"},
	        {"PUT", "/v1/flush", "{}", 405, "POST"},
	        {"POST", "/v1/pause", "{\"x\":1}", 400, ""},
	        {"POST", "/v1/resume", "[]", 400, ""},
	        {"POST", "/v1/flush", "{", 400, ""},
	        {"POST", "/v1/dmsetup", "{\"noflush\":1}", 400, ""},
	};
	struct fake_clone clone;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply reply;

		http_request(clone.socket_path, rows[i].method, rows[i].path, rows[i].body, &reply);
		assert_error(&reply, rows[i].status, "");
		assert_string_equal(reply.allow, rows[i].allow);
	}
	assert_int_equal(clone.nr_pauses + clone.nr_flushes + clone.nr_resumes + clone.nr_sets, 0);
	fake_clone_end(&clone);
}

static void status_does_not_wait_for_a_slow_flush(void **state)
{
	struct fake_clone clone;
	struct client flush, pause, dmsetup;
	struct reply reply;
	json_t *object;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	client_start(&flush, clone.socket_path, "POST", "/v1/flush", "");
	client_start(&pause, clone.socket_path, "POST", "/v1/pause", "{}");
	client_start(&dmsetup, clone.socket_path, "POST", "/v1/dmsetup", "");
	fake_clone_wait_calls(&clone, 3);
	http_request(clone.socket_path, "GET", "/v1/status", NULL, &reply);
	assert_is_status(&reply);
	fake_clone_end_calls(&clone, 0, NULL);
	client_join(&flush);
	client_join(&pause);
	client_join(&dmsetup);
	assert_is_status(&flush.reply);
	assert_is_status(&pause.reply);
	assert_int_equal(dmsetup.reply.status, 200);
	object = json_of(&dmsetup.reply);
	assert_string_equal(json_string_value(json_object_get(object, "line")),
	                    "0 128 clone 8 0/0 128 0/1 0 0 4 hydration_threshold 1024 "
	                    "hydration_batch_size 128 rw");
	json_decref(object);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_pauses), 1);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_flushes), 2);
	fake_clone_end(&clone);
}

static void dmsetup_with_noflush_commits_nothing(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	http_request(clone.socket_path, "POST", "/v1/dmsetup", "{\"noflush\":true}", &reply);
	assert_int_equal(reply.status, 200);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_flushes), 0);
	fake_clone_end(&clone);
}

static void calls_may_end_within_their_begin(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	fake_clone_end_at_once(&clone, 0, NULL);
	for (int i = 0; i < 50; i++) {
		http_request(clone.socket_path, "POST", i % 2 ? "/v1/flush" : "/v1/pause", "",
		             &reply);
		assert_is_status(&reply);
	}
	fake_clone_end(&clone);
}

static void failures_are_told_with_their_sentence(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	fake_clone_end_at_once(&clone, -EIO, NULL);
	http_request(clone.socket_path, "POST", "/v1/flush", "", &reply);
	assert_error(&reply, 500, "flush failed: Input/output error");
	fake_clone_end_at_once(&clone, -EIO, "the disk has gone");
	http_request(clone.socket_path, "POST", "/v1/pause", "", &reply);
	assert_error(&reply, 500, "the disk has gone");
	fake_clone_end(&clone);
}

static void dmsetup_shows_what_a_failed_commit_left(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	fake_clone_end_at_once(&clone, -EIO, "the disk has gone");
	fake_clone_say(&clone, &clone.status.mode, "fail");
	http_request(clone.socket_path, "POST", "/v1/dmsetup", "", &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, "{\"line\":\"0 128 clone Fail\"}");
	assert_int_equal(fake_clone_count(&clone, &clone.nr_flushes), 1);
	fake_clone_end(&clone);
}

static void deadline_answers_and_a_late_end_is_harmless(void **state)
{
	struct fake_clone clone;
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, 50);
	http_request(clone.socket_path, "POST", "/v1/flush", "", &reply);
	assert_error(&reply, 504, "it goes on");
	fake_clone_end_calls(&clone, 0, NULL);
	http_request(clone.socket_path, "GET", "/v1/status", NULL, &reply);
	assert_is_status(&reply);
	fake_clone_end(&clone);
}

static void stop_answers_who_waits_and_removes_the_socket(void **state)
{
	struct fake_clone clone;
	struct client clients[3];

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (int i = 0; i < 3; i++)
		client_start(&clients[i], clone.socket_path, "POST", "/v1/flush", "");
	fake_clone_wait_calls(&clone, 3);
	fake_clone_stop_server(&clone);
	for (int i = 0; i < 3; i++) {
		client_join(&clients[i]);
		assert_error(&clients[i].reply, 503, "being closed");
	}
	assert_int_equal(access(clone.socket_path, F_OK), -1);
	/* The operations end when the server is long gone. */
	fake_clone_end_calls(&clone, -EIO, "too late");
	fake_clone_end(&clone);
}

static void client_that_hangs_up_is_forgotten(void **state)
{
	static const char text[] =
	        "POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	struct fake_clone clone;
	struct reply reply;
	int fd;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	fd = raw_connect(clone.socket_path);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	fake_clone_wait_calls(&clone, 1);
	(void)close(fd);
	fake_clone_end_calls(&clone, 0, NULL);
	http_request(clone.socket_path, "GET", "/v1/status", NULL, &reply);
	assert_is_status(&reply);
	fake_clone_end(&clone);
}

static void too_many_waiters_leave_room_for_status(void **state)
{
	enum { NR = 32 };
	struct fake_clone clone;
	struct client clients[NR];
	struct reply reply;

	(void)state;
	fake_clone_start(&clone, LONG_MS);
	for (int i = 0; i < NR; i++)
		client_start(&clients[i], clone.socket_path, "POST", "/v1/flush", "");
	fake_clone_wait_calls(&clone, NR);
	http_request(clone.socket_path, "POST", "/v1/flush", "", &reply);
	assert_error(&reply, 503, "too many");
	http_request(clone.socket_path, "GET", "/v1/status", NULL, &reply);
	assert_is_status(&reply);
	fake_clone_end_calls(&clone, 0, NULL);
	for (int i = 0; i < NR; i++) {
		client_join(&clients[i]);
		assert_is_status(&clients[i].reply);
	}
	fake_clone_end(&clone);
}

/* Ends, deadlines and the stop race for the same connections; each client gets one answer. */
static void ends_deadlines_and_stop_may_race(void **state)
{
	enum { NR = 24, ROUNDS = 5 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct fake_clone clone;
		struct client clients[NR];

		fake_clone_start(&clone, 1 + round);
		for (int i = 0; i < NR; i++)
			client_start(&clients[i], clone.socket_path, "POST", "/v1/pause", "");
		fake_clone_wait_calls(&clone, NR / 2);
		fake_clone_end_calls(&clone, 0, NULL);
		fake_clone_stop_server(&clone);
		for (int i = 0; i < NR; i++) {
			long status;

			client_join(&clients[i]);
			status = clients[i].reply.status;
			assert_true(status == 200 || status == 503 || status == 504 || status == 0);
		}
		fake_clone_end(&clone);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(status_and_resume_answer_at_once),
	        cmocka_unit_test(settings_are_applied_all_or_none),
	        cmocka_unit_test(what_is_not_there_is_refused),
	        cmocka_unit_test(status_does_not_wait_for_a_slow_flush),
	        cmocka_unit_test(dmsetup_with_noflush_commits_nothing),
	        cmocka_unit_test(calls_may_end_within_their_begin),
	        cmocka_unit_test(failures_are_told_with_their_sentence),
	        cmocka_unit_test(dmsetup_shows_what_a_failed_commit_left),
	        cmocka_unit_test(deadline_answers_and_a_late_end_is_harmless),
	        cmocka_unit_test(stop_answers_who_waits_and_removes_the_socket),
	        cmocka_unit_test(client_that_hangs_up_is_forgotten),
	        cmocka_unit_test(too_many_waiters_leave_room_for_status),
	        cmocka_unit_test(ends_deadlines_and_stop_may_race),
	};
	int failed;

	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
