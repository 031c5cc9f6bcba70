#include "core/state/url.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define PORT_HTTP  80
#define PORT_HTTPS 443
#define PORT_MAX   65535

size_t url_scheme_length(const char *text)
{
	size_t length = 0;

	if (!isalpha((unsigned char)text[0]))
		return 0;
	while (isalnum((unsigned char)text[length]) ||
	       (text[length] && strchr("+-.", text[length])))
		length++;
	return strncmp(text + length, "://", 3) == 0 ? length : 0;
}

static int check_characters(const char *url, struct cf_error *err)
{
	for (const unsigned char *c = (const unsigned char *)url; *c; c++)
		if (*c <= ' ' || *c == 0x7f)
			return cf_error_set(err, -EINVAL,
			                    "the URL of the source has a space or a control "
			                    "character: write it percent-encoded");
	return 0;
}

/* Bytes above ASCII may be an international name; the backend knows. */
static bool host_is_plausible(struct url_span host)
{
	bool address = host.start[0] == '[';

	if (address && (host.length < 4 || host.start[host.length - 1] != ']'))
		return false;
	for (size_t i = address; i < host.length - address; i++) {
		unsigned char c = (unsigned char)host.start[i];

		if (address ? !isxdigit(c) && !strchr(":.", c)
		            : !isalnum(c) && !strchr("-._", c) && c < 0x80)
			return false;
	}
	return true;
}

static int parse_port(struct url_span digits, bool tls, unsigned int *ret_port,
                      struct cf_error *err)
{
	unsigned int port = 0;

	for (size_t i = 0; i < digits.length; i++) {
		if (isdigit((unsigned char)digits.start[i]) && port <= PORT_MAX)
			port = 10 * port + (unsigned int)(digits.start[i] - '0');
		else
			port = PORT_MAX + 1;
	}
	if (digits.length && (port == 0 || port > PORT_MAX))
		return cf_error_set(
		        err, -EINVAL,
		        "the port in the URL of the source is not a number from 1 to %d", PORT_MAX);
	*ret_port = port == (tls ? PORT_HTTPS : PORT_HTTP) ? 0 : port;
	return 0;
}

/* @authority: [userinfo@]host[:port]. The last '@' counts, so that no part of a password that holds
 * one is taken for the host. */
static int parse_authority(struct url_span authority, struct url_parts *parts, struct cf_error *err)
{
	const char *at = memrchr(authority.start, '@', authority.length);
	const char *end = authority.start + authority.length;
	const char *host = at ? at + 1 : authority.start;
	const char *host_end = NULL;
	struct url_span port = {0};

	if (host < end && *host == '[')
		host_end = memchr(host, ']', (size_t)(end - host));
	host_end = memchr(host_end ? host_end : host, ':',
	                  (size_t)(end - (host_end ? host_end : host)));
	if (host_end)
		port = (struct url_span){host_end + 1, (size_t)(end - host_end - 1)};
	else
		host_end = end;
	parts->host = (struct url_span){host, (size_t)(host_end - host)};
	if (!parts->host.length)
		return cf_error_set(err, -EINVAL, "the URL of the source has no host");
	if (!host_is_plausible(parts->host))
		return cf_error_set(
		        err, -EINVAL,
		        "the host in the URL of the source is no host name and no address");
	return parse_port(port, parts->tls, &parts->port, err);
}

int url_parse(const char *url, struct url_parts *ret_parts, struct cf_error *err)
{
	size_t scheme = url_scheme_length(url);
	const char *rest = url + scheme + 3;
	struct url_parts parts = {.tls = strncasecmp(url, "https", 5) == 0};
	size_t length;
	int r;

	r = check_characters(url, err);
	if (r < 0)
		return r;
	length = strcspn(rest, "/?#");
	r = parse_authority((struct url_span){rest, length}, &parts, err);
	if (r < 0)
		return r;
	rest += length;
	length = strcspn(rest, "?#");
	parts.path = (struct url_span){rest, length};
	rest += length;
	if (*rest == '?') {
		parts.query = (struct url_span){rest + 1, strcspn(rest + 1, "#")};
		rest += 1 + parts.query.length;
	}
	parts.fragment_offset = (size_t)(rest - url);
	*ret_parts = parts;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_percent_decode(struct url_span text, char *ret)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length; i++) {
		int high = -1;
		int low = -1;

		if (text.start[i] == '%' && i + 2 < text.length) {
			high = hex_digit(text.start[i + 1]);
			low = hex_digit(text.start[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			ret[length++] = (char)(high << 4 | low);
			i += 2;
		} else {
			ret[length++] = text.start[i];
		}
	}
	return length;
}
