#include "backends/http_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http_loop.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

struct http_probe {
	struct source_request req;
	/* Only the loop's thread touches these until @done: */
	bool understood; /* the header section was fine */
	struct source_probe found;
	/* */
	struct cf_mutex lock; /* protects: done, outcome */
	struct cf_cond cond;
	bool done;
	struct source_outcome outcome;
};

static struct http_probe *probe_of(struct source_request *req)
{
	return (struct http_probe *)((char *)req - offsetof(struct http_probe, req));
}

static bool probe_data(struct source_request *req, const void *bytes, size_t length)
{
	struct http_probe *probe = probe_of(req);

	memcpy(probe->found.head + probe->found.head_length, bytes, length);
	probe->found.head_length += length;
	return true;
}

static void probe_done(struct source_request *req, const struct source_outcome *outcome)
{
	struct http_probe *probe = probe_of(req);

	cf_lock(&probe->lock);
	probe->outcome = *outcome;
	probe->done = true;
	cf_cond_signal(&probe->cond);
	cf_unlock(&probe->lock);
}

static const struct source_sink probe_sink = {.data = probe_data, .done = probe_done};

static enum source_result unusable(struct source_outcome *outcome, const char *why)
{
	return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EINVAL, "%s", why);
}

/* What the statuses other than 206 say about ranges. */
static enum source_result judge_whole(const struct http_reply *reply,
                                      struct source_outcome *outcome)
{
	const struct http_content_range *range = &reply->content_range;
	bool says_empty = reply->has_content_range && !reply->content_range_is_malformed &&
	                  range->has_total && range->total == 0;

	if (reply->status == 416 && says_empty)
		return unusable(outcome, "the source is empty (0 bytes)");
	if (reply->status == 200 && reply->has_content_length && reply->content_length == 0)
		return unusable(outcome, "the source is empty (0 bytes)");
	if (reply->status == 416)
		return unusable(outcome, "the server refuses a request for the first bytes (416): "
		                         "the source is empty, or ranges do not work");
	if (reply->status == 200)
		return unusable(outcome,
		                "the server does not support range requests (it answered 200 to "
		                "one): an image behind it can only be fetched as a whole");
	return http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EINVAL,
	                          "the server answered %d to a range request instead of 206",
	                          reply->status);
}

static void take_validators(struct http_probe *probe, const struct http_reply *reply)
{
	struct source_identity *identity = &probe->found.identity;
	int64_t modified, date;

	memcpy(identity->etag, reply->etag, sizeof(identity->etag));
	memcpy(identity->last_modified, reply->last_modified, sizeof(identity->last_modified));
	if (http_range_parse_date(reply->last_modified, &modified) < 0) {
		probe->found.weak_validators =
		        http_range_etag_kind(reply->etag) != HTTP_ETAG_STRONG;
		return;
	}
	if (modified > 0 && modified < INT64_MAX / (int64_t)CF_NS_PER_S)
		identity->mtime_ns = modified * (int64_t)CF_NS_PER_S;
	if (http_range_parse_date(reply->date, &date) < 0)
		date = clock_wall_ms() / 1000;
	/* RFC 9110, 8.8.2.2: it may have changed twice within its second. */
	probe->found.weak_validators =
	        http_range_etag_kind(reply->etag) != HTTP_ETAG_STRONG && modified > date - 60;
}

enum source_result http_probe_judge(struct http_probe *probe, const struct http_reply *reply,
                                    uint64_t *ret_length, struct source_outcome *outcome)
{
	const struct http_content_range *range = &reply->content_range;
	enum source_result result = http_reply_judge_status(reply, outcome);
	uint64_t length;

	if (result != SOURCE_OK)
		return result;
	if (reply->status != 206)
		return judge_whole(reply, outcome);
	result = http_reply_judge_partial(reply, 0, outcome);
	if (result != SOURCE_OK) {
		outcome->error.code = -EINVAL;
		return result;
	}
	if (!range->has_total)
		return unusable(outcome, "the server does not say how large the source is (its "
		                         "Content-Range ends in \"/*\")");
	length = range->last + 1;
	if (length > probe->req.length)
		return unusable(outcome, "the server sends more than it was asked for");
	probe->found.identity.size = range->total;
	take_validators(probe, reply);
	probe->understood = true;
	*ret_length = length;
	return SOURCE_OK;
}

/* Waits for the end, which comes soon after the time is up. True: it was. */
static bool wait_for_end(struct http_probe *probe, struct http_loop *loop, uint64_t timeout_ms)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t timeout_ns;
	bool in_time = true;

	if (__builtin_mul_overflow(timeout_ms, CF_NS_PER_MS, &timeout_ns) ||
	    timeout_ns > INT64_MAX - now)
		timeout_ns = INT64_MAX - now;
	cf_lock(&probe->lock);
	while (!probe->done && in_time)
		in_time = cf_cond_wait_until(&probe->cond, &probe->lock, now + timeout_ns);
	cf_unlock(&probe->lock);
	if (in_time)
		return false;
	http_loop_cancel(loop, &probe->req);
	cf_lock(&probe->lock);
	while (!probe->done)
		cf_cond_wait(&probe->cond, &probe->lock);
	cf_unlock(&probe->lock);
	return true;
}

static int probe_result(struct http_probe *probe, bool timed_out, uint64_t timeout_ms,
                        const char *shown, struct cf_error *err)
{
	const struct source_outcome *outcome = &probe->outcome;

	/* All that matters is known, even if the head's bytes did not all arrive. */
	if (probe->understood && (timed_out || outcome->result != SOURCE_CANCELLED))
		return 0;
	if (timed_out)
		return cf_error_set(err, -EAGAIN,
		                    "%s: the server did not answer within %" PRIu64 " ms", shown,
		                    timeout_ms);
	if (outcome->result == SOURCE_CANCELLED)
		return cf_error_set(err, -EINTR, "%s: the probe was cancelled", shown);
	return cf_error_set(err, outcome->error.code, "%s: %s", shown, outcome->error.text);
}

int http_probe_run(struct http_loop *loop, const char *shown, size_t length, uint64_t timeout_ms,
                   struct source_probe *ret, struct cf_error *err)
{
	struct http_probe *probe = calloc(1, sizeof(*probe));
	unsigned char *head = malloc(length);
	bool timed_out;
	int r;

	if (!probe || !head) {
		free(probe);
		free(head);
		return cf_error_set(err, -ENOMEM, "%s: there is no memory", shown);
	}
	probe->req = (struct source_request){
	        .length = length,
	        .class = SOURCE_FOREGROUND,
	        .sink = &probe_sink,
	};
	probe->found.head = head;
	cf_mutex_init(&probe->lock);
	cf_cond_init(&probe->cond);
	http_loop_submit_probe(loop, &probe->req, probe);
	timed_out = wait_for_end(probe, loop, timeout_ms);
	r = probe_result(probe, timed_out, timeout_ms, shown, err);
	if (r == 0) {
		*ret = probe->found;
		if (ret->head_length)
			head = NULL;
		else
			ret->head = NULL;
	} else if (r == -EAGAIN) {
		ret->retry_after_ms = probe->outcome.retry_after_ms;
	}
	free(head);
	cf_cond_fini(&probe->cond);
	cf_mutex_fini(&probe->lock);
	free(probe);
	return r;
}
