/*
 * Invariants:
 * 1. No byte is delivered before the reply's header section was judged OK.
 * 2. Never more bytes are delivered than the request has left, whatever the server sends.
 * 3. Login, headers and certificate go to the origin of the user's own URL only.
 * 4. A URL is remembered only after a reply from it was judged OK, and forgotten when one
 *    is not: the next attempt asks the original.
 * 5. A request is asked again at once, twice at most: from the original after the remembered URL
 *    refused, and with a login that was renewed meanwhile.
 * 6. Nobody waits for a reading of the login's files for longer than for a silent server.
 */
#include "backends/http_transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/http_auth.h"
#include "backends/http_credentials.h"
#include "backends/http_failure.h"
#include "backends/http_probe.h"
#include "core/base/clock.h"

/*
 * Range requests over HTTP/2 would share one TCP connection, and paused streams of it stall the
 * others: data goes over several HTTP/1.1 connections.
 */
#define HTTP_VERSION_OF_DATA CURL_HTTP_VERSION_1_1

#define BUFFER_BYTES   (128 * 1024L)
#define CONNECT_MS_MAX 10000
#define REDIRECTS_MAX  10
/* A server that moved is found where it is now, without a name server asked for each connection. */
#define DNS_CACHE_S 1L
#define DRAIN_NS    CF_NS_PER_S
#define DISCARD_MAX 65536u

static void judge(struct http_transfer *t)
{
	const struct http_job *job = t->job;
	struct http_want want = {
	        .offset = job->base.req->offset,
	        .length = job->base.req->length,
	        .identity = &t->session->identity,
	};

	t->judged = true;
	memset(&t->verdict, 0, sizeof(t->verdict));
	if (job->probe)
		(void)http_probe_judge(job->probe, &t->reply, &t->expected, &t->verdict);
	else
		(void)http_reply_judge(&t->reply, &want, &t->expected, &t->verdict);
}

static size_t on_header(char *line, size_t size, size_t length, void *user)
{
	struct http_transfer *t = user;

	(void)size;
	if (http_reply_line(&t->reply, line, length)) {
		judge(t);
		t->progress_ns = clock_monotonic_ns();
		if (t->verdict.result != SOURCE_OK)
			t->drain_ns = t->progress_ns + DRAIN_NS;
	}
	return t->reply.too_long ? 0 : length;
}

/* The body of a reply that is no use: read when it is short, so that the connection can be kept. */
static size_t discard(struct http_transfer *t, size_t length)
{
	t->discarded += length;
	if (!t->reply.has_content_length || t->reply.content_length > DISCARD_MAX ||
	    t->discarded > DISCARD_MAX)
		return 0;
	return length;
}

static size_t on_body(char *bytes, size_t size, size_t length, void *user)
{
	struct http_transfer *t = user;
	uint64_t left;
	size_t take;

	(void)size;
	if (!t->judged || t->verdict.result != SOURCE_OK)
		return discard(t, length);
	left = t->expected - t->job->base.delivered;
	take = length < left ? length : (size_t)left;
	if (!take)
		return 0;
	if (!source_job_data(&t->job->base, bytes, take)) {
		t->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	t->progress_ns = clock_monotonic_ns();
	if (take == left)
		t->drain_ns = t->progress_ns + DRAIN_NS;
	return take;
}

bool http_transfer_system_has_bundle(void)
{
	const char *bundle = curl_version_info(CURLVERSION_NOW)->cainfo;

	return bundle && access(bundle, R_OK) == 0;
}

static void set_ca(struct http_transfer *t, CURLcode *rc)
{
	const char *cacert = t->session->cacert;

	if (*rc == CURLE_OK && cacert)
		*rc = curl_easy_setopt(t->easy, CURLOPT_CAINFO, cacert);
	/* cacert= is instead of the system's certificates, not beside them. Of these the bundle is
	 * enough: with a folder beside it curl parses all of it anew for each connection, which are
	 * 60 ms on the loop's thread. */
	if (*rc == CURLE_OK && (cacert || t->session->has_bundle))
		*rc = curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
}

/* Options that never change. The first failure is kept in *@rc. */
static void set_constants(struct http_transfer *t, CURLcode *rc)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
	        {CURLOPT_NOSIGNAL, 1},
	        {CURLOPT_QUICK_EXIT, 1},
	        {CURLOPT_BUFFERSIZE, BUFFER_BYTES},
	        {CURLOPT_FOLLOWLOCATION, 0},
	        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
	        {CURLOPT_TCP_NODELAY, 1},
	        {CURLOPT_TCP_KEEPALIVE, 1},
	        {CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S},
	        {CURLOPT_HTTP_VERSION, HTTP_VERSION_OF_DATA},
	        {CURLOPT_NOPROGRESS, 1},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && *rc == CURLE_OK; i++)
		*rc = curl_easy_setopt(t->easy, numbers[i].option, numbers[i].value);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "clonefs/" CLONEFS_VERSION);
	set_ca(t, rc);
}

static void set_callbacks(struct http_transfer *t, CURLcode *rc)
{
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_error);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	if (*rc == CURLE_OK)
		*rc = curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

struct http_transfer *http_transfer_new(struct http_session *session)
{
	struct http_transfer *t = calloc(1, sizeof(*t));
	CURLcode rc = CURLE_OK;

	if (!t)
		return NULL;
	t->session = session;
	t->easy = curl_easy_init();
	if (!t->easy)
		rc = CURLE_OUT_OF_MEMORY;
	set_constants(t, &rc);
	set_callbacks(t, &rc);
	if (rc == CURLE_OK)
		rc = http_auth_prepare(session->auth, t->easy);
	if (rc != CURLE_OK) {
		http_transfer_free(t);
		return NULL;
	}
	return t;
}

void http_transfer_free(struct http_transfer *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->easy);
	http_credentials_wipe_headers(t->headers);
	http_url_unref(t->at);
	free(t);
}

struct curl_slist *http_transfer_conditions(const struct source_identity *identity, bool *ret_ok)
{
	char line[SOURCE_VALIDATOR_MAX + 32];
	struct curl_slist *list;
	int64_t date;

	*ret_ok = true;
	if (http_range_etag_kind(identity->etag) == HTTP_ETAG_STRONG)
		(void)snprintf(line, sizeof(line), "If-Match: %s", identity->etag);
	else if (http_range_parse_date(identity->last_modified, &date) == 0)
		(void)snprintf(line, sizeof(line), "If-Unmodified-Since: %s",
		               identity->last_modified);
	else
		return NULL;
	list = curl_slist_append(NULL, line);
	*ret_ok = list != NULL;
	return list;
}

static CURLcode append_headers(struct http_transfer *t, const struct curl_slist *more)
{
	for (; more; more = more->next) {
		struct curl_slist *grown = curl_slist_append(t->headers, more->data);

		if (!grown)
			return CURLE_OUT_OF_MEMORY;
		t->headers = grown;
	}
	return CURLE_OK;
}

/* curl reads the list during the transfer: with headers that may be renewed it is one of our own.
 */
static CURLcode set_headers(struct http_transfer *t, bool own)
{
	const struct http_session *session = t->session;
	const struct curl_slist *login = own ? http_auth_headers(session->auth) : NULL;
	struct curl_slist *conditions = t->job->probe ? NULL : session->conditions;
	CURLcode rc = CURLE_OK;

	http_credentials_wipe_headers(t->headers);
	t->headers = NULL;
	t->auth_generation = http_auth_generation(session->auth);
	if (!login)
		return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, conditions);
	rc = append_headers(t, conditions);
	if (rc == CURLE_OK)
		rc = append_headers(t, login);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

/* Sets the options that differ from hop to hop. */
static CURLcode set_hop(struct http_transfer *t)
{
	const struct http_session *session = t->session;
	const struct source_request *req = t->job->base.req;
	bool own = http_url_same_origin(t->at, session->original);
	uint64_t connect_ms = session->stall_ms;
	char range[64];
	CURLcode rc;

	if (connect_ms > CONNECT_MS_MAX)
		connect_ms = CONNECT_MS_MAX;
	(void)snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, req->offset,
	               req->offset + req->length - 1);
	rc = curl_easy_setopt(t->easy, CURLOPT_URL, t->at->text);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
	if (rc == CURLE_OK)
		rc = set_headers(t, own);
	if (rc == CURLE_OK)
		rc = http_auth_apply(session->auth, t->easy, own);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT,
		                      req->fresh_connection ? 1L : 0L);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	return rc;
}

static int begin_hop(struct http_transfer *t, struct http_url *url, uint64_t now_ns)
{
	http_url_ref(url);
	http_url_unref(t->at);
	t->at = url;
	http_reply_reset(&t->reply);
	t->judged = false;
	t->expected = 0;
	t->discarded = 0;
	t->progress_ns = now_ns;
	t->drain_ns = 0;
	t->paused = false;
	t->curl_error[0] = 0;
	return set_hop(t) == CURLE_OK ? 0 : -ENOMEM;
}

static void become_idle(struct http_transfer *t)
{
	if (t->job)
		t->job->transfer = NULL;
	t->job = NULL;
	t->reading = 0;
	http_url_unref(t->at);
	t->at = NULL;
}

int http_transfer_prepare(struct http_transfer *t, struct http_job *job, uint64_t now_ns)
{
	struct http_session *session = t->session;
	/* A second opinion comes from the source itself, not from where it once led. */
	bool remembered = session->remembered && !job->probe && !job->base.req->fresh_connection;
	int r;

	t->job = job;
	job->transfer = t;
	t->redirects = 0;
	t->from_remembered = remembered;
	t->renewed = false;
	t->reading = 0;
	r = begin_hop(t, remembered ? session->remembered : session->original, now_ns);
	if (r < 0)
		become_idle(t);
	return r;
}

static void forget(struct http_session *session)
{
	http_url_unref(session->remembered);
	session->remembered = NULL;
}

static void remember(const struct http_transfer *t)
{
	struct http_session *session = t->session;

	if (t->at == session->original || t->at == session->remembered)
		return;
	http_url_unref(session->remembered);
	session->remembered = http_url_ref(t->at);
}

/* Prepares the next hop; false: the redirect cannot be followed, and @outcome says why. */
static bool follow(struct http_transfer *t, uint64_t now_ns, struct source_outcome *outcome)
{
	struct http_url *next = NULL;
	struct cf_error why;
	int r;

	if (++t->redirects > REDIRECTS_MAX)
		(void)http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                         "the server redirects more than %d times", REDIRECTS_MAX);
	else if (t->reply.location_is_too_long)
		(void)http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                         "the server redirects to a URL of more than %d bytes",
		                         HTTP_REPLY_URL_MAX - 1);
	else if (http_url_redirect(t->at, t->reply.location, t->session->insecure_redirect, &next,
	                           &why) < 0)
		(void)http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO, "%s", why.text);
	if (!next)
		return false;
	r = begin_hop(t, next, now_ns);
	http_url_unref(next);
	if (r < 0)
		(void)http_reply_outcome(outcome, SOURCE_FAILED, -EIO, "there is no memory");
	return r == 0;
}

/* Asks the user's URL after the remembered one refused: a signature may have run out. */
static bool ask_original(struct http_transfer *t, uint64_t now_ns)
{
	t->from_remembered = false;
	t->redirects = 0;
	return begin_hop(t, t->session->original, now_ns) == 0;
}

static enum http_transfer_step ask_renewed(struct http_transfer *t, uint64_t now_ns)
{
	t->renewed = true;
	return ask_original(t, now_ns) ? HTTP_TRANSFER_AGAIN : HTTP_TRANSFER_OVER;
}

static bool login_is_old(const struct http_transfer *t)
{
	return t->auth_generation != http_auth_generation(t->session->auth);
}

/* Asks once more when the login that was refused is an old one; whether it is, the files say. */
static enum http_transfer_step renew_login(struct http_transfer *t, bool may_wait, uint64_t now_ns)
{
	struct http_session *session = t->session;
	uint64_t reading;

	if (t->renewed || (t->reply.status != 401 && t->reply.status != 403) ||
	    !http_url_same_origin(t->at, session->original))
		return HTTP_TRANSFER_OVER;
	if (login_is_old(t))
		return ask_renewed(t, now_ns);
	reading = http_auth_renew(session->auth, session->stall_ms * CF_NS_PER_MS);
	if (!reading || !may_wait)
		return HTTP_TRANSFER_OVER;
	t->reading = reading;
	/* Not earlier than it was asked for: who comes after this one's deadline does not wait. */
	t->progress_ns = clock_monotonic_ns();
	t->drain_ns = 0;
	return HTTP_TRANSFER_WAITS;
}

static void denied_outcome(const struct http_transfer *t, const char *more,
                           struct source_outcome *outcome)
{
	*outcome = t->verdict;
	if (*more)
		(void)http_reply_outcome(outcome, SOURCE_DENIED, t->verdict.error.code, "%.*s; %s",
		                         (int)(CF_ERROR_TEXT_MAX / 2), t->verdict.error.text, more);
}

static void stalled_outcome(const struct http_transfer *t, struct source_outcome *outcome)
{
	(void)http_reply_outcome(outcome, SOURCE_FAILED, -EAGAIN,
	                         "the server sent nothing for %" PRIu64 " ms",
	                         t->session->stall_ms);
}

/* How a hop ended whose header section was fine. */
static void body_outcome(struct http_transfer *t, CURLcode code, bool stalled,
                         struct source_outcome *outcome)
{
	uint64_t got = t->job->base.delivered;

	memset(outcome, 0, sizeof(*outcome));
	if (got == t->job->base.req->length)
		return;
	if (stalled && got < t->expected)
		stalled_outcome(t, outcome);
	else if (got > 0)
		(void)http_reply_outcome(outcome, SOURCE_SHORT, -EIO,
		                         "the reply ended after %" PRIu64 " of %" PRIu64 " bytes",
		                         got, t->job->base.req->length);
	else if (code != CURLE_OK)
		http_failure_outcome(t->easy, code, t->curl_error, outcome);
	else
		(void)http_reply_outcome(outcome, SOURCE_FAILED, -EIO,
		                         "the reply ended before its first byte");
}

static void hop_outcome(struct http_transfer *t, CURLcode code, bool stalled,
                        struct source_outcome *outcome)
{
	memset(outcome, 0, sizeof(*outcome));
	if (t->judged && t->verdict.result == SOURCE_OK)
		body_outcome(t, code, stalled, outcome);
	else if (t->judged)
		*outcome = t->verdict;
	else if (t->reply.too_long)
		(void)http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                         "the server's header is longer than %d bytes",
		                         HTTP_REPLY_HEADER_MAX);
	else if (stalled)
		stalled_outcome(t, outcome);
	else if (code != CURLE_OK)
		http_failure_outcome(t->easy, code, t->curl_error, outcome);
	else
		(void)http_reply_outcome(outcome, SOURCE_WRONG_REPLY, -EIO,
		                         "the server's answer is not HTTP");
}

/* After a hop that led nowhere: is there another one to try? */
static enum http_transfer_step next_step(struct http_transfer *t, bool may_wait, uint64_t now_ns,
                                         struct source_outcome *outcome)
{
	bool was_ok = t->judged && t->verdict.result == SOURCE_OK;

	if (t->judged && http_reply_is_redirect(&t->reply) && follow(t, now_ns, outcome))
		return HTTP_TRANSFER_AGAIN;
	if (was_ok)
		remember(t);
	else if (t->from_remembered)
		forget(t->session);
	if (outcome->result != SOURCE_DENIED)
		return HTTP_TRANSFER_OVER;
	if (t->from_remembered && ask_original(t, now_ns))
		return HTTP_TRANSFER_AGAIN;
	return renew_login(t, may_wait, now_ns);
}

enum http_transfer_step http_transfer_finish(struct http_transfer *t, CURLcode code, bool stalled,
                                             bool may_wait, uint64_t now_ns,
                                             struct source_outcome *outcome)
{
	enum http_transfer_step step = HTTP_TRANSFER_OVER;

	if (t->reading) {
		denied_outcome(t, "the files with the login are still being read", outcome);
	} else {
		hop_outcome(t, code, stalled, outcome);
		step = next_step(t, may_wait, now_ns, outcome);
	}
	if (step == HTTP_TRANSFER_OVER)
		become_idle(t);
	return step;
}

enum http_transfer_step http_transfer_renewed(struct http_transfer *t, uint64_t reading,
                                              uint64_t now_ns, struct source_outcome *outcome)
{
	enum http_transfer_step step = HTTP_TRANSFER_OVER;

	if (t->reading > reading)
		return HTTP_TRANSFER_WAITS;
	t->reading = 0;
	denied_outcome(t, http_auth_problem(t->session->auth), outcome);
	if (login_is_old(t))
		step = ask_renewed(t, now_ns);
	if (step == HTTP_TRANSFER_OVER)
		become_idle(t);
	return step;
}

void http_transfer_abandon(struct http_transfer *t)
{
	become_idle(t);
}

CURLcode http_transfer_unpause(struct http_transfer *t, uint64_t now_ns)
{
	if (!t->paused)
		return CURLE_OK;
	t->paused = false;
	t->progress_ns = now_ns;
	return curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

uint64_t http_transfer_deadline(const struct http_transfer *t)
{
	uint64_t stall_ns = t->session->stall_ms * CF_NS_PER_MS;
	uint64_t deadline = t->progress_ns + stall_ns;

	if (t->paused)
		return UINT64_MAX;
	return t->drain_ns && t->drain_ns < deadline ? t->drain_ns : deadline;
}
