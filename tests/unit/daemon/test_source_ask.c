#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "daemon/signals.h"
#include "daemon/source_ask.h"

#define PATIENT_MS 60000

/* What the attempts end with, one after the other; the last one for ever. */
static struct {
	const int *results;
	size_t nr;
	uint64_t retry_after_ms;
	unsigned int nr_asked;
	uint64_t asked_ns; /* when it was asked last */
	uint64_t timeout_ms;
} script;

static int scripted_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret,
                          struct cf_error *err)
{
	size_t i = script.nr_asked < script.nr ? script.nr_asked : script.nr - 1;

	(void)source;
	script.nr_asked++;
	script.asked_ns = clock_monotonic_ns();
	script.timeout_ms = timeout_ms;
	if (script.results[i] == 0)
		ret->identity.size = 4096;
	else if (script.results[i] == -EAGAIN)
		ret->retry_after_ms = script.retry_after_ms;
	return script.results[i]
	               ? cf_error_set(err, script.results[i], "attempt %u", script.nr_asked)
	               : 0;
}

static const struct source_ops scripted_ops = {.name = "script", .probe = scripted_probe};

static int ask(const int *results, size_t nr, uint64_t retry_after_ms, uint64_t timeout_ms,
               struct source_probe *probe, struct cf_error *err)
{
	struct source source = {.ops = &scripted_ops};

	memset(&script, 0, sizeof(script));
	script.results = results;
	script.nr = nr;
	script.retry_after_ms = retry_after_ms;
	return source_ask(&source, timeout_ms, probe, err);
}

static void what_may_pass_is_asked_again(void **state)
{
	static const int results[] = {-EAGAIN, -EAGAIN, 0};
	struct source_probe probe = {.head = NULL};
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(ask(results, 3, 0, PATIENT_MS, &probe, &err), 0);
	assert_int_equal(script.nr_asked, 3);
	assert_int_equal(probe.identity.size, 4096);
	assert_string_equal(err.text, "");
	/* All attempts together have the time of one. */
	assert_true(script.timeout_ms <= PATIENT_MS);
}

static void all_else_is_final(void **state)
{
	static const int results[] = {-EIO, -ENOENT, -EACCES, -EINVAL, -ENOMEM};

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		struct source_probe probe;
		struct cf_error err = {0};

		assert_int_equal(ask(&results[i], 1, 0, PATIENT_MS, &probe, &err), results[i]);
		assert_int_equal(script.nr_asked, 1);
		assert_string_equal(err.text, "attempt 1");
	}
}

static void what_does_not_pass_ends_with_the_last_sentence(void **state)
{
	static const int results[] = {-EAGAIN};
	uint64_t begin_ns = clock_monotonic_ns();
	struct source_probe probe;
	struct cf_error err = {0};
	char sentence[32];

	(void)state;
	assert_int_equal(ask(results, 1, 0, 6000, &probe, &err), -EIO);
	assert_true(script.nr_asked >= 2);
	(void)snprintf(sentence, sizeof(sentence), "attempt %u", script.nr_asked);
	assert_string_equal(err.text, sentence);
	assert_int_equal(err.code, -EIO);
	assert_true(script.asked_ns - begin_ns < 20 * 6000 * CF_NS_PER_MS);
}

static void the_source_says_how_long_to_wait(void **state)
{
	static const int results[] = {-EAGAIN, 0};
	uint64_t begin_ns = clock_monotonic_ns();
	struct source_probe probe;
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(ask(results, 2, 300, PATIENT_MS, &probe, &err), 0);
	assert_true(script.asked_ns - begin_ns >= 300 * CF_NS_PER_MS);
	/* Longer than anybody who mounts would wait. */
	assert_int_equal(ask(results, 2, 120000, UINT64_MAX, &probe, &err), -EIO);
	assert_int_equal(script.nr_asked, 1);
}

static void a_signal_ends_the_waiting(void **state)
{
	static const int results[] = {-EAGAIN};
	struct source_probe probe;
	struct cf_error err = {0};
	int fd;

	(void)state;
	assert_int_equal(signals_open(&fd, &err), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(ask(results, 1, 5000, PATIENT_MS, &probe, &err), -EINTR);
	assert_int_equal(script.nr_asked, 1);
	assert_string_equal(signals_take(fd), "SIGTERM");
	assert_null(signals_take(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_may_pass_is_asked_again),
	        cmocka_unit_test(all_else_is_final),
	        cmocka_unit_test(what_does_not_pass_ends_with_the_last_sentence),
	        cmocka_unit_test(the_source_says_how_long_to_wait),
	        cmocka_unit_test(a_signal_ends_the_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
