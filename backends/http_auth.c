#include "backends/http_auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/http_credentials.h"

struct http_auth {
	char *user_file; /* owned, like all strings here; NULL: not given */
	char *header_file;
	bool use_netrc;
	char *netrc; /* NULL: ~/.netrc */
	char *cert;
	char *key;
	bool no_proxy;          /* whatever the environment says */
	struct http_url *proxy; /* owned reference; NULL: the environment's */

	unsigned int generation;
	char *user;
	char *password;
	struct curl_slist *headers; /* owned */
};

static int check_file(const char *what, const char *path, struct cf_error *err)
{
	if (path && access(path, R_OK) < 0)
		return cf_error_errno(err, -errno, "the %s %s cannot be read", what, path);
	return 0;
}

/* False: no memory. */
static bool copy(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return !text || *ret;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_headers(const struct curl_slist *a, const struct curl_slist *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (strcmp(a->data, b->data) != 0)
			return false;
	return a == b;
}

static int read_login(const char *path, char **ret_user, char **ret_password, struct cf_error *err)
{
	char *text = NULL;
	int r = http_credentials_read(path, &text, err);

	if (r == 0)
		r = http_credentials_parse_login(text, path, ret_user, ret_password, err);
	http_credentials_wipe(text);
	return r < 0 ? cf_error_prefix(err, "user_file") : 0;
}

static int read_headers(const char *path, struct curl_slist **ret_headers, struct cf_error *err)
{
	char *text = NULL;
	int r = http_credentials_read(path, &text, err);

	if (r == 0)
		r = http_credentials_parse_headers(text, path, ret_headers, err);
	http_credentials_wipe(text);
	return r < 0 ? cf_error_prefix(err, "header_file") : 0;
}

static bool take_login(struct http_auth *auth, char *user, char *password)
{
	bool is_new = !same(auth->user, user) || !same(auth->password, password);

	http_credentials_wipe(auth->user);
	http_credentials_wipe(auth->password);
	auth->user = user;
	auth->password = password;
	return is_new;
}

static bool take_headers(struct http_auth *auth, struct curl_slist *headers)
{
	bool is_new = !same_headers(auth->headers, headers);

	http_credentials_wipe_headers(auth->headers);
	auth->headers = headers;
	return is_new;
}

int http_auth_reload(struct http_auth *auth, struct cf_error *err)
{
	struct curl_slist *headers = NULL;
	char *user = NULL;
	char *password = NULL;
	bool is_new = false;
	int r = 0;

	if (auth->header_file)
		r = read_headers(auth->header_file, &headers, err);
	if (r == 0 && auth->user_file)
		r = read_login(auth->user_file, &user, &password, err);
	if (r < 0) {
		http_credentials_wipe_headers(headers);
		return r;
	}
	if (auth->header_file)
		is_new = take_headers(auth, headers);
	if (auth->user_file)
		is_new |= take_login(auth, user, password);
	auth->generation += is_new;
	return is_new;
}

static int check_options(const struct source_options *opts, struct cf_error *err)
{
	int r;

	if ((r = check_file("CA certificates", opts->cacert, err)) < 0 ||
	    (r = check_file("client certificate", opts->cert, err)) < 0 ||
	    (r = check_file("client certificate's key", opts->key, err)) < 0)
		return r;
	return opts->netrc && *opts->netrc ? check_file("netrc file", opts->netrc, err) : 0;
}

static bool copy_options(struct http_auth *auth, const struct source_options *opts)
{
	auth->use_netrc = opts->netrc != NULL;
	auth->no_proxy = opts->proxy && !*opts->proxy;
	return copy(opts->user_file, &auth->user_file) &&
	       copy(opts->header_file, &auth->header_file) &&
	       copy(opts->netrc && *opts->netrc ? opts->netrc : NULL, &auth->netrc) &&
	       copy(opts->cert, &auth->cert) &&
	       copy(opts->key ? opts->key : opts->cert, &auth->key);
}

int http_auth_open(const struct source_options *opts, const struct http_url *url,
                   struct http_auth **ret, struct cf_error *err)
{
	struct http_auth *auth;
	int r = check_options(opts, err);

	if (r < 0)
		return r;
	auth = calloc(1, sizeof(*auth));
	if (!auth || !copy_options(auth, opts) || !copy(url->user, &auth->user) ||
	    !copy(url->password, &auth->password))
		r = cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	if (r == 0 && opts->proxy && *opts->proxy)
		r = http_url_parse_proxy(opts->proxy, &auth->proxy, err);
	if (r == 0)
		r = http_auth_reload(auth, err);
	if (r < 0) {
		http_auth_free(auth);
		return r;
	}
	*ret = auth;
	return 0;
}

void http_auth_free(struct http_auth *auth)
{
	if (!auth)
		return;
	http_credentials_wipe_headers(auth->headers);
	http_credentials_wipe(auth->user);
	http_credentials_wipe(auth->password);
	free(auth->user_file);
	free(auth->header_file);
	free(auth->netrc);
	free(auth->cert);
	free(auth->key);
	http_url_unref(auth->proxy);
	free(auth);
}

/* NULL in @value means curl's default. */
struct text_option {
	CURLoption option;
	const char *value;
};

static CURLcode set_texts(CURL *easy, const struct text_option *options, size_t count)
{
	CURLcode rc = CURLE_OK;

	for (size_t i = 0; i < count && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(easy, options[i].option, options[i].value);
	return rc;
}

CURLcode http_auth_prepare(const struct http_auth *auth, CURL *easy)
{
	const struct http_url *url = auth->proxy;
	const struct text_option proxy[] = {
	        {CURLOPT_PROXY, url ? url->text : ""},
	        {CURLOPT_PROXYUSERNAME, url ? url->user : NULL},
	        {CURLOPT_PROXYPASSWORD, url ? url->password : NULL},
	        /* Who names a proxy wants it, whatever no_proxy says. */
	        {CURLOPT_NOPROXY, ""},
	};
	/* The proxy of a tunnel does not see what is meant for the server. */
	CURLcode rc = curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);

	if (rc == CURLE_OK)
		rc = curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	/* A key with a password fails instead of asking for it on the terminal. */
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
	if (rc == CURLE_OK && (url || auth->no_proxy))
		rc = set_texts(easy, proxy, sizeof(proxy) / sizeof(proxy[0]));
	return rc;
}

CURLcode http_auth_apply(const struct http_auth *auth, CURL *easy, bool own)
{
	const struct text_option login[] = {
	        {CURLOPT_USERNAME, own ? auth->user : NULL},
	        {CURLOPT_PASSWORD, own ? auth->password : NULL},
	};
	const struct text_option certificate[] = {
	        {CURLOPT_SSLCERT, own ? auth->cert : NULL},
	        {CURLOPT_SSLKEY, own ? auth->key : NULL},
	};
	CURLcode rc = set_texts(easy, login, sizeof(login) / sizeof(login[0]));

	if (rc == CURLE_OK && auth->cert)
		rc = set_texts(easy, certificate, sizeof(certificate) / sizeof(certificate[0]));
	if (rc == CURLE_OK && auth->use_netrc)
		rc = curl_easy_setopt(easy, CURLOPT_NETRC,
		                      own && !auth->user ? (long)CURL_NETRC_OPTIONAL
		                                         : (long)CURL_NETRC_IGNORED);
	if (rc == CURLE_OK && auth->netrc)
		rc = curl_easy_setopt(easy, CURLOPT_NETRC_FILE, auth->netrc);
	return rc;
}

const struct curl_slist *http_auth_headers(const struct http_auth *auth)
{
	return auth->headers;
}

unsigned int http_auth_generation(const struct http_auth *auth)
{
	return auth->generation;
}
