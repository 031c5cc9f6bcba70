/*
 * Who we are to the server, and by which way we go there: login, header lines, client certificate,
 * proxy. All but the proxy is for the origin of the user's own URL and never sent to another one.
 *
 * The files of a login, of headers and netrc are read when the source is opened, and again when the
 * server denies access: a renewed token counts without a remount. After open only the loop's thread
 * uses this, and never reads a file of the user's: a thread of its own does (http_renewal.h).
 */
#ifndef CLONEFS_BACKENDS_HTTP_AUTH_H
#define CLONEFS_BACKENDS_HTTP_AUTH_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

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

/* Header lines for the user's own origin; borrowed until http_auth_renewed(); NULL: none. */
const struct curl_slist *http_auth_headers(const struct http_auth *auth);

/* Changes with each reading that brought something new. */
unsigned int http_auth_generation(const struct http_auth *auth);

/* See http_renewal_watch(): who is woken then calls http_auth_renewed(). */
void http_auth_watch(struct http_auth *auth, void (*notify)(void *user), void *user);

/*
 * Has the files read again; the number of the reading, see http_renewal_ask(). 0: there are none,
 * or no answer is to be had soon.
 */
uint64_t http_auth_renew(struct http_auth *auth, uint64_t patience_ns);

/*
 * Takes what a reading has brought since the last call: readings up to the returned number are
 * over. 0: there was none. One that failed changes nothing but http_auth_problem().
 */
uint64_t http_auth_renewed(struct http_auth *auth);

/* Why the last reading failed, a sentence; "": it did not. */
const char *http_auth_problem(const struct http_auth *auth);

#endif
