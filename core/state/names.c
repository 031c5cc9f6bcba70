#include "core/state/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/state/paths.h"
#include "core/state/url.h"

#define NAME_STEM_MAX  40
#define NAME_DIGITS    8
#define BASENAME_OTHER "disk.img"

/* Parts of a query that change with each signing of the same object; '*' ends a prefix. */
static const char *const signature_parameters[] = {
        "X-Amz-*",   "X-Goog-*", "X-Oss-*",     "AWSAccessKeyId",
        "Signature", "Expires",  "Key-Pair-Id", "Policy",
        "sig",       "se",       "sp",          "sv",
        "sr",        "st",       "token",       "access_token",
};

static bool is_signature_parameter(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(signature_parameters) / sizeof(*signature_parameters); i++) {
		const char *known = signature_parameters[i];
		size_t known_length = strlen(known);

		if (known[known_length - 1] == '*') {
			if (length >= known_length - 1 && !strncmp(name, known, known_length - 1))
				return true;
		} else if (length == known_length && !strncmp(name, known, length)) {
			return true;
		}
	}
	return false;
}

/* Writes "?" and the parameters that tell one object from another, or nothing. */
static void write_identity_query(FILE *out, struct url_span query)
{
	const char *at = query.start;
	size_t left = query.length;
	char separator = '?';

	while (left) {
		const char *end = memchr(at, '&', left);
		size_t length = end ? (size_t)(end - at) : left;
		const char *equals = memchr(at, '=', length);

		if (length &&
		    !is_signature_parameter(at, equals ? (size_t)(equals - at) : length)) {
			fprintf(out, "%c%.*s", separator, (int)length, at);
			separator = '&';
		}
		at += length + (end != NULL);
		left -= length + (end != NULL);
	}
}

static void write_origin(FILE *out, const struct url_parts *parts, bool lower)
{
	fputs(parts->tls ? "https://" : "http://", out);
	for (size_t i = 0; i < parts->host.length; i++) {
		unsigned char c = (unsigned char)parts->host.start[i];

		fputc(lower ? tolower(c) : c, out);
	}
	if (parts->port)
		fprintf(out, ":%u", parts->port);
}

static char *make_identity(const struct url_parts *parts)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_origin(out, parts, true);
	if (parts->path.length)
		fwrite(parts->path.start, 1, parts->path.length, out);
	else
		fputc('/', out);
	write_identity_query(out, parts->query);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static char *make_shown(const struct url_parts *parts)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_origin(out, parts, false);
	fwrite(parts->path.start, 1, parts->path.length, out);
	if (parts->query.length)
		fputs("?...", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static bool is_usable_basename(const char *text, size_t length)
{
	if (length == 0 || length > NAME_MAX || (length == 1 && text[0] == '.') ||
	    (length == 2 && text[0] == '.' && text[1] == '.'))
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '/' || (unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

/* The last element of @path, decoded if @encoded; BASENAME_OTHER if that is no file name. */
static int set_basename(struct source_name *name, struct url_span path, bool encoded)
{
	const char *slash = path.length ? memrchr(path.start, '/', path.length) : NULL;
	struct url_span last = path;
	CF_AUTO_FREE char *decoded = malloc(path.length + 1);
	size_t length;

	if (!decoded)
		return -ENOMEM;
	if (slash) {
		last.start = slash + 1;
		last.length = path.length - (size_t)(last.start - path.start);
	}
	if (encoded) {
		length = url_percent_decode(last, decoded);
	} else {
		memcpy(decoded, last.start, last.length);
		length = last.length;
	}
	if (is_usable_basename(decoded, length)) {
		memcpy(name->basename, decoded, length);
		name->basename[length] = 0;
	} else {
		memcpy(name->basename, BASENAME_OTHER, sizeof(BASENAME_OTHER));
	}
	return 0;
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._+-", c));
}

bool clone_name_is_valid(const char *name)
{
	size_t length = strnlen(name, CLONE_NAME_MAX + 1);

	if (length == 0 || length > CLONE_NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_name_character(name[i]))
			return false;
	return true;
}

/* NAME from BASENAME and the digest, which must be there. */
static void set_name(struct source_name *name)
{
	size_t length = strnlen(name->basename, NAME_STEM_MAX);

	for (size_t i = 0; i < length; i++)
		name->name[i] = is_name_character(name->basename[i]) ? name->basename[i] : '_';
	if (name->name[0] == '.')
		name->name[0] = '_';
	name->name[length] = '-';
	memcpy(name->name + length + 1, name->identity_sha256, NAME_DIGITS);
	name->name[length + 1 + NAME_DIGITS] = 0;
}

static int parse_http(const char *source, struct source_name *name, struct cf_error *err)
{
	struct url_parts parts;
	int r;

	name->kind = SOURCE_KIND_HTTP;
	r = url_parse(source, &parts, err);
	if (r < 0)
		return r;
	name->fetch = strndup(source, parts.fragment_offset);
	name->shown = make_shown(&parts);
	name->identity = make_identity(&parts);
	if (!name->fetch || !name->shown || !name->identity)
		return cf_error_errno(err, -ENOMEM, "the URL of the source");
	return set_basename(name, parts.path, true);
}

static int parse_path(const char *path, struct source_name *name, struct cf_error *err)
{
	int r;

	name->kind = SOURCE_KIND_FILE;
	if (!*path)
		return cf_error_set(err, -EINVAL, "the source is empty: expected a path or a URL");
	r = path_real(path, &name->fetch);
	if (r < 0)
		return cf_error_errno(err, r, "%s", path);
	name->shown = strdup(name->fetch);
	if (!name->shown || asprintf(&name->identity, "file://%s", name->fetch) < 0) {
		name->identity = NULL;
		return cf_error_errno(err, -ENOMEM, "%s", path);
	}
	return set_basename(name, (struct url_span){name->fetch, strlen(name->fetch)}, false);
}

/* file://[localhost]/path, percent-encoded */
static int parse_file_url(const char *url, struct source_name *name, struct cf_error *err)
{
	const char *path = strchr(url + strlen("file://"), '/');
	size_t host = path ? (size_t)(path - url) - strlen("file://") : 1;
	CF_AUTO_FREE char *decoded = NULL;
	size_t length;

	if (!path || (host && (host != 9 || strncasecmp(path - 9, "localhost", 9) != 0)))
		return cf_error_set(err, -EINVAL,
		                    "the file URL of the source names no path on this host: "
		                    "expected file:///path");
	decoded = malloc(strlen(path) + 1);
	if (!decoded)
		return cf_error_errno(err, -ENOMEM, "the URL of the source");
	length = url_percent_decode((struct url_span){path, strlen(path)}, decoded);
	decoded[length] = 0;
	if (strlen(decoded) != length)
		return cf_error_set(err, -EINVAL, "the URL of the source has a NUL in its path");
	return parse_path(decoded, name, err);
}

static int parse_any(const char *source, struct source_name *name, struct cf_error *err)
{
	size_t scheme = url_scheme_length(source);

	if (!scheme)
		return parse_path(source, name, err);
	if (scheme == 4 && !strncasecmp(source, "file", scheme))
		return parse_file_url(source, name, err);
	if ((scheme == 4 && !strncasecmp(source, "http", scheme)) ||
	    (scheme == 5 && !strncasecmp(source, "https", scheme)))
		return parse_http(source, name, err);
	return cf_error_set(err, -EINVAL,
	                    "sources with %.*s:// are not known: expected a path, file://, http:// "
	                    "or https://",
	                    (int)(scheme < 32 ? scheme : 32), source);
}

int source_name_parse(const char *source, struct source_name **ret_name, struct cf_error *err)
{
	struct source_name *name = calloc(1, sizeof(*name));
	int r;

	if (!name)
		return cf_error_errno(err, -ENOMEM, "the source");
	r = parse_any(source, name, err);
	if (r < 0) {
		source_name_free(name);
		return r;
	}
	r = sha256_hex(name->identity, strlen(name->identity), name->identity_sha256);
	if (r < 0) {
		source_name_free(name);
		return cf_error_errno(err, r, "the source's name cannot be made");
	}
	set_name(name);
	*ret_name = name;
	return 0;
}

void source_name_free(struct source_name *name)
{
	int saved = errno;

	if (!name)
		return;
	if (name->fetch)
		explicit_bzero(name->fetch, strlen(name->fetch));
	if (name->identity)
		explicit_bzero(name->identity, strlen(name->identity));
	free(name->fetch);
	free(name->shown);
	free(name->identity);
	free(name);
	errno = saved;
}
