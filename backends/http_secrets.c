#include "backends/http_secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http_credentials.h"

bool http_secret_files_any(const struct http_secret_files *files)
{
	return files->user_file || files->header_file || files->netrc;
}

void http_secret_files_fini(struct http_secret_files *files)
{
	free(files->user_file);
	free(files->header_file);
	free(files->netrc);
	*files = (struct http_secret_files){.user_file = NULL};
}

static int read_login(const char *path, struct http_secrets *secrets, struct cf_error *err)
{
	char *text = NULL;
	int r = http_credentials_read(path, &text, err);

	if (r == 0)
		r = http_credentials_parse_login(text, path, &secrets->user, &secrets->password,
		                                 err);
	http_credentials_wipe(text);
	if (r < 0)
		(void)cf_error_prefix(err, "user_file");
	return r;
}

static int read_headers(const char *path, struct http_secrets *secrets, struct cf_error *err)
{
	char *text = NULL;
	int r = http_credentials_read(path, &text, err);

	if (r == 0)
		r = http_credentials_parse_headers(text, path, &secrets->headers, err);
	http_credentials_wipe(text);
	if (r < 0)
		(void)cf_error_prefix(err, "header_file");
	return r;
}

static int read_netrc(const struct http_secret_files *files, struct http_secrets *secrets,
                      struct cf_error *err)
{
	int r = http_credentials_read(files->netrc, &secrets->netrc, err);

	if (r == -ENOENT && files->netrc_may_be_missing)
		return 0;
	if (r < 0)
		(void)cf_error_prefix(err, "netrc");
	return r;
}

int http_secrets_read(const struct http_secret_files *files, struct http_secrets *ret,
                      struct cf_error *err)
{
	struct http_secrets secrets = {.user = NULL};
	int r = 0;

	if (files->header_file)
		r = read_headers(files->header_file, &secrets, err);
	if (r == 0 && files->user_file)
		r = read_login(files->user_file, &secrets, err);
	if (r == 0 && files->netrc)
		r = read_netrc(files, &secrets, err);
	if (r < 0) {
		http_secrets_wipe(&secrets);
		return r;
	}
	*ret = secrets;
	return 0;
}

static bool same_text(const char *a, const char *b)
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

bool http_secrets_same(const struct http_secrets *a, const struct http_secrets *b)
{
	return same_text(a->user, b->user) && same_text(a->password, b->password) &&
	       same_text(a->netrc, b->netrc) && same_headers(a->headers, b->headers);
}

void http_secrets_wipe(struct http_secrets *secrets)
{
	http_credentials_wipe(secrets->user);
	http_credentials_wipe(secrets->password);
	http_credentials_wipe(secrets->netrc);
	http_credentials_wipe_headers(secrets->headers);
	*secrets = (struct http_secrets){.user = NULL};
}
