/*
 * What a user keeps secret in files: a login, header lines, a netrc. They are read together, and
 * compared with what they were.
 */
#ifndef CLONEFS_BACKENDS_HTTP_SECRETS_H
#define CLONEFS_BACKENDS_HTTP_SECRETS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/base/error.h"

/* All are owned; NULL: not given. */
struct http_secret_files {
	char *user_file;
	char *header_file;
	char *netrc;
	bool netrc_may_be_missing;
};

/* All are owned; NULL: none. */
struct http_secrets {
	char *user;
	char *password;
	struct curl_slist *headers;
	char *netrc; /* the whole text */
};

bool http_secret_files_any(const struct http_secret_files *files);
void http_secret_files_fini(struct http_secret_files *files);

/*
 * Reads all that are given. *ret is written on success only, and given back with
 * http_secrets_wipe(). -EINVAL, -ENOMEM, errors of open(2) and read(2), in a sentence that shows
 * no part of what they hold. Blocks on the disk; touches nothing but its arguments.
 */
int http_secrets_read(const struct http_secret_files *files, struct http_secrets *ret,
                      struct cf_error *err);

bool http_secrets_same(const struct http_secrets *a, const struct http_secrets *b);

/* Overwrites, frees, and leaves none. */
void http_secrets_wipe(struct http_secrets *secrets);

#endif
