#include "core/control/json_text.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"

/* Length of the UTF-8 sequence at @s (RFC 3629, section 4), 0 if it is none. */
static size_t sequence_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

struct json_t *json_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	CF_AUTO_FREE char *clean = malloc(3 * strlen(text) + 1);
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	if (!clean)
		return NULL;
	while (*s) {
		size_t length = sequence_length(s);

		if (length) {
			memcpy(clean + used, s, length);
			used += length;
			s += length;
		} else {
			memcpy(clean + used, replacement, sizeof(replacement) - 1);
			used += sizeof(replacement) - 1;
			s++;
		}
	}
	clean[used] = '\0';
	return json_string(clean);
}

struct json_t *json_count(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}
