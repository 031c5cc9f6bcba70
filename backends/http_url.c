#include "backends/http_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"

static bool is_https(const struct http_url *url)
{
	return strncmp(url->origin, "https:", 6) == 0;
}

/* A copy of one part that free() can free; NULL: absent, or no memory (*ret_rc tells). */
static char *part_of(CURLU *u, CURLUPart part, unsigned int flags, CURLUcode *ret_rc)
{
	char *theirs = NULL;
	char *ours = NULL;

	*ret_rc = curl_url_get(u, part, &theirs, flags);
	if (*ret_rc == CURLUE_OK) {
		ours = strdup(theirs);
		if (!ours)
			*ret_rc = CURLUE_OUT_OF_MEMORY;
	}
	curl_free(theirs);
	return ours;
}

static CURLUcode take_userinfo(CURLU *u, struct http_url *url)
{
	CURLUcode rc;

	url->user = part_of(u, CURLUPART_USER, CURLU_URLDECODE, &rc);
	if (rc != CURLUE_OK && rc != CURLUE_NO_USER)
		return rc;
	url->password = part_of(u, CURLUPART_PASSWORD, CURLU_URLDECODE, &rc);
	if (rc != CURLUE_OK && rc != CURLUE_NO_PASSWORD)
		return rc;
	rc = curl_url_set(u, CURLUPART_USER, NULL, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_set(u, CURLUPART_OPTIONS, NULL, 0);
	return rc;
}

static CURLUcode take_origin(CURLU *u, struct http_url *url)
{
	CF_AUTO_FREE char *scheme = NULL;
	CF_AUTO_FREE char *host = NULL;
	CF_AUTO_FREE char *port = NULL;
	CURLUcode rc;

	scheme = part_of(u, CURLUPART_SCHEME, 0, &rc);
	if (rc == CURLUE_OK && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		rc = CURLUE_UNSUPPORTED_SCHEME;
	if (rc == CURLUE_OK)
		host = part_of(u, CURLUPART_HOST, 0, &rc);
	if (rc == CURLUE_OK)
		port = part_of(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &rc);
	if (rc != CURLUE_OK)
		return rc;
	if (asprintf(&url->origin, "%s://%s:%s", scheme, host, port) < 0) {
		url->origin = NULL;
		return CURLUE_OUT_OF_MEMORY;
	}
	for (char *c = url->origin; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	return CURLUE_OK;
}

/* Sets the text with the query, then drops it for the shown form. */
static CURLUcode take_texts(CURLU *u, struct http_url *url)
{
	CF_AUTO_FREE char *query = NULL;
	CF_AUTO_FREE char *bare = NULL;
	CURLUcode rc;

	rc = curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (rc != CURLUE_OK)
		return rc;
	url->text = part_of(u, CURLUPART_URL, 0, &rc);
	if (rc != CURLUE_OK)
		return rc;
	query = part_of(u, CURLUPART_QUERY, 0, &rc);
	if (rc != CURLUE_OK && rc != CURLUE_NO_QUERY)
		return rc;
	rc = curl_url_set(u, CURLUPART_QUERY, NULL, 0);
	if (rc != CURLUE_OK)
		return rc;
	bare = part_of(u, CURLUPART_URL, 0, &rc);
	if (rc != CURLUE_OK)
		return rc;
	if (asprintf(&url->shown, "%s%s", bare, query ? "?..." : "") < 0) {
		url->shown = NULL;
		return CURLUE_OUT_OF_MEMORY;
	}
	return CURLUE_OK;
}

static CURLUcode build(CURLU *u, struct http_url **ret)
{
	struct http_url *url = calloc(1, sizeof(*url));
	CURLUcode rc;

	if (!url)
		return CURLUE_OUT_OF_MEMORY;
	url->refs = 1;
	rc = take_userinfo(u, url);
	if (rc == CURLUE_OK)
		rc = take_origin(u, url);
	if (rc == CURLUE_OK)
		rc = take_texts(u, url);
	if (rc != CURLUE_OK) {
		http_url_unref(url);
		return rc;
	}
	*ret = url;
	return CURLUE_OK;
}

/* @text is taken relative to @base unless that is NULL. */
static CURLUcode parse(const char *base, const char *text, struct http_url **ret)
{
	CURLU *u = curl_url();
	CURLUcode rc = u ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;

	if (rc == CURLUE_OK && base)
		rc = curl_url_set(u, CURLUPART_URL, base, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_set(u, CURLUPART_URL, text, CURLU_URLENCODE | CURLU_ALLOW_SPACE);
	if (rc == CURLUE_OK)
		rc = build(u, ret);
	curl_url_cleanup(u);
	return rc;
}

int http_url_parse(const char *text, struct http_url **ret, struct cf_error *err)
{
	CURLUcode rc = parse(NULL, text, ret);

	if (rc == CURLUE_OUT_OF_MEMORY)
		return cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	if (rc != CURLUE_OK)
		return cf_error_set(err, -EINVAL, "the source's URL is malformed: %s",
		                    curl_url_strerror(rc));
	return 0;
}

static CURLUcode check_proxy_scheme(CURLU *u)
{
	static const char *const schemes[] = {"http",    "https",  "socks4",
	                                      "socks4a", "socks5", "socks5h"};
	CURLUcode rc;
	CF_AUTO_FREE char *scheme = part_of(u, CURLUPART_SCHEME, 0, &rc);

	if (rc != CURLUE_OK)
		return rc;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strcmp(scheme, schemes[i]) == 0)
			return CURLUE_OK;
	return CURLUE_UNSUPPORTED_SCHEME;
}

static CURLUcode build_proxy(CURLU *u, const char *text, struct http_url *url)
{
	CURLUcode rc = u ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
	bool has_scheme = strstr(text, "://");

	if (rc == CURLUE_OK)
		rc = curl_url_set(u, CURLUPART_URL, text,
		                  has_scheme ? CURLU_NON_SUPPORT_SCHEME : CURLU_DEFAULT_SCHEME);
	/* Not guessed from the host's name, which may begin with "ftp.". */
	if (rc == CURLUE_OK && !has_scheme)
		rc = curl_url_set(u, CURLUPART_SCHEME, "http", 0);
	if (rc == CURLUE_OK)
		rc = check_proxy_scheme(u);
	if (rc == CURLUE_OK)
		rc = take_userinfo(u, url);
	if (rc == CURLUE_OK)
		url->text = part_of(u, CURLUPART_URL, 0, &rc);
	return rc;
}

int http_url_parse_proxy(const char *text, struct http_url **ret, struct cf_error *err)
{
	struct http_url *url = calloc(1, sizeof(*url));
	CURLU *u = curl_url();
	CURLUcode rc = CURLUE_OUT_OF_MEMORY;

	if (url) {
		url->refs = 1;
		rc = build_proxy(u, text, url);
	}
	curl_url_cleanup(u);
	if (rc == CURLUE_OK) {
		*ret = url;
		return 0;
	}
	http_url_unref(url);
	if (rc == CURLUE_OUT_OF_MEMORY)
		return cf_error_errno(err, -ENOMEM, "the proxy");
	if (rc == CURLUE_UNSUPPORTED_SCHEME)
		return cf_error_set(err, -EINVAL,
		                    "the proxy's URL has another scheme than http, https, socks4, "
		                    "socks4a, socks5 and socks5h");
	return cf_error_set(err, -EINVAL, "the proxy's URL is malformed: %s",
	                    curl_url_strerror(rc));
}

int http_url_redirect(const struct http_url *base, const char *location, bool insecure,
                      struct http_url **ret, struct cf_error *err)
{
	struct http_url *url = NULL;
	CURLUcode rc = parse(base->text, location, &url);

	if (rc == CURLUE_UNSUPPORTED_SCHEME)
		return cf_error_set(err, -EINVAL,
		                    "the server redirects to something that is neither http nor "
		                    "https");
	if (rc != CURLUE_OK)
		return cf_error_set(err, -EINVAL, "the server redirects to a malformed URL: %s",
		                    curl_url_strerror(rc));
	if (!insecure && is_https(base) && !is_https(url)) {
		http_url_unref(url);
		return cf_error_set(err, -EINVAL,
		                    "the server redirects from https down to http, which is "
		                    "refused without insecure_redirect");
	}
	free(url->user);
	free(url->password);
	url->user = NULL;
	url->password = NULL;
	*ret = url;
	return 0;
}

struct http_url *http_url_ref(struct http_url *url)
{
	url->refs++;
	return url;
}

void http_url_unref(struct http_url *url)
{
	if (!url || --url->refs)
		return;
	free(url->text);
	free(url->origin);
	free(url->shown);
	if (url->password)
		explicit_bzero(url->password, strlen(url->password));
	free(url->user);
	free(url->password);
	free(url);
}

bool http_url_same_origin(const struct http_url *a, const struct http_url *b)
{
	return strcmp(a->origin, b->origin) == 0;
}
