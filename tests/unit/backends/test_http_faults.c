/*
 * Everything that the range server can do wrong, and what the engine is told about it. The same
 * table, for people, is in docs/sources.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(result)  (1u << (result))
#define OK           BIT(SOURCE_OK)
#define SHORT        BIT(SOURCE_SHORT)
#define FAILED       BIT(SOURCE_FAILED)
#define WRONG        BIT(SOURCE_WRONG_REPLY)
#define DENIED       BIT(SOURCE_DENIED)
#define CHANGED      BIT(SOURCE_CHANGED)

#define IMAGE  (512 * KIB)
#define OFFSET (64 * KIB)
#define LENGTH (128 * KIB)
/* For faults that end by the stall timer: short, since nothing comes anyway. */
#define HASTY_MS 300

/* Faults of one case; up to three, each without braces and without its path. */
struct fault_case {
	const char *name;
	const char *faults[3];
	unsigned int results; /* bits; more than one where the network decides */
	const char *sentence; /* a part of it; NULL: none is there */
	uint64_t at_least;    /* bytes delivered */
	uint64_t at_most;
	uint64_t retry_after_ms;
	bool hasty;
	bool spoils_next; /* the kept-alive connection: the next request may suffer too */
};

static const struct fault_case fault_cases[] = {
        {.name = "200 for 206",
         .faults = {"'fault':'whole_file'"},
         .results = WRONG,
         .sentence = "answered 200"},
        {.name = "another start",
         .faults = {"'fault':'wrong_start'"},
         .results = WRONG,
         .sentence = "byte 69632 instead of 65536"},
        {.name = "another total",
         .faults = {"'fault':'wrong_total'"},
         .results = CHANGED,
         .sentence = "its size was 524288 bytes and is 528384 now"},
        {.name = "unknown total",
         .faults = {"'fault':'unknown_total'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "shorter valid reply",
         .faults = {"'fault':'shorter_range','bytes':1000"},
         .results = SHORT,
         .sentence = "after 1000 of 131072 bytes",
         .at_least = 1000,
         .at_most = 1000},
        {.name = "short body",
         .faults = {"'fault':'short_body','at':1000"},
         .results = SHORT,
         .sentence = "after 1000 of",
         .at_least = 1000,
         .at_most = 1000},
        {.name = "short body without length",
         .faults = {"'fault':'short_body','at':1000", "'fault':'no_length'"},
         .results = SHORT,
         .at_least = 1000,
         .at_most = 1000},
        {.name = "short chunked body",
         .faults = {"'fault':'short_body','at':1000", "'fault':'chunked'"},
         .results = SHORT,
         .at_least = 1000,
         .at_most = 1000},
        {.name = "no body at all",
         .faults = {"'fault':'short_body','at':0"},
         .results = FAILED,
         .sentence = "broke"},
        {.name = "no body and no length",
         .faults = {"'fault':'short_body','at':0", "'fault':'no_length'"},
         .results = FAILED,
         .sentence = "before its first byte"},
        {.name = "longer body",
         .faults = {"'fault':'extra_body'"},
         .results = WRONG,
         .sentence = "Content-Length says 135168"},
        {.name = "longer chunked body",
         .faults = {"'fault':'extra_body'", "'fault':'chunked'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "longer body without length",
         .faults = {"'fault':'extra_body'", "'fault':'no_length'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "garbage behind the reply",
         .faults = {"'fault':'garbage_after'"},
         .spoils_next = true,
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "Content-Length too large",
         .faults = {"'fault':'wrong_length','by':4096"},
         .results = WRONG,
         .sentence = "contradicts"},
        {.name = "Content-Length too small",
         .faults = {"'fault':'wrong_length','by':-4096"},
         .results = WRONG,
         .sentence = "contradicts"},
        {.name = "another ETag, refused",
         .faults = {"'fault':'etag','value':'\\\"other\\\"'"},
         .results = CHANGED,
         .sentence = "is \"other\" now"},
        {.name = "another ETag, conditions ignored",
         .faults = {"'fault':'etag','value':'\\\"other\\\"'", "'fault':'ignore_conditions'"},
         .results = CHANGED,
         .sentence = "is \"other\" now"},
        {.name = "another Last-Modified beside the same ETag",
         .faults = {"'fault':'last_modified','value':1000000000"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "ETag gone and another Last-Modified",
         .faults = {"'fault':'etag','value':null", "'fault':'ignore_conditions'",
                    "'fault':'last_modified','value':1000000000"},
         .results = CHANGED,
         .sentence = "its Last-Modified was"},
        {.name = "smaller than the range",
         .faults = {"'fault':'size','value':1000"},
         .results = CHANGED,
         .sentence = "is 1000 now"},
        {.name = "larger",
         .faults = {"'fault':'size','value':1000000"},
         .results = CHANGED,
         .sentence = "is 1000000 now"},
        {.name = "401",
         .faults = {"'fault':'status','status':401"},
         .results = DENIED,
         .sentence = "401"},
        {.name = "403",
         .faults = {"'fault':'status','status':403"},
         .results = DENIED,
         .sentence = "403"},
        {.name = "404",
         .faults = {"'fault':'status','status':404"},
         .results = DENIED,
         .sentence = "404"},
        {.name = "410",
         .faults = {"'fault':'status','status':410"},
         .results = DENIED,
         .sentence = "410"},
        {.name = "400",
         .faults = {"'fault':'status','status':400"},
         .results = WRONG,
         .sentence = "400"},
        {.name = "416",
         .faults = {"'fault':'status','status':416"},
         .results = CHANGED,
         .sentence = "416"},
        {.name = "408",
         .faults = {"'fault':'status','status':408"},
         .results = FAILED,
         .sentence = "408"},
        {.name = "500",
         .faults = {"'fault':'status','status':500"},
         .results = FAILED,
         .sentence = "500"},
        {.name = "429 with Retry-After in seconds",
         .faults = {"'fault':'status','status':429,'retry_after':7"},
         .results = FAILED,
         .sentence = "429",
         .retry_after_ms = 7000},
        {.name = "503 with an absurd Retry-After",
         .faults = {"'fault':'status','status':503,'retry_after':99999999999"},
         .results = FAILED,
         .sentence = "503",
         .retry_after_ms = 86400000},
        {.name = "error with an endless body",
         .faults = {"'fault':'status','status':503", "'fault':'no_length'", "'fault':'stall'"},
         .results = FAILED,
         .sentence = "503"},
        {.name = "error whose body stalls",
         .faults = {"'fault':'status','status':503", "'fault':'stall','at':1"},
         .results = FAILED,
         .sentence = "503"},
        {.name = "reset before the reply",
         .faults = {"'fault':'reset_before'"},
         .results = FAILED,
         .sentence = "broke"},
        {.name = "closed before the reply",
         .faults = {"'fault':'close_before'"},
         .results = FAILED,
         .sentence = "without an answer"},
        {.name = "reset inside the body",
         .faults = {"'fault':'reset_inside','at':100000"},
         .results = SHORT | FAILED,
         .at_most = 100000},
        {.name = "stall inside the body",
         .faults = {"'fault':'stall','at':1000"},
         .results = FAILED,
         .sentence = "nothing for 300 ms",
         .at_most = 1000,
         .hasty = true},
        {.name = "no answer",
         .faults = {"'fault':'no_answer'"},
         .results = FAILED,
         .sentence = "nothing for 300 ms",
         .hasty = true},
        {.name = "compressed",
         .faults = {"'fault':'gzip_encoding'"},
         .results = WRONG,
         .sentence = "compressed"},
        {.name = "several parts",
         .faults = {"'fault':'multipart'"},
         .results = WRONG,
         .sentence = "several parts"},
        {.name = "redirect loop",
         .faults = {"'fault':'redirect'"},
         .results = WRONG,
         .sentence = "more than 10 times"},
        {.name = "redirect to a file",
         .faults = {"'fault':'redirect','location':'file:///etc/passwd'"},
         .results = WRONG,
         .sentence = "neither http nor https"},
        {.name = "redirect nowhere",
         .faults = {"'fault':'redirect','location':'http://'"},
         .results = WRONG,
         .sentence = "malformed URL"},
        {.name = "no Content-Range",
         .faults = {"'fault':'headers','set':{'Content-Range':null}"},
         .results = WRONG,
         .sentence = "missing"},
        {.name = "Content-Range of another unit",
         .faults = {"'fault':'headers','set':{'Content-Range':'rows 65536-196607/524288'}"},
         .results = WRONG,
         .sentence = "malformed"},
        {.name = "a range longer than asked for",
         .faults = {"'fault':'headers','set':{'Content-Range':'bytes 65536-196608/524288'}",
                    "'fault':'chunked'"},
         .results = WRONG,
         .sentence = "131073 bytes where 131072"},
        {.name = "no ETag any more",
         .faults = {"'fault':'headers','set':{'ETag':null}"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "no Content-Length",
         .faults = {"'fault':'no_length'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "chunked",
         .faults = {"'fault':'chunked'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "last chunk never comes",
         .faults = {"'fault':'chunked'", "'fault':'stall','at':131072"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "closed after each reply",
         .faults = {"'fault':'close_after'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "no Accept-Ranges",
         .faults = {"'fault':'no_accept_ranges'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "early hints before the reply",
         .faults = {"'fault':'early_hints'"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "garbage for a status line",
         .faults = {"'fault':'garbage_status_line'"},
         .results = WRONG,
         .sentence = "not HTTP"},
        {.name = "a header of 64 KiB",
         .faults = {"'fault':'huge_header'"},
         .results = WRONG,
         .sentence = "longer than 65536 bytes"},
        {.name = "a header of 60 KiB",
         .faults = {"'fault':'huge_header','bytes':61440"},
         .results = OK,
         .at_least = LENGTH,
         .at_most = LENGTH},
        {.name = "a portal's page",
         .faults = {"'fault':'captive_portal'"},
         .results = WRONG,
         .sentence = "answered 200"},
};

/* JSON with ' for " is easier to read in C. */
static void add_fault(char *text, size_t size, const char *path, const char *fault)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, size - used, "%s{'path':'/%s',%s}",
	               text[used - 1] == '[' ? "" : ",", path, fault);
}

static void set_faults(const char *path, const char *const faults[3])
{
	char text[1500] = "{'clear':true,'faults':[";

	for (int i = 0; i < 3 && faults[i]; i++)
		add_fault(text, sizeof(text), path, faults[i]);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	server_control(http_server, "%s]}", text);
}

static void clear_faults(void)
{
	server_control(http_server, "{\"clear\":true,\"release\":true}");
}

static void check_outcome(const struct fault_case *f, const struct collector *c)
{
	const struct source_outcome *outcome = &c->outcome;
	const char *text = outcome->error.text;

	if (!(BIT(outcome->result) & f->results))
		fail_msg("%s: result %d: %s", f->name, outcome->result, text);
	if (f->sentence && !strstr(text, f->sentence))
		fail_msg("%s: the sentence is '%s'", f->name, text);
	if (c->length < f->at_least || c->length > f->at_most)
		fail_msg("%s: %llu bytes: %s", f->name, (unsigned long long)c->length, text);
	if (outcome->retry_after_ms != f->retry_after_ms)
		fail_msg("%s: retry after %llu ms", f->name,
		         (unsigned long long)outcome->retry_after_ms);
}

static void each_fault_has_its_outcome_and_is_over_when_it_is_over(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(fault_cases); i++) {
		const struct fault_case *f = &fault_cases[i];
		const struct source_limits hasty = {.max_connections = 2, .stall_ms = HASTY_MS};
		const struct source_limits patient = {.max_connections = 2, .stall_ms = PATIENT_MS};
		struct source *source;
		struct collector *c;
		char name[32];

		(void)snprintf(name, sizeof(name), "fault-%zu", i);
		fixture_image(http_server, name, IMAGE);
		source = fixture_pinned(http_server, name, NULL);
		c = collector_new(source, OFFSET, LENGTH);
		set_faults(name, f->faults);
		if (f->hasty)
			source->ops->configure(source, &hasty);
		(void)collector_run(c);
		check_outcome(f, c);
		collector_assert_pattern(c, 1);
		collector_free(c);
		clear_faults();
		source->ops->configure(source, &patient);
		if (f->spoils_next) {
			c = collector_new(source, OFFSET, LENGTH);
			assert_true(BIT(collector_run(c)) & (OK | WRONG | FAILED));
			collector_free(c);
		}
		fixture_expect_range(source, OFFSET, LENGTH);
		fixture_close(source);
	}
}

static void retry_after_may_be_a_date(void **state)
{
	static const char *const faults[3] = {
	        "'fault':'status','status':503,'retry_after_date':30"};
	struct source *source;
	struct collector *c;

	(void)state;
	source = fixture_serve("dated", IMAGE, NULL);
	c = collector_new(source, OFFSET, LENGTH);
	set_faults("dated", faults);
	assert_int_equal(collector_run(c), SOURCE_FAILED);
	/* Against the reply's own Date; whole seconds both, perhaps on two sides of one. */
	assert_in_range(c->outcome.retry_after_ms, 28000, 31000);
	collector_free(c);
	clear_faults();
	fixture_close(source);
}

/* What stands in the log for each kind of pinned validator. */
static void every_request_carries_the_pinned_validator(void **state)
{
	static const char *const no_etag[3] = {"'fault':'etag','value':null"};
	static const char *const weak_etag[3] = {"'fault':'etag','value':'W/\\\"x\\\"'"};
	static const char *const bad_etag[3] = {"'fault':'etag','value':'unquoted'"};
	static const char *const nothing[3] = {"'fault':'etag','value':null",
	                                       "'fault':'last_modified','value':null"};
	static const struct {
		const char *name;
		const char *const *faults;
		const char *header; /* NULL: none */
	} cases[] = {
	        {"valid-etag", NULL, "\"if-match\""},
	        {"valid-date", no_etag, "\"if-unmodified-since\""},
	        {"valid-weak", weak_etag, "\"if-unmodified-since\""},
	        {"valid-bad", bad_etag, "\"if-unmodified-since\""},
	        {"valid-none", nothing, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source *source;
		unsigned int with, without;

		fixture_image(http_server, cases[i].name, IMAGE);
		if (cases[i].faults)
			set_faults(cases[i].name, cases[i].faults);
		source = fixture_pinned(http_server, cases[i].name, NULL);
		fixture_expect_range(source, 0, IMAGE);
		fixture_expect_range(source, 1000, 1);
		with = server_count_requests(http_server, cases[i].name, "\"if-match\"") +
		       server_count_requests(http_server, cases[i].name, "\"if-unmodified-since\"");
		without = server_count_requests(http_server, cases[i].name, "") - with;
		assert_int_equal(with, cases[i].header ? 2 : 0);
		assert_int_equal(without, cases[i].header ? 1 : 3);
		if (cases[i].header)
			assert_int_equal(
			        server_count_requests(http_server, cases[i].name, cases[i].header),
			        2);
		assert_int_equal(
		        server_count_requests(http_server, cases[i].name, "accept-encoding"), 0);
		clear_faults();
		fixture_close(source);
	}
}

static void a_pinned_date_is_held_against_replies(void **state)
{
	static const char *const before[3] = {"'fault':'etag','value':null"};
	static const char *const refused[3] = {"'fault':'etag','value':null",
	                                       "'fault':'last_modified','value':2000000000"};
	static const char *const ignored[3] = {"'fault':'etag','value':null",
	                                       "'fault':'last_modified','value':1000000000",
	                                       "'fault':'ignore_conditions'"};
	static const char *const sentences[] = {"412", "its Last-Modified was"};
	struct source *source;

	(void)state;
	fixture_image(http_server, "date", IMAGE);
	set_faults("date", before);
	source = fixture_pinned(http_server, "date", NULL);
	for (int i = 0; i < 2; i++) {
		struct collector *c = collector_new(source, OFFSET, LENGTH);

		set_faults("date", i ? ignored : refused);
		assert_int_equal(collector_run(c), SOURCE_CHANGED);
		assert_non_null(strstr(c->outcome.error.text, sentences[i]));
		assert_int_equal(c->length, 0);
		collector_free(c);
	}
	set_faults("date", before);
	fixture_expect_range(source, OFFSET, LENGTH);
	clear_faults();
	fixture_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_fault_has_its_outcome_and_is_over_when_it_is_over),
	        cmocka_unit_test(retry_after_may_be_a_date),
	        cmocka_unit_test(every_request_carries_the_pinned_validator),
	        cmocka_unit_test(a_pinned_date_is_held_against_replies),
	};

	return cmocka_run_group_tests(tests, fixture_start_server, fixture_stop_server);
}
