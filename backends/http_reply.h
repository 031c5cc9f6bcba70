/*
 * The header section of one reply: collected line by line, then judged against what was asked.
 * No curl, no I/O. A server may send anything here: sizes are bounded, texts are only copied.
 */
#ifndef CLONEFS_BACKENDS_HTTP_REPLY_H
#define CLONEFS_BACKENDS_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/http_range.h"
#include "core/engine/source.h"

/* All header lines of one exchange together, those of interim replies included. */
#define HTTP_REPLY_HEADER_MAX 65536
#define HTTP_REPLY_URL_MAX    8192

struct http_reply {
	size_t header_bytes;
	bool too_long;
	bool complete; /* the final reply's header section has ended: trailers are ignored */

	/* Of the current section; begun anew by each status line. */
	int status;
	char reason[64];
	bool contradicts; /* a header that may come once came twice with different values */
	bool has_content_range;
	bool content_range_is_malformed;
	struct http_content_range content_range;
	bool has_content_length;
	uint64_t content_length;
	bool is_encoded;
	bool is_multipart;
	char etag[SOURCE_VALIDATOR_MAX]; /* "": none, or too long to be kept */
	char last_modified[SOURCE_VALIDATOR_MAX];
	char date[64];
	char retry_after[64];
	char location[HTTP_REPLY_URL_MAX];
	bool location_is_too_long;
};

/* Before each exchange. */
void http_reply_reset(struct http_reply *reply);

/*
 * One line as it came, with or without its line end; the empty line ends a section. True when that
 * was the final reply's. When too_long is set afterwards the exchange is to be given up.
 */
bool http_reply_line(struct http_reply *reply, const char *line, size_t length);

struct http_want {
	uint64_t offset;
	uint64_t length;
	const struct source_identity *identity; /* borrowed; what is pinned */
};

/*
 * Is the complete @reply the bytes that were wanted, in that version? Then SOURCE_OK, and
 * *ret_length of them follow (>= 1, <= want->length; fewer is a valid shorter reply). Otherwise
 * @outcome is filled in. A redirect is SOURCE_WRONG_REPLY here: follow it before.
 */
enum source_result http_reply_judge(const struct http_reply *reply, const struct http_want *want,
                                    uint64_t *ret_length, struct source_outcome *outcome);

/* Judges what does not depend on ranges: SOURCE_OK for all but refusals and "try again later". */
enum source_result http_reply_judge_status(const struct http_reply *reply,
                                           struct source_outcome *outcome);

/* Judges the form of a 206: a range that begins at @offset, unencoded, in one part. */
enum source_result http_reply_judge_partial(const struct http_reply *reply, uint64_t offset,
                                            struct source_outcome *outcome);

bool http_reply_is_redirect(const struct http_reply *reply);

/* Fills @outcome; returns @result. */
enum source_result http_reply_outcome(struct source_outcome *outcome, enum source_result result,
                                      int code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#endif
