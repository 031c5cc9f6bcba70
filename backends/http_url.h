/*
 * The URLs of an http source: the one the user gave and those it redirects to. Userinfo is moved
 * out of the text at once; it belongs to the origin of the user's URL and goes nowhere else.
 *
 * Immutable; counted references. The count is not atomic: after the source is open only the
 * loop's thread takes and drops references.
 */
#ifndef CLONEFS_BACKENDS_HTTP_URL_H
#define CLONEFS_BACKENDS_HTTP_URL_H

#include <stdbool.h>

#include "core/base/error.h"

struct http_url {
	unsigned int refs;
	char *text;     /* owned; without userinfo and fragment */
	char *origin;   /* owned; scheme://host:port, lower case (RFC 6454) */
	char *shown;    /* owned; for people: the query is "?..." */
	char *user;     /* owned; NULL: none */
	char *password; /* owned; NULL: none */
};

/* -EINVAL: malformed, or neither http nor https. The sentence does not repeat @text, which may
 * hold secrets. */
int http_url_parse(const char *text, struct http_url **ret, struct cf_error *err);

/*
 * Where a redirect from @base to @location (absolute or relative) leads. Userinfo in it is
 * dropped. -EINVAL: malformed, another scheme than http and https, or from https to http unless
 * @insecure.
 */
int http_url_redirect(const struct http_url *base, const char *location, bool insecure,
                      struct http_url **ret, struct cf_error *err);

/*
 * The URL of a proxy: http, https, socks4, socks4a, socks5 or socks5h; http without a scheme. Only
 * text, user and password are set. -EINVAL; the sentence shows no part of @text.
 */
int http_url_parse_proxy(const char *text, struct http_url **ret, struct cf_error *err);

struct http_url *http_url_ref(struct http_url *url);
/* NULL is allowed. */
void http_url_unref(struct http_url *url);

bool http_url_same_origin(const struct http_url *a, const struct http_url *b);

#endif
