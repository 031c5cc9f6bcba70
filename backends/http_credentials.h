/*
 * The files that hold secrets for a server: one with a login, one with header lines. They are
 * small, and may be replaced by others at any time. No sentence shows a part of what they hold.
 */
#ifndef CLONEFS_BACKENDS_HTTP_CREDENTIALS_H
#define CLONEFS_BACKENDS_HTTP_CREDENTIALS_H

#include <curl/curl.h>
#include <stddef.h>

#include "core/base/error.h"

#define HTTP_CREDENTIALS_FILE_MAX 65536 /* bytes */

/*
 * Reads @path whole. *ret_text is NUL-terminated and owned by the caller, who wipes it. -EINVAL:
 * not a regular file, too long, or it holds a NUL; else an error of open(2) or read(2).
 * Blocks on the disk.
 */
int http_credentials_read(const char *path, char **ret_text, struct cf_error *err);

/*
 * "USER:PASSWORD" on one line, with or without a line end; the user ends at the first colon.
 * -EINVAL, -ENOMEM. Both results are owned by the caller, who wipes them. @path is for the
 * sentence.
 */
int http_credentials_parse_login(const char *text, const char *path, char **ret_user,
                                 char **ret_password, struct cf_error *err);

/*
 * "NAME: VALUE" lines; empty ones and those that begin with '#' are passed over. Refused with the
 * number of the line: anything else, and headers that decide which bytes come (Range, If-Match...).
 * -EINVAL, -ENOMEM. *ret_headers (NULL: none) is owned by the caller, who wipes it.
 */
int http_credentials_parse_headers(const char *text, const char *path,
                                   struct curl_slist **ret_headers, struct cf_error *err);

/* Overwrites and frees. NULL is allowed. */
void http_credentials_wipe(char *text);
void http_credentials_wipe_headers(struct curl_slist *headers);

#endif
