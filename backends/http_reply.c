#include "backends/http_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/clock.h"

enum source_result http_reply_outcome(struct source_outcome *outcome, enum source_result result,
                                      int code, const char *format, ...)
{
	char text[CF_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, by the line before. */
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	outcome->result = result;
	outcome->pushback = false;
	outcome->retry_after_ms = 0;
	(void)cf_error_set(&outcome->error, code, "%s", text);
	return result;
}

void http_reply_reset(struct http_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
}

/* "HTTP/1.1 206 Partial Content", "HTTP/2 206": -1 if it is no status line. */
static int parse_status(const char *line, char *reason, size_t reason_size)
{
	const char *s;
	int status = 0;

	if (strncmp(line, "HTTP/", 5) != 0)
		return -1;
	s = strchr(line, ' ');
	if (!s)
		return -1;
	s += strspn(s, " ");
	for (int i = 0; i < 3; i++, s++) {
		if (*s < '0' || *s > '9')
			return -1;
		status = status * 10 + (*s - '0');
	}
	if (*s && *s != ' ')
		return -1;
	s += strspn(s, " ");
	(void)snprintf(reason, reason_size, "%s", s);
	return status;
}

static void begin_section(struct http_reply *reply, const char *line)
{
	size_t header_bytes = reply->header_bytes;
	char reason[sizeof(reply->reason)] = "";
	int status = parse_status(line, reason, sizeof(reason));

	http_reply_reset(reply);
	reply->header_bytes = header_bytes;
	reply->status = status < 0 ? 0 : status;
	memcpy(reply->reason, reason, sizeof(reason));
}

/* Keeps @value, or notes that it is another one than before. Too long is like absent. */
static void keep(struct http_reply *reply, char *to, size_t size, const char *value)
{
	if (*to && strcmp(to, value) != 0)
		reply->contradicts = true;
	if (strlen(value) < size)
		memcpy(to, value, strlen(value) + 1);
}

static bool same_range(const struct http_content_range *a, const struct http_content_range *b)
{
	return a->satisfied == b->satisfied && a->first == b->first && a->last == b->last &&
	       a->has_total == b->has_total && a->total == b->total;
}

static void keep_content_range(struct http_reply *reply, const char *value)
{
	struct http_content_range range;
	bool repeated = reply->has_content_range;

	reply->has_content_range = true;
	if (http_range_parse(value, &range) < 0) {
		reply->content_range_is_malformed = true;
		return;
	}
	if (repeated && !same_range(&range, &reply->content_range))
		reply->contradicts = true;
	reply->content_range = range;
}

static void keep_content_length(struct http_reply *reply, const char *value)
{
	uint64_t length;

	if (http_range_parse_length(value, &length) < 0 ||
	    (reply->has_content_length && length != reply->content_length)) {
		reply->contradicts = true;
		return;
	}
	reply->has_content_length = true;
	reply->content_length = length;
}

static void keep_location(struct http_reply *reply, const char *value)
{
	if (strlen(value) >= sizeof(reply->location))
		reply->location_is_too_long = true;
	else if (!*reply->location)
		memcpy(reply->location, value, strlen(value) + 1);
}

static void keep_header(struct http_reply *reply, const char *name, const char *value)
{
	if (strcasecmp(name, "Content-Range") == 0)
		keep_content_range(reply, value);
	else if (strcasecmp(name, "Content-Length") == 0)
		keep_content_length(reply, value);
	else if (strcasecmp(name, "Content-Encoding") == 0)
		reply->is_encoded |= *value && strcasecmp(value, "identity") != 0;
	else if (strcasecmp(name, "Content-Type") == 0)
		reply->is_multipart |= strncasecmp(value, "multipart/byteranges", 20) == 0;
	else if (strcasecmp(name, "ETag") == 0)
		keep(reply, reply->etag, sizeof(reply->etag), value);
	else if (strcasecmp(name, "Last-Modified") == 0)
		keep(reply, reply->last_modified, sizeof(reply->last_modified), value);
	else if (strcasecmp(name, "Date") == 0 && !*reply->date)
		keep(reply, reply->date, sizeof(reply->date), value);
	else if (strcasecmp(name, "Retry-After") == 0 && !*reply->retry_after)
		keep(reply, reply->retry_after, sizeof(reply->retry_after), value);
	else if (strcasecmp(name, "Location") == 0)
		keep_location(reply, value);
}

/* Splits "Name: value" in place and keeps what is of interest. */
static void parse_header(struct http_reply *reply, char *line)
{
	char *colon = strchr(line, ':');
	char *value;
	size_t length;

	/* A line that begins with a blank continues the one before: obsolete (RFC 9112, 5.2), and
	 * what it continues is then too short to be believed. */
	if (!colon || line[0] == ' ' || line[0] == '\t')
		return;
	*colon = 0;
	value = colon + 1 + strspn(colon + 1, " \t");
	length = strlen(value);
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		value[--length] = 0;
	keep_header(reply, line, value);
}

bool http_reply_line(struct http_reply *reply, const char *line, size_t length)
{
	/* Long enough for every header of interest; a longer line is one we do not keep, except
	 * for a Location that must not be cut. */
	char text[HTTP_REPLY_URL_MAX + 64];

	reply->header_bytes += length;
	if (reply->header_bytes > HTTP_REPLY_HEADER_MAX)
		reply->too_long = true;
	if (reply->complete || reply->too_long)
		return false;
	while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
		length--;
	if (!length) {
		reply->complete = reply->status < 100 || reply->status > 199;
		return reply->complete;
	}
	if (length >= sizeof(text)) {
		reply->location_is_too_long |= strncasecmp(line, "Location:", 9) == 0;
		return false;
	}
	memcpy(text, line, length);
	text[length] = 0;
	if (strncmp(text, "HTTP/", 5) == 0)
		begin_section(reply, text);
	else if (strlen(text) == length)
		parse_header(reply, text);
	return false;
}

bool http_reply_is_redirect(const struct http_reply *reply)
{
	switch (reply->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return *reply->location || reply->location_is_too_long;
	default:
		return false;
	}
}

static uint64_t retry_after_ms(const struct http_reply *reply)
{
	int64_t now;
	uint64_t ms;

	if (http_range_parse_date(reply->date, &now) < 0)
		now = clock_wall_ms() / 1000;
	return http_range_parse_retry_after(reply->retry_after, now, &ms) < 0 ? 0 : ms;
}

/* "404 Not Found", or "404" where the server gave no reason. */
#define STATUS_FORMAT      "%d%s%s"
#define STATUS_ARGS(reply) (reply)->status, *(reply)->reason ? " " : "", (reply)->reason

enum source_result http_reply_judge_status(const struct http_reply *reply,
                                           struct source_outcome *outcome)
{
	int status = reply->status;

	if (status == 401 || status == 403)
		return http_reply_outcome(outcome, SOURCE_DENIED, -EACCES,
		                          "the server denies access (" STATUS_FORMAT ")",
		                          STATUS_ARGS(reply));
	if (status == 404 || status == 410)
		return http_reply_outcome(outcome, SOURCE_DENIED, -ENOENT,
		                          "the server has no such file (" STATUS_FORMAT ")",
		                          STATUS_ARGS(reply));
	if (status == 407)
		return http_reply_outcome(outcome, SOURCE_FAILED, -EIO,
		                          "the proxy denies access (" STATUS_FORMAT ")",
		                          STATUS_ARGS(reply));
	if (status >= 500 || status == 408 || status == 425 || status == 429) {
		(void)http_reply_outcome(outcome, SOURCE_FAILED, -EAGAIN,
		                         "the server answered " STATUS_FORMAT, STATUS_ARGS(reply));
		outcome->retry_after_ms = retry_after_ms(reply);
		outcome->pushback = status == 429 || status == 503 || outcome->retry_after_ms > 0;
		return SOURCE_FAILED;
	}
	return SOURCE_OK;
}

enum source_result http_reply_judge_partial(const struct http_reply *reply, uint64_t offset,
                                            struct source_outcome *outcome)
{
	const struct http_content_range *range = &reply->content_range;

	if (reply->is_multipart)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server answered one range in several parts");
	if (reply->is_encoded)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server sent an encoded (compressed) reply to a "
		                          "range request");
	if (!reply->has_content_range || reply->content_range_is_malformed || !range->satisfied)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server sent a part without saying which (its "
		                          "Content-Range is %s)",
		                          reply->has_content_range ? "malformed" : "missing");
	if (reply->contradicts)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server's reply contradicts itself: a header came "
		                          "twice, or with an impossible value");
	if (range->first != offset)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server sent another part than was asked for: byte "
		                          "%" PRIu64 " instead of %" PRIu64,
		                          range->first, offset);
	if (reply->has_content_length && reply->content_length != range->last - range->first + 1)
		return http_reply_outcome(
		        outcome, SOURCE_WRONG_REPLY, -EIO,
		        "the server's reply contradicts itself: its Content-Range "
		        "has %" PRIu64 " bytes, its Content-Length says %" PRIu64,
		        range->last - range->first + 1, reply->content_length);
	return SOURCE_OK;
}

static enum source_result changed(struct source_outcome *outcome, const char *what,
                                  const char *pinned, const char *found)
{
	return http_reply_outcome(outcome, SOURCE_CHANGED, -ESTALE,
	                          "the source has changed: its %s was %s and is %s now", what,
	                          pinned, found);
}

static enum source_result judge_size(uint64_t size, uint64_t pinned, struct source_outcome *outcome)
{
	if (size == pinned)
		return SOURCE_OK;
	return http_reply_outcome(outcome, SOURCE_CHANGED, -ESTALE,
	                          "the source has changed: its size was %" PRIu64
	                          " bytes and is %" PRIu64 " now",
	                          pinned, size);
}

/* Compares the strongest validator that both the pinned identity and the reply have. */
static enum source_result judge_version(const struct http_reply *reply,
                                        const struct source_identity *pinned,
                                        struct source_outcome *outcome)
{
	bool strong = http_range_etag_kind(pinned->etag) == HTTP_ETAG_STRONG;

	/* A cache may weaken a tag; the opaque part tells versions apart all the same. */
	if (strong && *reply->etag)
		return http_range_etags_match(reply->etag, pinned->etag)
		               ? SOURCE_OK
		               : changed(outcome, "ETag", pinned->etag, reply->etag);
	if (*pinned->last_modified && *reply->last_modified)
		return strcmp(pinned->last_modified, reply->last_modified) == 0
		               ? SOURCE_OK
		               : changed(outcome, "Last-Modified", pinned->last_modified,
		                         reply->last_modified);
	/* A weak tag proves little, but here it is all there is. */
	if (*pinned->etag && *reply->etag && !*pinned->last_modified &&
	    !http_range_etags_match(reply->etag, pinned->etag))
		return changed(outcome, "ETag", pinned->etag, reply->etag);
	return SOURCE_OK;
}

/* 412 and 416 speak of the version. */
static enum source_result judge_refusal(const struct http_reply *reply,
                                        const struct source_identity *pinned,
                                        struct source_outcome *outcome)
{
	const struct http_content_range *range = &reply->content_range;
	bool says_size =
	        reply->has_content_range && !reply->content_range_is_malformed && range->has_total;

	if (reply->status == 412 && pinned->etag[0] && reply->etag[0] &&
	    !http_range_etags_match(reply->etag, pinned->etag))
		return changed(outcome, "ETag", pinned->etag, reply->etag);
	if (reply->status == 412)
		return http_reply_outcome(outcome, SOURCE_CHANGED, -ESTALE,
		                          "the source has changed: the server no longer has the "
		                          "version this clone was made from (412)");
	if (says_size && range->total == pinned->size)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server refuses a range that lies within the file "
		                          "(416)");
	if (says_size)
		return judge_size(range->total, pinned->size, outcome);
	return http_reply_outcome(outcome, SOURCE_CHANGED, -ESTALE,
	                          "the source has changed: it no longer has bytes that belong to "
	                          "it (416)");
}

enum source_result http_reply_judge(const struct http_reply *reply, const struct http_want *want,
                                    uint64_t *ret_length, struct source_outcome *outcome)
{
	const struct http_content_range *range = &reply->content_range;
	enum source_result result = http_reply_judge_status(reply, outcome);
	uint64_t length;

	if (result != SOURCE_OK)
		return result;
	if (reply->status == 412 || reply->status == 416)
		return judge_refusal(reply, want->identity, outcome);
	if (reply->status != 206)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server answered " STATUS_FORMAT
		                          " to a range request instead of 206",
		                          STATUS_ARGS(reply));
	result = http_reply_judge_partial(reply, want->offset, outcome);
	if (result == SOURCE_OK && range->has_total)
		result = judge_size(range->total, want->identity->size, outcome);
	if (result == SOURCE_OK)
		result = judge_version(reply, want->identity, outcome);
	if (result != SOURCE_OK)
		return result;
	length = range->last - range->first + 1;
	if (length > want->length)
		return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                          "the server sent %" PRIu64 " bytes where %" PRIu64
		                          " were asked for",
		                          length, want->length);
	*ret_length = length;
	return SOURCE_OK;
}
