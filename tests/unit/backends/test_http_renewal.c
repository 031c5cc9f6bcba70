/*
 * Files with secrets on a disk that does not answer: nobody but who needs them is held up, and he
 * not for ever. The disk is a gate in front of the reading of small files, put there by the linker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/http_renewal.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/small_file.h"
#include "http_fixture.h"

#define HASTY_MS 300
#define LONG_NS  (600 * CF_NS_PER_S)

static char file[64];

static struct {
	struct cf_mutex lock; /* protects what follows */
	struct cf_cond changed;
	bool closed;
	unsigned int nr_waiting;
	unsigned int nr_notified;
} gate;

int __real_small_file_read(int fd, void *buf, size_t size, size_t *ret_length);
int __wrap_small_file_read(int fd, void *buf, size_t size, size_t *ret_length);

int __wrap_small_file_read(int fd, void *buf, size_t size, size_t *ret_length)
{
	cf_lock(&gate.lock);
	gate.nr_waiting++;
	cf_cond_broadcast(&gate.changed);
	while (gate.closed)
		cf_cond_wait(&gate.changed, &gate.lock);
	gate.nr_waiting--;
	cf_cond_broadcast(&gate.changed);
	cf_unlock(&gate.lock);
	return __real_small_file_read(fd, buf, size, ret_length);
}

static void set_gate(bool closed)
{
	cf_lock(&gate.lock);
	gate.closed = closed;
	cf_cond_broadcast(&gate.changed);
	cf_unlock(&gate.lock);
}

/* Until @count readers stand before the gate. */
static void wait_for_readers(unsigned int count)
{
	cf_lock(&gate.lock);
	while (gate.nr_waiting != count)
		cf_cond_wait(&gate.changed, &gate.lock);
	cf_unlock(&gate.lock);
}

static void note(void *user)
{
	(void)user;
	cf_lock(&gate.lock);
	gate.nr_notified++;
	cf_cond_broadcast(&gate.changed);
	cf_unlock(&gate.lock);
}

static void wait_for_notes(unsigned int count)
{
	cf_lock(&gate.lock);
	while (gate.nr_notified != count)
		cf_cond_wait(&gate.changed, &gate.lock);
	cf_unlock(&gate.lock);
}

static void write_secret(const char *text)
{
	FILE *out;

	(void)unlink(file);
	out = fopen(file, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static struct http_renewal *new_renewal(void)
{
	struct http_secret_files files = {.user_file = strdup(file)};
	struct http_renewal *renewal;

	assert_non_null(files.user_file);
	assert_int_equal(http_renewal_new(&files, &renewal), 0);
	http_renewal_watch(renewal, note, NULL);
	gate.nr_notified = 0;
	return renewal;
}

static void who_asks_gets_a_reading_that_begins_later(void **state)
{
	struct http_renewal *renewal = new_renewal();
	struct http_secrets found;
	struct cf_error why;
	int error;

	(void)state;
	write_secret("user:old");
	assert_int_equal(http_renewal_take(renewal, &error, &found, &why), 0);
	set_gate(true);
	assert_int_equal(http_renewal_ask(renewal, LONG_NS), 1);
	wait_for_readers(1);
	/* These two share the next one. */
	assert_int_equal(http_renewal_ask(renewal, LONG_NS), 2);
	assert_int_equal(http_renewal_ask(renewal, LONG_NS), 2);
	write_secret("user:new");
	set_gate(false);
	wait_for_notes(2);
	assert_int_equal(http_renewal_take(renewal, &error, &found, &why), 2);
	assert_int_equal(error, 0);
	assert_string_equal(found.password, "new");
	http_secrets_wipe(&found);
	assert_int_equal(http_renewal_take(renewal, &error, &found, &why), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(http_renewal_ask(renewal, LONG_NS), 3);
	wait_for_notes(3);
	assert_int_equal(http_renewal_take(renewal, &error, &found, &why), 3);
	assert_true(error < 0);
	assert_non_null(strstr(why.text, file));
	http_renewal_free(renewal);
}

static void one_that_is_stuck_is_not_asked_and_left_behind(void **state)
{
	struct http_renewal *renewal = new_renewal();

	(void)state;
	write_secret("user:geheim");
	set_gate(true);
	assert_int_equal(http_renewal_ask(renewal, LONG_NS), 1);
	wait_for_readers(1);
	assert_int_equal(http_renewal_ask(renewal, 0), 0);
	http_renewal_free(renewal);
	set_gate(false);
	wait_for_readers(0);
}

static void deny_one_request(const char *name)
{
	server_control(http_server,
	               "{\"faults\":[{\"fault\":\"status\",\"status\":401,\"count\":1,"
	               "\"path\":\"/%s\"}]}",
	               name);
}

static void others_go_on_while_a_file_hangs(void **state)
{
	const struct source_options options = {
	        .header_file = file, .max_connections = 1, .stall_ms = PATIENT_MS};
	struct collector *denied;
	struct source *source;

	(void)state;
	write_secret("X-Token: geheim");
	source = fixture_serve("hangs", MIB, &options);
	set_gate(true);
	deny_one_request("hangs");
	denied = collector_new(source, 0, 1000);
	collector_submit(denied);
	wait_for_readers(1);
	fixture_expect_range(source, 5000, 100000);
	fixture_expect_range(source, 0, MIB);
	assert_int_equal(denied->nr_done, 0);
	set_gate(false);
	/* The file is as it was. */
	assert_int_equal(collector_wait(denied), SOURCE_DENIED);
	collector_free(denied);
	fixture_close(source);
}

static void a_new_secret_is_used_however_late_it_is_read(void **state)
{
	const struct source_options options = {.header_file = file, .stall_ms = PATIENT_MS};
	struct collector *denied;
	struct source *source;

	(void)state;
	write_secret("X-Token: geheim");
	source = fixture_serve("late", MIB, &options);
	set_gate(true);
	deny_one_request("late");
	denied = collector_new(source, 0, 1000);
	collector_submit(denied);
	wait_for_readers(1);
	write_secret("X-Token: neu");
	/* The open file is the old one; who asks now waits for the next reading. */
	set_gate(false);
	assert_int_equal(collector_wait(denied), SOURCE_DENIED);
	collector_free(denied);
	deny_one_request("late");
	fixture_expect_range(source, 0, 1000);
	fixture_close(source);
}

static void nobody_waits_for_ever_nor_twice(void **state)
{
	const struct source_options options = {.header_file = file, .stall_ms = HASTY_MS};
	struct collector *denied;
	struct source *source;

	(void)state;
	write_secret("X-Token: geheim");
	source = fixture_serve("ever", MIB, &options);
	set_gate(true);
	for (int i = 0; i < 2; i++) {
		deny_one_request("ever");
		denied = collector_new(source, 0, 1000);
		assert_int_equal(collector_run(denied), SOURCE_DENIED);
		assert_int_equal(i == 0, strstr(denied->outcome.error.text, "being read") != NULL);
		collector_free(denied);
	}
	fixture_expect_range(source, 0, 1000);
	fixture_close(source);
	set_gate(false);
	wait_for_readers(0);
}

static void those_who_wait_can_be_cancelled_and_closed(void **state)
{
	const struct source_options options = {.header_file = file, .stall_ms = PATIENT_MS};
	struct collector *first, *second;
	struct source *source;

	(void)state;
	write_secret("X-Token: geheim");
	source = fixture_serve("cancelled", MIB, &options);
	set_gate(true);
	server_control(http_server, "{\"faults\":[{\"fault\":\"status\",\"status\":403,"
	                            "\"path\":\"/cancelled\"}]}");
	first = collector_new(source, 0, 1000);
	second = collector_new(source, 1000, 1000);
	collector_submit(first);
	wait_for_readers(1);
	collector_submit(second);
	source->ops->cancel(source, &first->req);
	assert_int_equal(collector_wait(first), SOURCE_CANCELLED);
	fixture_close(source);
	assert_int_equal(collector_wait(second), SOURCE_CANCELLED);
	collector_free(first);
	collector_free(second);
	set_gate(false);
	wait_for_readers(0);
	server_control(http_server, "{\"clear\":true}");
}

/* Neither waits for a writer, nor takes what it does not end. */
static void a_pipe_is_no_file(void **state)
{
	const struct source_options options = {.header_file = file, .stall_ms = PATIENT_MS};
	struct collector *denied;
	struct source *source;

	(void)state;
	write_secret("X-Token: geheim");
	source = fixture_serve("pipe", MIB, &options);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	deny_one_request("pipe");
	denied = collector_new(source, 0, 1000);
	assert_int_equal(collector_run(denied), SOURCE_DENIED);
	assert_non_null(strstr(denied->outcome.error.text, "no regular file"));
	collector_free(denied);
	fixture_expect_range(source, 0, 1000);
	fixture_close(source);
}

static int setup(void **state)
{
	cf_mutex_init(&gate.lock);
	cf_cond_init(&gate.changed);
	(void)snprintf(file, sizeof(file), "/tmp/clonefs-renewal-%d", (int)getpid());
	return fixture_start_server(state);
}

static int teardown(void **state)
{
	(void)unlink(file);
	return fixture_stop_server(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(who_asks_gets_a_reading_that_begins_later),
	        cmocka_unit_test(one_that_is_stuck_is_not_asked_and_left_behind),
	        cmocka_unit_test(others_go_on_while_a_file_hangs),
	        cmocka_unit_test(a_new_secret_is_used_however_late_it_is_read),
	        cmocka_unit_test(nobody_waits_for_ever_nor_twice),
	        cmocka_unit_test(those_who_wait_can_be_cancelled_and_closed),
	        cmocka_unit_test(a_pipe_is_no_file),
	};

	(void)setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, setup, teardown);
}
