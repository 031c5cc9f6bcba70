/* An http or https URL taken apart, as spans of the text it was given. Pure; contacts nothing. */
#ifndef CLONEFS_STATE_URL_H
#define CLONEFS_STATE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct url_span {
	const char *start; /* borrowed from the URL */
	size_t length;
};

struct url_parts {
	bool tls;               /* https */
	struct url_span host;   /* brackets of an IPv6 address included */
	unsigned int port;      /* 0: none given, or the scheme's default */
	struct url_span path;   /* "" or begins with '/' */
	struct url_span query;  /* without its '?' */
	size_t fragment_offset; /* where the URL ends without its fragment */
};

/* Length of "scheme" when @text begins with "scheme://", else 0. */
size_t url_scheme_length(const char *text);

/* @url begins with http:// or https://, in any case. -EINVAL: the sentence shows no part of it. */
int url_parse(const char *url, struct url_parts *ret_parts, struct cf_error *err);

/*
 * Decodes %XX in @text into @ret (text.length bytes are enough); a '%' without two digits stays.
 * Returns the length; the result may hold any byte.
 */
size_t url_percent_decode(struct url_span text, char *ret);

#endif
