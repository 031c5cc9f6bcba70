#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http_reply.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MODIFIED     "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER        "Sun, 06 Nov 1994 08:50:37 GMT"

/* Feeds @text line by line, as curl does; true when the final header section ended. */
static bool feed(struct http_reply *reply, const char *text)
{
	bool ended = false;

	while (*text) {
		const char *end = strchr(text, '\n');
		size_t length = end ? (size_t)(end + 1 - text) : strlen(text);

		ended |= http_reply_line(reply, text, length);
		text += length;
	}
	return ended;
}

static const struct source_identity pinned_by_etag = {
        .size = 1000, .etag = "\"v1\"", .last_modified = MODIFIED};
static const struct source_identity pinned_by_date = {.size = 1000, .last_modified = MODIFIED};
static const struct source_identity pinned_weakly = {
        .size = 1000, .etag = "W/\"v1\"", .last_modified = MODIFIED};
static const struct source_identity pinned_weakly_only = {.size = 1000, .etag = "W/\"v1\""};
static const struct source_identity pinned_by_size = {.size = 1000};

#define PART "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-299/1000\r\n"

/* Each is the reply to a request for 200 bytes at 100. */
static const struct judge_case {
	const char *name;
	const struct source_identity *pinned;
	const char *text;
	enum source_result result;
	uint64_t length;      /* with SOURCE_OK */
	const char *sentence; /* a part of it, otherwise */
} judge_cases[] = {
        {"as asked", &pinned_by_etag, PART "ETag: \"v1\"\r\nContent-Length: 200\r\n", SOURCE_OK,
         200, NULL},
        {"HTTP/2", &pinned_by_etag, "HTTP/2 206\r\ncontent-range: bytes 100-299/1000\r\n",
         SOURCE_OK, 200, NULL},
        {"blanks around values", &pinned_by_etag,
         "HTTP/1.1 206\r\nContent-Range: \t bytes 100-299/1000 \t\r\n", SOURCE_OK, 200, NULL},
        {"unknown total", &pinned_by_etag, "HTTP/1.1 206 X\r\nContent-Range: bytes 100-299/*\r\n",
         SOURCE_OK, 200, NULL},
        {"shorter", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes 100-149/1000\r\nContent-Length: 50\r\n", SOURCE_OK,
         50, NULL},
        {"identity encoding", &pinned_by_etag, PART "Content-Encoding: identity\r\n", SOURCE_OK,
         200, NULL},
        {"no validators", &pinned_by_etag, PART, SOURCE_OK, 200, NULL},
        {"same header twice", &pinned_by_etag, PART "Content-Range: bytes 100-299/1000\r\n",
         SOURCE_OK, 200, NULL},
        {"interim reply before", &pinned_by_etag,
         "HTTP/1.1 103 Early Hints\r\nETag: \"no\"\r\nContent-Range: bytes 0-0/1\r\n\r\n" PART,
         SOURCE_OK, 200, NULL},

        {"whole file", &pinned_by_etag, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n",
         SOURCE_WRONG_REPLY, 0, "answered 200 OK"},
        {"204", &pinned_by_etag, "HTTP/1.1 204 No Content\r\n", SOURCE_WRONG_REPLY, 0, "204"},
        {"400", &pinned_by_etag, "HTTP/1.1 400 Bad\r\n", SOURCE_WRONG_REPLY, 0, "400"},
        {"304", &pinned_by_etag, "HTTP/1.1 304 Same\r\n", SOURCE_WRONG_REPLY, 0, "304"},
        {"no Content-Range", &pinned_by_etag, "HTTP/1.1 206 X\r\n", SOURCE_WRONG_REPLY, 0,
         "missing"},
        {"malformed Content-Range", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes 100-299\r\n", SOURCE_WRONG_REPLY, 0, "malformed"},
        {"unsatisfied Content-Range", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes */1000\r\n", SOURCE_WRONG_REPLY, 0, "malformed"},
        {"another start", &pinned_by_etag, "HTTP/1.1 206 X\r\nContent-Range: bytes 0-199/1000\r\n",
         SOURCE_WRONG_REPLY, 0, "byte 0 instead of 100"},
        {"one byte late", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes 101-299/1000\r\n", SOURCE_WRONG_REPLY, 0,
         "byte 101 instead of 100"},
        {"longer", &pinned_by_etag, "HTTP/1.1 206 X\r\nContent-Range: bytes 100-300/1000\r\n",
         SOURCE_WRONG_REPLY, 0, "201 bytes where 200"},
        {"two ranges", &pinned_by_etag, PART "Content-Range: bytes 100-298/1000\r\n",
         SOURCE_WRONG_REPLY, 0, "contradicts"},
        {"Content-Length too long", &pinned_by_etag, PART "Content-Length: 201\r\n",
         SOURCE_WRONG_REPLY, 0, "Content-Length says 201"},
        {"Content-Length too short", &pinned_by_etag, PART "Content-Length: 199\r\n",
         SOURCE_WRONG_REPLY, 0, "Content-Length says 199"},
        {"two Content-Lengths", &pinned_by_etag,
         PART "Content-Length: 200\r\nContent-Length: 100\r\n", SOURCE_WRONG_REPLY, 0,
         "contradicts"},
        {"impossible Content-Length", &pinned_by_etag,
         PART "Content-Length: 99999999999999999999\r\n", SOURCE_WRONG_REPLY, 0, "contradicts"},
        {"two ETags", &pinned_by_etag, PART "ETag: \"v1\"\r\nETag: \"v2\"\r\n", SOURCE_WRONG_REPLY,
         0, "contradicts"},
        {"compressed", &pinned_by_etag, PART "Content-Encoding: gzip\r\n", SOURCE_WRONG_REPLY, 0,
         "compressed"},
        {"compressed twice", &pinned_by_etag, PART "Content-Encoding: identity, br\r\n",
         SOURCE_WRONG_REPLY, 0, "compressed"},
        {"several parts", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Type: Multipart/Byteranges; boundary=x\r\n", SOURCE_WRONG_REPLY,
         0, "several parts"},
        {"folded line", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes\r\n 100-299/1000\r\n", SOURCE_WRONG_REPLY, 0,
         "malformed"},

        {"another total", &pinned_by_etag,
         "HTTP/1.1 206 X\r\nContent-Range: bytes 100-299/1001\r\n", SOURCE_CHANGED, 0,
         "was 1000 bytes and is 1001"},
        {"another ETag", &pinned_by_etag, PART "ETag: \"v2\"\r\n", SOURCE_CHANGED, 0,
         "ETag was \"v1\" and is \"v2\""},
        {"another weak ETag", &pinned_by_etag, PART "ETag: W/\"v2\"\r\n", SOURCE_CHANGED, 0,
         "ETag"},
        {"weakened ETag", &pinned_by_etag, PART "ETag: W/\"v1\"\r\n", SOURCE_OK, 200, NULL},
        {"the ETag decides", &pinned_by_etag, PART "ETag: \"v1\"\r\nLast-Modified: " LATER "\r\n",
         SOURCE_OK, 200, NULL},
        {"ETag gone, date same", &pinned_by_etag, PART "Last-Modified: " MODIFIED "\r\n", SOURCE_OK,
         200, NULL},
        {"ETag gone, another date", &pinned_by_etag, PART "Last-Modified: " LATER "\r\n",
         SOURCE_CHANGED, 0, "Last-Modified"},
        {"same date", &pinned_by_date, PART "Last-Modified: " MODIFIED "\r\n", SOURCE_OK, 200,
         NULL},
        {"another date", &pinned_by_date, PART "Last-Modified: " LATER "\r\n", SOURCE_CHANGED, 0,
         "Last-Modified"},
        {"an ETag that was not there", &pinned_by_date,
         PART "ETag: \"v9\"\r\nLast-Modified: " MODIFIED "\r\n", SOURCE_OK, 200, NULL},
        {"weak tags prove nothing beside a date", &pinned_weakly,
         PART "ETag: W/\"v2\"\r\nLast-Modified: " MODIFIED "\r\n", SOURCE_OK, 200, NULL},
        {"a weak tag alone", &pinned_weakly_only, PART "ETag: W/\"v2\"\r\n", SOURCE_CHANGED, 0,
         "ETag"},
        {"only a size", &pinned_by_size, PART "ETag: \"v2\"\r\nLast-Modified: " LATER "\r\n",
         SOURCE_OK, 200, NULL},
        {"412", &pinned_by_etag, "HTTP/1.1 412 Precondition Failed\r\n", SOURCE_CHANGED, 0,
         "(412)"},
        {"412 with the new ETag", &pinned_by_etag, "HTTP/1.1 412 X\r\nETag: \"v2\"\r\n",
         SOURCE_CHANGED, 0, "ETag was \"v1\" and is \"v2\""},
        {"416 with a smaller size", &pinned_by_etag,
         "HTTP/1.1 416 X\r\nContent-Range: bytes */50\r\n", SOURCE_CHANGED, 0, "is 50 now"},
        {"416 with the same size", &pinned_by_etag,
         "HTTP/1.1 416 X\r\nContent-Range: bytes */1000\r\n", SOURCE_WRONG_REPLY, 0, "416"},
        {"416 alone", &pinned_by_etag, "HTTP/1.1 416 X\r\n", SOURCE_CHANGED, 0, "416"},

        {"401", &pinned_by_etag, "HTTP/1.1 401 Unauthorized\r\n", SOURCE_DENIED, 0,
         "denies access (401 Unauthorized)"},
        {"403", &pinned_by_etag, "HTTP/1.1 403 Forbidden\r\n", SOURCE_DENIED, 0, "403"},
        {"404", &pinned_by_etag, "HTTP/1.1 404\r\n", SOURCE_DENIED, 0, "no such file (404)"},
        {"410", &pinned_by_etag, "HTTP/1.1 410 Gone\r\n", SOURCE_DENIED, 0, "410"},
        {"500", &pinned_by_etag, "HTTP/1.1 500 X\r\n", SOURCE_FAILED, 0, "answered 500 X"},
        {"503", &pinned_by_etag, "HTTP/1.1 503 X\r\n", SOURCE_FAILED, 0, "503"},
        {"599", &pinned_by_etag, "HTTP/1.1 599 X\r\n", SOURCE_FAILED, 0, "599"},
        {"429", &pinned_by_etag, "HTTP/1.1 429 X\r\n", SOURCE_FAILED, 0, "429"},
        {"408", &pinned_by_etag, "HTTP/1.1 408 X\r\n", SOURCE_FAILED, 0, "408"},
        {"407", &pinned_by_etag, "HTTP/1.1 407 X\r\n", SOURCE_FAILED, 0, "proxy"},
        {"status with letters", &pinned_by_etag, "HTTP/1.1 2O6 X\r\n", SOURCE_WRONG_REPLY, 0,
         "answered 0"},
        {"control characters in the reason", &pinned_by_etag, "HTTP/1.1 500 a\x1b[31mb\r\n",
         SOURCE_FAILED, 0, "500 a?[31mb"},
};

static void replies_are_judged(void **state)
{
	struct http_reply *reply = malloc(sizeof(*reply));

	(void)state;
	assert_non_null(reply);
	for (size_t i = 0; i < COUNT(judge_cases); i++) {
		const struct judge_case *c = &judge_cases[i];
		struct http_want want = {.offset = 100, .length = 200, .identity = c->pinned};
		struct source_outcome outcome = {0};
		enum source_result result;
		uint64_t length = 0;

		http_reply_reset(reply);
		assert_false(feed(reply, c->text));
		assert_true(feed(reply, "\r\n"));
		result = http_reply_judge(reply, &want, &length, &outcome);
		if (result != c->result || length != c->length)
			fail_msg("%s: result %d, length %llu, %s", c->name, result,
			         (unsigned long long)length, outcome.error.text);
		if (c->sentence && !strstr(outcome.error.text, c->sentence))
			fail_msg("%s: %s", c->name, outcome.error.text);
		assert_int_equal(result == SOURCE_OK, outcome.error.code == 0);
	}
	free(reply);
}

static void too_much_is_told_from_other_failures_and_for_how_long(void **state)
{
	static const struct {
		const char *head;
		uint64_t ms;
		bool pushback;
	} cases[] = {
	        {"HTTP/1.1 503 X\r\n", 0, true},
	        {"HTTP/1.1 429 X\r\n", 0, true},
	        {"HTTP/1.1 500 X\r\n", 0, false},
	        {"HTTP/1.1 502 X\r\n", 0, false},
	        {"HTTP/1.1 504 X\r\n", 0, false},
	        {"HTTP/1.1 408 X\r\n", 0, false},
	        {"HTTP/1.1 500 X\r\nRetry-After: 3\r\n", 3000, true},
	        {"HTTP/1.1 503 X\r\nRetry-After: 3\r\n", 3000, true},
	        {"HTTP/1.1 503 X\r\nDate: " MODIFIED "\r\nRetry-After: " LATER "\r\n", 60000, true},
	        {"HTTP/1.1 503 X\r\nRetry-After: " LATER "\r\n", 0, true},
	        {"HTTP/1.1 503 X\r\nRetry-After: never\r\n", 0, true},
	};
	struct http_reply *reply = malloc(sizeof(*reply));

	(void)state;
	assert_non_null(reply);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct source_outcome outcome = {.pushback = !cases[i].pushback};

		http_reply_reset(reply);
		feed(reply, cases[i].head);
		assert_true(feed(reply, "\r\n"));
		assert_int_equal(http_reply_judge_status(reply, &outcome), SOURCE_FAILED);
		assert_int_equal(outcome.retry_after_ms, cases[i].ms);
		assert_int_equal(outcome.pushback, cases[i].pushback);
	}
	free(reply);
}

static void trailers_change_nothing(void **state)
{
	struct http_reply *reply = malloc(sizeof(*reply));

	(void)state;
	assert_non_null(reply);
	http_reply_reset(reply);
	assert_true(feed(reply, PART "ETag: \"v1\"\r\n\r\n"));
	assert_false(feed(reply, "ETag: \"v2\"\r\nHTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n"));
	assert_int_equal(reply->status, 206);
	assert_string_equal(reply->etag, "\"v1\"");
	assert_false(reply->contradicts);
	free(reply);
}

static void trailers_have_the_limit_of_headers(void **state)
{
	static const char trailer[] = "X-Trailer: 0123456789\r\n";
	struct http_reply *reply = malloc(sizeof(*reply));

	(void)state;
	assert_non_null(reply);
	http_reply_reset(reply);
	assert_true(feed(reply, PART "\r\n"));
	for (size_t bytes = 0; bytes < HTTP_REPLY_HEADER_MAX; bytes += sizeof(trailer) - 1)
		assert_false(feed(reply, trailer));
	assert_true(reply->too_long);
	assert_int_equal(reply->status, 206);
	free(reply);
}

static void what_is_too_long_is_not_kept(void **state)
{
	struct http_reply *reply = malloc(sizeof(*reply));
	char *line = malloc(70000);

	(void)state;
	assert_non_null(reply);
	assert_non_null(line);
	http_reply_reset(reply);
	feed(reply, "HTTP/1.1 206 X\r\n");
	(void)snprintf(line, 70000, "ETag: \"%0*d\"\r\n", SOURCE_VALIDATOR_MAX - 2, 0);
	feed(reply, line);
	assert_string_equal(reply->etag, "");
	(void)snprintf(line, 70000, "ETag: \"%0*d\"\r\n", SOURCE_VALIDATOR_MAX - 3, 0);
	feed(reply, line);
	assert_int_equal(strlen(reply->etag), SOURCE_VALIDATOR_MAX - 1);
	(void)snprintf(line, 70000, "Location: /%0*d\r\n", HTTP_REPLY_URL_MAX - 1, 0);
	feed(reply, line);
	assert_string_equal(reply->location, "");
	assert_true(reply->location_is_too_long);
	(void)snprintf(line, 70000, "Location: /%0*d\r\n", 20000, 0);
	feed(reply, line);
	assert_string_equal(reply->location, "");
	assert_false(reply->too_long);
	free(line);
	free(reply);
}

static void a_header_section_has_a_limit_that_interim_replies_share(void **state)
{
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_reply *reply = malloc(sizeof(*reply));
	size_t bytes = 0;

	(void)state;
	assert_non_null(reply);
	http_reply_reset(reply);
	while (bytes + sizeof(interim) - 1 <= HTTP_REPLY_HEADER_MAX) {
		feed(reply, interim);
		bytes += sizeof(interim) - 1;
		assert_false(reply->too_long);
	}
	feed(reply, interim);
	assert_true(reply->too_long);
	free(reply);
}

static void redirects_need_a_location(void **state)
{
	static const struct {
		const char *text;
		bool is_redirect;
	} cases[] = {
	        {"HTTP/1.1 301 X\r\nLocation: /a\r\n\r\n", true},
	        {"HTTP/1.1 302 X\r\nlocation: /a\r\n\r\n", true},
	        {"HTTP/1.1 303 X\r\nLocation: /a\r\n\r\n", true},
	        {"HTTP/1.1 307 X\r\nLocation: /a\r\n\r\n", true},
	        {"HTTP/1.1 308 X\r\nLocation: /a\r\n\r\n", true},
	        {"HTTP/1.1 302 X\r\n\r\n", false},
	        {"HTTP/1.1 300 X\r\nLocation: /a\r\n\r\n", false},
	        {"HTTP/1.1 206 X\r\nLocation: /a\r\n\r\n", false},
	        {"HTTP/1.1 201 X\r\nLocation: /a\r\n\r\n", false},
	};
	struct http_reply *reply = malloc(sizeof(*reply));

	(void)state;
	assert_non_null(reply);
	for (size_t i = 0; i < COUNT(cases); i++) {
		http_reply_reset(reply);
		assert_true(feed(reply, cases[i].text));
		assert_int_equal(http_reply_is_redirect(reply), cases[i].is_redirect);
	}
	free(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(replies_are_judged),
	        cmocka_unit_test(too_much_is_told_from_other_failures_and_for_how_long),
	        cmocka_unit_test(trailers_change_nothing),
	        cmocka_unit_test(trailers_have_the_limit_of_headers),
	        cmocka_unit_test(what_is_too_long_is_not_kept),
	        cmocka_unit_test(a_header_section_has_a_limit_that_interim_replies_share),
	        cmocka_unit_test(redirects_need_a_location),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
