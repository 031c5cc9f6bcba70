/*
 * The http and https source: one attempt for each request, as core/engine/source.h wants it. The
 * work is done by the loop (http_loop.h), its transfers (http_transfer.h) and the judges of
 * replies (http_reply.h, http_probe.h).
 */
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends_internal.h"
#include "backends/http_auth.h"
#include "backends/http_loop.h"
#include "backends/http_probe.h"
#include "backends/http_url.h"

struct http_source {
	struct source source;   /* first */
	struct http_loop *loop; /* owned */
};

static struct http_source *http_of(struct source *source)
{
	return (struct http_source *)source;
}

static int http_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                      struct cf_error *err)
{
	size_t length = source->probe_length ? source->probe_length : SOURCE_HEAD_MAX;

	return http_probe_run(http_of(source)->loop, source->shown, length, timeout_ms, ret_probe,
	                      err);
}

static void http_pin(struct source *source, const struct source_identity *identity)
{
	http_loop_pin(http_of(source)->loop, identity);
}

static void http_submit(struct source *source, struct source_request *req)
{
	http_loop_submit(http_of(source)->loop, req);
}

static void http_cancel(struct source *source, struct source_request *req)
{
	http_loop_cancel(http_of(source)->loop, req);
}

static void http_resume(struct source *source, struct source_request *req)
{
	http_loop_resume(http_of(source)->loop, req);
}

static void http_configure(struct source *source, const struct source_limits *limits)
{
	http_loop_configure(http_of(source)->loop, limits);
}

static void http_close(struct source *source)
{
	struct http_source *http = http_of(source);

	http_loop_close(http->loop);
	free(source->shown);
	free(http);
}

static const struct source_ops http_ops = {
        .name = "http",
        .connected = true,
        .probe = http_probe,
        .pin = http_pin,
        .submit = http_submit,
        .cancel = http_cancel,
        .resume = http_resume,
        .configure = http_configure,
        .close = http_close,
};

static CURLcode curl_is_ready;

static void init_curl(void)
{
	/* Never undone: other users of curl in this process may live on. */
	curl_is_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_source_open(const char *url, const struct source_options *opts, struct source **ret,
                     struct cf_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_auth *auth = NULL;
	struct http_url *parsed = NULL;
	struct http_source *http;
	int r;

	(void)pthread_once(&once, init_curl);
	if (curl_is_ready != CURLE_OK)
		return cf_error_set(err, -EIO, "libcurl cannot be initialised: %s",
		                    curl_easy_strerror(curl_is_ready));
	r = http_url_parse(url, &parsed, err);
	if (r < 0)
		return r;
	assert(parsed);
	r = http_auth_open(opts, parsed, &auth, err);
	if (r < 0) {
		http_url_unref(parsed);
		return r;
	}
	http = calloc(1, sizeof(*http));
	if (http)
		http->source = (struct source){.ops = &http_ops, .shown = strdup(parsed->shown)};
	if (!http || !http->source.shown)
		r = cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	else
		r = http_loop_open(parsed, auth, opts, &http->loop, err);
	if (r < 0) {
		if (http)
			free(http->source.shown);
		free(http);
		http_auth_free(auth);
		http_url_unref(parsed);
		return r;
	}
	*ret = &http->source;
	return 0;
}
