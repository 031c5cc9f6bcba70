#include "backends/http_auth.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/http_credentials.h"
#include "backends/http_renewal.h"
#include "backends/http_secrets.h"

struct http_auth {
	char *cert; /* owned, like all strings here; NULL: not given */
	char *key;
	bool no_proxy;                /* whatever the environment says */
	struct http_url *proxy;       /* owned reference; NULL: the environment's */
	struct http_renewal *renewal; /* owned; NULL: there are no files */
	bool has_user_file;           /* it counts instead of the URL's login */
	char *url_user;
	char *url_password;

	unsigned int generation;
	struct http_secrets secrets; /* owned; of the files */
	/* curl wants netrc as a file, and reads it on the loop's thread: it gets a copy in memory.
	 */
	int netrc_fd; /* owned; -1: no netrc */
	char netrc_path[32];
	struct cf_error problem; /* of the last reading */
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

/* The copy has the text that curl reads from now on. */
static int fill_netrc(struct http_auth *auth)
{
	const char *text = auth->secrets.netrc ? auth->secrets.netrc : "";
	size_t left = strlen(text);

	if (ftruncate(auth->netrc_fd, 0) < 0)
		return -errno;
	for (off_t at = 0; left;) {
		ssize_t n = pwrite(auth->netrc_fd, text + at, left, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int make_netrc(struct http_auth *auth)
{
	auth->netrc_fd = memfd_create("clonefs-netrc", MFD_CLOEXEC);
	if (auth->netrc_fd < 0)
		return -errno;
	(void)snprintf(auth->netrc_path, sizeof(auth->netrc_path), "/proc/self/fd/%d",
	               auth->netrc_fd);
	return fill_netrc(auth);
}

static void exchange(struct http_secrets *a, struct http_secrets *b)
{
	struct http_secrets kept = *a;

	*a = *b;
	*b = kept;
}

static const char *user_of(const struct http_auth *auth)
{
	return auth->has_user_file ? auth->secrets.user : auth->url_user;
}

static const char *password_of(const struct http_auth *auth)
{
	return auth->has_user_file ? auth->secrets.password : auth->url_password;
}

static int check_options(const struct source_options *opts, struct cf_error *err)
{
	int r = check_file("CA certificates", opts->cacert, err);

	if (r == 0)
		r = check_file("client certificate", opts->cert, err);
	if (r == 0)
		r = check_file("client certificate's key", opts->key, err);
	return r;
}

/* As curl finds it; NULL with *ret_ok: there is no home. */
static char *default_netrc(bool *ret_ok)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char buffer[4096];
	char *path = NULL;

	if (!home && getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
		home = found->pw_dir;
	*ret_ok = !home || asprintf(&path, "%s/.netrc", home) >= 0;
	return *ret_ok ? path : NULL;
}

static bool copy_files(struct http_secret_files *files, const struct source_options *opts)
{
	bool ok = true;

	files->netrc_may_be_missing = opts->netrc && !*opts->netrc;
	if (files->netrc_may_be_missing)
		files->netrc = default_netrc(&ok);
	else
		ok = copy(opts->netrc, &files->netrc);
	return ok && copy(opts->user_file, &files->user_file) &&
	       copy(opts->header_file, &files->header_file);
}

static bool copy_options(struct http_auth *auth, const struct source_options *opts,
                         const struct http_url *url)
{
	auth->no_proxy = opts->proxy && !*opts->proxy;
	auth->has_user_file = opts->user_file != NULL;
	return copy(opts->cert, &auth->cert) &&
	       copy(opts->key ? opts->key : opts->cert, &auth->key) &&
	       copy(url->user, &auth->url_user) && copy(url->password, &auth->url_password);
}

/* The first reading, on the thread of whoever opens. */
static int open_files(struct http_auth *auth, const struct source_options *opts,
                      struct cf_error *err)
{
	struct http_secret_files files = {.user_file = NULL};
	bool has_memory = copy_files(&files, opts);
	int r = has_memory ? http_secrets_read(&files, &auth->secrets, err) : 0;

	if (r == 0 && has_memory && files.netrc)
		has_memory = make_netrc(auth) == 0;
	if (r == 0 && has_memory && http_secret_files_any(&files))
		has_memory = http_renewal_new(&files, &auth->renewal) == 0;
	http_secret_files_fini(&files);
	return has_memory ? r : cf_error_errno(err, -ENOMEM, "the source cannot be opened");
}

int http_auth_open(const struct source_options *opts, const struct http_url *url,
                   struct http_auth **ret, struct cf_error *err)
{
	struct http_auth *auth;
	int r = check_options(opts, err);

	if (r < 0)
		return r;
	auth = calloc(1, sizeof(*auth));
	if (auth)
		auth->netrc_fd = -1;
	if (!auth || !copy_options(auth, opts, url))
		r = cf_error_errno(err, -ENOMEM, "the source cannot be opened");
	if (r == 0 && opts->proxy && *opts->proxy)
		r = http_url_parse_proxy(opts->proxy, &auth->proxy, err);
	if (r == 0)
		r = open_files(auth, opts, err);
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
	http_renewal_free(auth->renewal);
	http_secrets_wipe(&auth->secrets);
	http_credentials_wipe(auth->url_user);
	http_credentials_wipe(auth->url_password);
	if (auth->netrc_fd >= 0)
		(void)close(auth->netrc_fd);
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
	        {CURLOPT_USERNAME, own ? user_of(auth) : NULL},
	        {CURLOPT_PASSWORD, own ? password_of(auth) : NULL},
	};
	const struct text_option certificate[] = {
	        {CURLOPT_SSLCERT, own ? auth->cert : NULL},
	        {CURLOPT_SSLKEY, own ? auth->key : NULL},
	};
	CURLcode rc = set_texts(easy, login, sizeof(login) / sizeof(login[0]));

	if (rc == CURLE_OK && auth->cert)
		rc = set_texts(easy, certificate, sizeof(certificate) / sizeof(certificate[0]));
	if (rc == CURLE_OK && auth->netrc_fd >= 0)
		rc = curl_easy_setopt(easy, CURLOPT_NETRC,
		                      own && !user_of(auth) ? (long)CURL_NETRC_OPTIONAL
		                                            : (long)CURL_NETRC_IGNORED);
	if (rc == CURLE_OK && auth->netrc_fd >= 0)
		rc = curl_easy_setopt(easy, CURLOPT_NETRC_FILE, auth->netrc_path);
	return rc;
}

const struct curl_slist *http_auth_headers(const struct http_auth *auth)
{
	return auth->secrets.headers;
}

unsigned int http_auth_generation(const struct http_auth *auth)
{
	return auth->generation;
}

void http_auth_watch(struct http_auth *auth, void (*notify)(void *user), void *user)
{
	if (auth->renewal)
		http_renewal_watch(auth->renewal, notify, user);
}

uint64_t http_auth_renew(struct http_auth *auth, uint64_t patience_ns)
{
	return auth->renewal ? http_renewal_ask(auth->renewal, patience_ns) : 0;
}

uint64_t http_auth_renewed(struct http_auth *auth)
{
	struct http_secrets found = {.user = NULL};
	struct cf_error why = {0};
	uint64_t number;
	int r = 0;

	number = auth->renewal ? http_renewal_take(auth->renewal, &r, &found, &why) : 0;
	if (!number)
		return 0;
	auth->problem = why;
	if (r == 0) {
		exchange(&auth->secrets, &found);
		/* Without room for it in memory curl finds a part of it, and is denied again. */
		if (auth->netrc_fd >= 0)
			(void)fill_netrc(auth);
		auth->generation += !http_secrets_same(&auth->secrets, &found);
	}
	http_secrets_wipe(&found);
	return number;
}

const char *http_auth_problem(const struct http_auth *auth)
{
	return auth->problem.text;
}
