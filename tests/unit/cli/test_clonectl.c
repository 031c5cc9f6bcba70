#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_clone.h"
#include "run_clonectl.h"

static void wrong_usage_exits_with_2(void **state)
{
	static const struct {
		const char *words[4];
		const char *part;
	} rows[] = {
	        {{NULL}, "which command"},
	        {{"frobnicate"}, "unknown command \"frobnicate\""},
	        {{"history"}, "unknown command"},
	        {{"map"}, "unknown command"},
	        {{"metrics"}, "unknown command"},
	        {{"remove", "x"}, "unknown command"},
	        {{"--json"}, "unknown option"},
	        {{"help", "x"}, "unknown command"},
	        {{"status", "--noflush"}, "unknown option \"--noflush\""},
	        {{"status", "a", "b"}, "\"b\""},
	        {{"list", "a"}, "\"a\""},
	        {{"list", "--all"}, "unknown option"},
	        {{"wait", "--timeout"}, "needs a value"},
	        {{"wait", "--timeout", "never"}, "expected a time"},
	        {{"check"}, "check METADATA"},
	        {{"dump", "a", "b"}, "\"b\""},
	        {{"set"}, "set [TARGET] NAME=VALUE"},
	        {{"set", "x"}, "set what"},
	        {{"set", "timeout=0"}, "timeout: expected"},
	        {{"set", "x", "colour=red"}, "unknown setting \"colour\""},
	        {{"set", "x", "timeout"}, "expected NAME=VALUE"},
	        {{"version", "x"}, "\"x\""},
	        /* No clone runs. */
	        {{"status"}, "TARGET is needed"},
	        {{"wait"}, "TARGET is needed"},
	        {{"wait", "--exit"}, "TARGET is needed"},
	        {{"set", "timeout=5"}, "TARGET is needed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run run;

		run_clonectl(&run, rows[i].words);
		assert_int_equal(run.status, 2);
		assert_string_equal(run.out, "");
		if (!strstr(run.err, rows[i].part))
			fail_msg("'%s' is not in: %s", rows[i].part, run.err);
		assert_int_equal(strncmp(run.err, "clonectl: ", 10), 0);
		assert_ptr_equal(strchr(run.err, '\n'), run.err + strlen(run.err) - 1);
	}
}

static void help_and_version_go_to_stdout(void **state)
{
	static const struct {
		const char *words[3];
		const char *part;
	} rows[] = {
	        {{"--help"}, "dmsetup"},
	        {{"-h"}, "Commands:"},
	        {{"help"}, "Commands:"},
	        {{"help", "wait"}, "--exit"},
	        {{"wait", "--help"}, "--timeout"},
	        {{"check", "-h"}, "METADATA"},
	        {{"set", "--help"}, "log_level"},
	        {{"version"}, "clonectl 0."},
	        {{"--version"}, "clonectl 0."},
	        {{"-V"}, "clonectl 0."},
	        {{"version", "--json"}, "\"api_version\": 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run run;

		run_clonectl(&run, rows[i].words);
		assert_int_equal(run.status, 0);
		assert_string_equal(run.err, "");
		assert_non_null(strstr(run.out, rows[i].part));
	}
}

static void list_without_clones_is_empty(void **state)
{
	struct run run;

	(void)state;
	RUN(&run, "list");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "");
	RUN(&run, "list", "--json");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "[]\n");
	assert_string_equal(run.err, "");
}

static void json_is_what_the_clone_said(void **state)
{
	struct fake_clone clone;
	struct run run;
	json_t *shown, *wanted;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	cf_lock(&clone.lock);
	clone.status.settings = clone.settings;
	wanted = control_status_to_json(&clone.status);
	cf_unlock(&clone.lock);
	RUN(&run, "status", "--json");
	assert_int_equal(run.status, 0);
	shown = json_loads(run.out, 0, NULL);
	assert_true(json_equal(shown, wanted));
	json_decref(shown);
	RUN(&run, "list", "--json");
	shown = json_loads(run.out, 0, NULL);
	assert_int_equal(json_array_size(shown), 1);
	assert_true(json_equal(json_array_get(shown, 0), wanted));
	json_decref(shown);
	json_decref(wanted);
	fake_clone_end(&clone);
}

/* A socket file with nobody behind it, as kill -9 leaves it. */
static void make_dead_socket(struct sockaddr_un *ret_address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%.64s/dead.sock",
	               run_folder);
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, sizeof(*ret_address)), 0);
	(void)close(fd);
}

static void list_shows_all_and_skips_dead_sockets(void **state)
{
	struct fake_clone one, two;
	struct sockaddr_un dead;
	struct run run;
	json_t *shown;

	(void)state;
	make_dead_socket(&dead);
	fake_clone_start_in(&two, run_folder, "two");
	fake_clone_start_in(&one, run_folder, "one");
	RUN(&run, "list", "--json");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	shown = json_loads(run.out, 0, NULL);
	assert_int_equal(json_array_size(shown), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(shown, 0), "name")),
	                    "one");
	json_decref(shown);
	RUN(&run, "list");
	assert_non_null(strstr(run.out, "\none "));
	assert_non_null(strstr(run.out, "\ntwo "));
	assert_int_equal(access(dead.sun_path, F_OK), 0);

	RUN(&run, "status", "dead");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "no clone answers"));
	RUN(&run, "status");
	assert_int_equal(run.status, 2);
	assert_non_null(strstr(run.err, "2 clones run"));
	RUN(&run, "status", "two");
	assert_int_equal(run.status, 0);
	assert_int_equal(strncmp(run.out, "two\n", 4), 0);
	(void)unlink(dead.sun_path);
	fake_clone_end(&one);
	fake_clone_end(&two);
}

static void commands_reach_the_clone(void **state)
{
	struct fake_clone clone;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	fake_clone_end_at_once(&clone, 0, NULL);
	RUN(&run, "pause");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "");
	RUN(&run, "resume", "one");
	assert_int_equal(run.status, 0);
	RUN(&run, "flush", "one", "--json");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "\"name\": \"one\""));
	RUN(&run, "dmsetup", "--noflush");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "0 128 clone 8 0/0 128 0/1 0 0 4 hydration_threshold 1024 "
	                             "hydration_batch_size 128 rw\n");
	assert_int_equal(fake_clone_count(&clone, &clone.nr_flushes), 1);
	RUN(&run, "dmsetup", "--json", "one");
	assert_int_equal(run.status, 0);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_flushes), 2);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_pauses), 1);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_resumes), 1);
	fake_clone_end(&clone);
}

static void failures_show_the_clones_sentence(void **state)
{
	struct fake_clone clone;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	fake_clone_end_at_once(&clone, -5, "the last commit failed");
	RUN(&run, "flush");
	assert_int_equal(run.status, 1);
	assert_string_equal(run.err, "clonectl: the last commit failed\n");
	assert_string_equal(run.out, "");
	fake_clone_end(&clone);
}

static void set_is_all_or_none(void **state)
{
	struct settings settings;
	struct fake_clone clone;
	struct run run;

	(void)state;
	fake_clone_start_in(&clone, run_folder, "one");
	RUN(&run, "set", "one", "timeout=5", "max_connections=257");
	assert_int_equal(run.status, 2);
	assert_int_equal(fake_clone_count(&clone, &clone.nr_sets), 0);
	RUN(&run, "set", "timeout=5s", "on_source_error=wait:1m", "hydration_threshold=0");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "hydration_threshold: 1024 -> 0\n"
	                             "timeout: 30s -> 5s\n"
	                             "on_source_error: eio -> wait:1m\n");
	fake_clone_settings(&clone, &settings);
	assert_int_equal(settings.timeout_ms, 5000);
	RUN(&run, "set", "one", "log_level=debug", "--json");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "\"old\": \"notice\""));
	fake_clone_refuse_settings(&clone);
	RUN(&run, "set", "timeout=6");
	assert_int_equal(run.status, 1);
	assert_string_equal(run.err, "clonectl: not today\n");
	fake_clone_end(&clone);
}

/* Full disks and closed pipes must not look like success. */
static void lost_output_is_a_failure(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	if (pid == 0) {
		int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || null < 0)
			_exit(126);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execl(CLONECTL, CLONECTL, "version", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrong_usage_exits_with_2),
	        cmocka_unit_test(help_and_version_go_to_stdout),
	        cmocka_unit_test(list_without_clones_is_empty),
	        cmocka_unit_test(json_is_what_the_clone_said),
	        cmocka_unit_test(list_shows_all_and_skips_dead_sockets),
	        cmocka_unit_test(commands_reach_the_clone),
	        cmocka_unit_test(failures_show_the_clones_sentence),
	        cmocka_unit_test(set_is_all_or_none),
	        cmocka_unit_test(lost_output_is_a_failure),
	};

	return cmocka_run_group_tests(tests, surroundings_setup, surroundings_teardown);
}
