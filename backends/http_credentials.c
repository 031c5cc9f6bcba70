#include "backends/http_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/base/small_file.h"

/* What the backend says itself, and must be sure of. */
static const char *const own_headers[] = {
        "Accept-Encoding",
        "Connection",
        "Content-Length",
        "Expect",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Range",
        "If-Unmodified-Since",
        "Proxy-Authorization",
        "Range",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
};

void http_credentials_wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void http_credentials_wipe_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}

int http_credentials_read(const char *path, char **ret_text, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const size_t size = HTTP_CREDENTIALS_FILE_MAX + 1;
	size_t length = 0;
	char *text;
	int r;

	if (fd < 0)
		return cf_error_errno(err, -errno, "%s cannot be read", path);
	text = malloc(size);
	if (!text)
		return cf_error_errno(err, -ENOMEM, "%s", path);
	r = small_file_read(fd, text, size, &length);
	if (r == 0) {
		text[length] = 0;
		if (strlen(text) == length) {
			*ret_text = text;
			return 0;
		}
	}
	explicit_bzero(text, size);
	free(text);
	if (r == -EINVAL)
		return cf_error_set(err, r, "%s is no regular file", path);
	if (r < 0 && r != -EFBIG)
		return cf_error_errno(err, r, "%s cannot be read", path);
	return cf_error_set(err, -EINVAL, "%s has more than %d bytes, or a NUL", path,
	                    HTTP_CREDENTIALS_FILE_MAX);
}

static bool has_control_character(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return true;
	return false;
}

/* The line at @text without its end; *ret_next: the one behind it, NULL when it was the last. */
static size_t line_length(const char *text, const char **ret_next)
{
	const char *end = strchrnul(text, '\n');
	size_t length = (size_t)(end - text);

	*ret_next = *end ? end + 1 : NULL;
	return length && text[length - 1] == '\r' ? length - 1 : length;
}

int http_credentials_parse_login(const char *text, const char *path, char **ret_user,
                                 char **ret_password, struct cf_error *err)
{
	const char *next;
	size_t length = line_length(text, &next);
	const char *colon = memchr(text, ':', length);

	if (!colon || (next && next[strspn(next, "\r\n")]) || has_control_character(text, length))
		return cf_error_set(err, -EINVAL, "%s: expected one line, USER:PASSWORD", path);
	*ret_user = strndup(text, (size_t)(colon - text));
	*ret_password = strndup(colon + 1, length - (size_t)(colon + 1 - text));
	if (*ret_user && *ret_password)
		return 0;
	http_credentials_wipe(*ret_user);
	http_credentials_wipe(*ret_password);
	return cf_error_errno(err, -ENOMEM, "%s", path);
}

/* RFC 9110, 5.6.2: what a header's name is made of. */
static size_t token_length(const char *text, size_t length)
{
	static const char characters[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t token = strspn(text, characters);

	return token < length ? token : length;
}

static bool is_own_header(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(own_headers) / sizeof(own_headers[0]); i++)
		if (strlen(own_headers[i]) == length && !strncasecmp(own_headers[i], name, length))
			return true;
	return false;
}

static int append_header(struct curl_slist **headers, const char *line, size_t length)
{
	char *copy = strndup(line, length);
	struct curl_slist *grown = copy ? curl_slist_append(*headers, copy) : NULL;

	http_credentials_wipe(copy);
	if (!grown)
		return -ENOMEM;
	*headers = grown;
	return 0;
}

static int parse_header(const char *line, size_t length, unsigned int number, const char *path,
                        struct curl_slist **headers, struct cf_error *err)
{
	size_t name = token_length(line, length);
	size_t value = name < length && line[name] == ':' ? name + 1 : length;

	value += value < length ? strspn(line + value, " \t") : 0;
	if (name == 0 || value >= length || has_control_character(line, length))
		return cf_error_set(err, -EINVAL, "%s: line %u: expected NAME: VALUE", path,
		                    number);
	if (is_own_header(line, name))
		return cf_error_set(err, -EINVAL,
		                    "%s: line %u: the header %.*s is not for others to set", path,
		                    number, (int)name, line);
	if (append_header(headers, line, length) < 0)
		return cf_error_errno(err, -ENOMEM, "%s", path);
	return 0;
}

int http_credentials_parse_headers(const char *text, const char *path,
                                   struct curl_slist **ret_headers, struct cf_error *err)
{
	struct curl_slist *headers = NULL;
	unsigned int number = 0;

	for (const char *line = text, *next; line; line = next) {
		size_t length = line_length(line, &next);
		int r;

		number++;
		if (!length || *line == '#')
			continue;
		r = parse_header(line, length, number, path, &headers, err);
		if (r < 0) {
			http_credentials_wipe_headers(headers);
			return r;
		}
	}
	*ret_headers = headers;
	return 0;
}
