/*
 * Parsers for what a server says about ranges and versions. Pure functions on hostile input: they
 * read nothing behind the terminating NUL, allocate nothing, and write on success only.
 */
#ifndef CLONEFS_BACKENDS_HTTP_RANGE_H
#define CLONEFS_BACKENDS_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 9110, 14.4: "bytes FIRST-LAST/TOTAL", with "*" for an unknown total or, as a whole, "*" for
 * a range that could not be had. */
struct http_content_range {
	bool satisfied; /* first and last are set, first <= last */
	uint64_t first;
	uint64_t last; /* the last byte, included */
	bool has_total;
	uint64_t total; /* of the whole, bytes; > last */
};

/* -EINVAL: not of the grammar, a contradiction, or a number above 2^63 - 1. */
int http_range_parse(const char *text, struct http_content_range *ret);

/* Decimal digits and nothing else, at most 2^63 - 1; -EINVAL. */
int http_range_parse_length(const char *text, uint64_t *ret);

/* RFC 9110, 8.8.3. INVALID: not of the grammar, so it can be compared but not sent. */
enum http_etag_kind { HTTP_ETAG_NONE, HTTP_ETAG_STRONG, HTTP_ETAG_WEAK, HTTP_ETAG_INVALID };

enum http_etag_kind http_range_etag_kind(const char *etag);

/* The weak comparison of RFC 9110, 8.8.3.2: equal but for W/. */
bool http_range_etags_match(const char *a, const char *b);

/* RFC 9110, 5.6.7, all three forms: *ret is seconds since 1970. -EINVAL. */
int http_range_parse_date(const char *text, int64_t *ret);

/*
 * RFC 9110, 10.2.3: seconds, or a date, which is taken against @now (seconds since 1970; the
 * reply's own Date, so that a wrong clock does no harm). At most a day. -EINVAL.
 */
int http_range_parse_retry_after(const char *text, int64_t now, uint64_t *ret_ms);

#endif
