/*
 * Who we are to the server, and by which way we go there: login, header lines, client certificate,
 * proxy. All but the proxy is for the origin of the user's own URL and never sent to another one.
 *
 * The files of a login and of headers are read when the source is opened, and again when the server
 * denies access: a renewed token counts without a remount. After open only the loop's thread uses
 * this.
 */
#ifndef CLONEFS_BACKENDS_HTTP_AUTH_H
#define CLONEFS_BACKENDS_HTTP_AUTH_H

#include <curl/curl.h>
#include <stdbool.h>

#include "backends/http_url.h"
#include "backends/registry.h"

struct http_auth;

/*
 * Reads what @opts name, and takes the login of @url unless there is a user_file. -EINVAL and
 * errors of open(2), in a sentence without secrets; -ENOMEM. Blocks on the disk.
 */
int http_auth_open(const struct source_options *opts, const struct http_url *url,
                   struct http_auth **ret, struct cf_error *err);
/* Wipes what is secret. NULL is allowed. */
void http_auth_free(struct http_auth *auth);

/* What does not depend on where a request goes: the proxy. Once for each handle. */
CURLcode http_auth_prepare(const struct http_auth *auth, CURL *easy);

/* Login and certificate of the next request; @own: it goes to the user's own origin. */
CURLcode http_auth_apply(const struct http_auth *auth, CURL *easy, bool own);

/* Header lines for the user's own origin; borrowed until the next reload; NULL: none. */
const struct curl_slist *http_auth_headers(const struct http_auth *auth);

/* Changes with each reload that brought something new. */
unsigned int http_auth_generation(const struct http_auth *auth);

/*
 * Reads the files again. 1: something is new; 0: all is as before; an error leaves all as before.
 * Blocks on the disk.
 */
int http_auth_reload(struct http_auth *auth, struct cf_error *err);

#endif
