#include "backends/registry.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/backends_internal.h"
#include "core/base/cleanup.h"
#include "core/base/mutex.h"

/* Stands between the engine and a backend and asserts what both have promised. */
struct checked_source {
	struct source source; /* first */
	struct source_ops ops;
	struct source *inner; /* owned */
	struct cf_mutex lock; /* protects: pinned_size */
	uint64_t pinned_size; /* 0: not pinned yet */
};

static struct checked_source *checked(struct source *source)
{
	return (struct checked_source *)source;
}

static void assert_limits(const struct source_limits *limits)
{
	assert(limits->max_connections >= 1 &&
	       limits->max_connections <= SOURCE_MAX_CONNECTIONS_LIMIT);
	assert(limits->stall_ms > 0);
	(void)limits;
}

static int checked_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                         struct cf_error *err)
{
	struct source *inner = checked(source)->inner;
	struct cf_error why = {0};
	int r;

	assert(source->probe_length <= SOURCE_HEAD_MAX);
	inner->probe_length = source->probe_length;
	r = inner->ops->probe(inner, timeout_ms, ret_probe, &why);

	assert(r == 0 || (r == why.code && why.text[0]));
	assert(r != 0 || ret_probe->identity.size > 0);
	assert(r != 0 || (ret_probe->head_length <= SOURCE_HEAD_MAX &&
	                  !ret_probe->head == !ret_probe->head_length));
	if (r < 0 && err)
		*err = why;
	return r;
}

static void checked_pin(struct source *source, const struct source_identity *identity)
{
	struct checked_source *c = checked(source);

	assert(identity->size > 0);
	assert(memchr(identity->etag, 0, sizeof(identity->etag)));
	assert(memchr(identity->last_modified, 0, sizeof(identity->last_modified)));
	cf_lock(&c->lock);
	c->pinned_size = identity->size;
	cf_unlock(&c->lock);
	c->inner->ops->pin(c->inner, identity);
}

static void checked_submit(struct source *source, struct source_request *req)
{
	struct checked_source *c = checked(source);
	uint64_t size;

	cf_lock(&c->lock);
	size = c->pinned_size;
	cf_unlock(&c->lock);
	assert(size > 0);
	assert(req->length > 0 && req->length <= SOURCE_REQUEST_MAX);
	assert(req->offset < size && req->length <= size - req->offset);
	assert(req->class <= SOURCE_BACKGROUND);
	assert(req->sink && req->sink->data && req->sink->done);
	(void)size;
	/* What an earlier use of the structure left behind is not ours to interpret. */
	req->backend = NULL;
	c->inner->ops->submit(c->inner, req);
}

static void checked_cancel(struct source *source, struct source_request *req)
{
	struct source *inner = checked(source)->inner;

	inner->ops->cancel(inner, req);
}

static void checked_resume(struct source *source, struct source_request *req)
{
	struct source *inner = checked(source)->inner;

	inner->ops->resume(inner, req);
}

static void checked_configure(struct source *source, const struct source_limits *limits)
{
	struct source *inner = checked(source)->inner;

	assert_limits(limits);
	inner->ops->configure(inner, limits);
}

static int checked_share(struct source *source, struct block_io *destination, uint64_t offset,
                         uint64_t length)
{
	struct checked_source *c = checked(source);
	uint64_t size;

	cf_lock(&c->lock);
	size = c->pinned_size;
	cf_unlock(&c->lock);
	assert(length > 0 && offset < size && length <= size - offset);
	(void)size;
	return c->inner->ops->share(c->inner, destination, offset, length);
}

static void checked_close(struct source *source)
{
	struct checked_source *c = checked(source);

	c->inner->ops->close(c->inner);
	cf_mutex_fini(&c->lock);
	free(c);
}

static int checked_new(struct source *inner, struct source **ret, struct cf_error *err)
{
	struct checked_source *c = calloc(1, sizeof(*c));

	if (!c) {
		inner->ops->close(inner);
		return cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	}
	c->ops = (struct source_ops){
	        .name = inner->ops->name,
	        .connected = inner->ops->connected,
	        .probe = checked_probe,
	        .pin = checked_pin,
	        .submit = checked_submit,
	        .cancel = checked_cancel,
	        .resume = checked_resume,
	        .configure = checked_configure,
	        .share = inner->ops->share ? checked_share : NULL,
	        .close = checked_close,
	};
	c->source = (struct source){.ops = &c->ops, .shown = inner->shown};
	c->inner = inner;
	cf_mutex_init(&c->lock);
	*ret = &c->source;
	return 0;
}

/* Length of "scheme" when @url begins with "scheme://" (RFC 3986, 3.1), else 0: it is a path. */
static size_t scheme_length(const char *url)
{
	size_t length = 0;

	if (!isalpha((unsigned char)url[0]))
		return 0;
	while (isalnum((unsigned char)url[length]) || (url[length] && strchr("+-.", url[length])))
		length++;
	return strncmp(url + length, "://", 3) == 0 ? length : 0;
}

static bool scheme_is(const char *url, size_t length, const char *name)
{
	return strlen(name) == length && strncasecmp(url, name, length) == 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a file URL (RFC 8089): an empty host or localhost, percent-encoding undone. */
static int file_url_path(const char *rest, char **ret_path, struct cf_error *err)
{
	char *path, *to;

	if (strncasecmp(rest, "localhost/", 10) == 0)
		rest += 9;
	if (*rest != '/')
		return cf_error_set(err, -EINVAL,
		                    "a file:// source needs an absolute path, as in "
		                    "file:///images/disk.raw");
	path = malloc(strlen(rest) + 1);
	if (!path)
		return cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	for (to = path; *rest; rest++) {
		int high, low;

		*to++ = *rest;
		if (*rest != '%')
			continue;
		high = hex_digit(rest[1]);
		low = high < 0 ? -1 : hex_digit(rest[2]);
		if (low < 0 || (high == 0 && low == 0)) {
			free(path);
			return cf_error_set(err, -EINVAL,
			                    "the file:// source has a malformed %%-sequence");
		}
		to[-1] = (char)(high << 4 | low);
		rest += 2;
	}
	*to = 0;
	*ret_path = path;
	return 0;
}

static int open_file_url(const char *rest, const struct source_options *opts, struct source **ret,
                         struct cf_error *err)
{
	CF_AUTO_FREE char *path = NULL;
	int r = file_url_path(rest, &path, err);

	return r < 0 ? r : file_source_open(path, opts, ret, err);
}

static int open_inner(const char *url, const struct source_options *opts, struct source **ret,
                      struct cf_error *err)
{
	size_t scheme = scheme_length(url);

	if (!*url)
		return cf_error_set(err, -EINVAL, "the source is an empty string");
	if (!scheme)
		return file_source_open(url, opts, ret, err);
	if (scheme_is(url, scheme, "file"))
		return open_file_url(url + scheme + 3, opts, ret, err);
	if (scheme_is(url, scheme, "http") || scheme_is(url, scheme, "https"))
		return http_source_open(url, opts, ret, err);
	return cf_error_set(err, -EINVAL,
	                    "sources of the kind %.*s:// are not known; there are http://, "
	                    "https://, file:// and paths",
	                    (int)(scheme < 32 ? scheme : 32), url);
}

int source_open(const char *url, const struct source_options *opts, struct source **ret,
                struct cf_error *err)
{
	struct source_options complete = *opts;
	struct source *inner = NULL;
	int r;

	if (!complete.max_connections)
		complete.max_connections = SOURCE_MAX_CONNECTIONS_DEFAULT;
	if (!complete.stall_ms)
		complete.stall_ms = SOURCE_STALL_MS_DEFAULT;
	assert_limits(&(struct source_limits){.max_connections = complete.max_connections,
	                                      .stall_ms = complete.stall_ms});
	r = open_inner(url, &complete, &inner, err);
	if (r < 0)
		return r;
	assert(inner);
	return checked_new(inner, ret, err);
}
