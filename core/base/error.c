#include "core/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Length of the UTF-8 sequence at @s, 0 if it is none that a terminal should see. */
static size_t utf8_sequence(const unsigned char *s)
{
	size_t length = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (s[0] < 0x20 || s[0] == 0x7f || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than needed, surrogates, beyond U+10FFFF (Unicode, table 3-7). */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	/* C1 control characters are control characters in two bytes. */
	if (s[0] == 0xc2 && s[1] < 0xa0)
		return 0;
	return length;
}

void cf_error_clean_text(char *text)
{
	unsigned char *s = (unsigned char *)text;

	while (*s) {
		size_t length = utf8_sequence(s);

		if (!length) {
			*s = '?';
			length = 1;
		}
		s += length;
	}
}

static void cut_at_character(char *text)
{
	size_t end = CF_ERROR_TEXT_MAX - 4;

	while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	memcpy(text + end, "...", 4);
}

static void append(char *text, size_t *used, const char *format, va_list args)
        __attribute__((format(printf, 3, 0)));

static void append(char *text, size_t *used, const char *format, va_list args)
{
	int n = vsnprintf(text + *used, CF_ERROR_TEXT_MAX - *used, format, args);

	if (n > 0)
		*used += (size_t)n;
	if (*used >= CF_ERROR_TEXT_MAX) {
		*used = CF_ERROR_TEXT_MAX - 1;
		cut_at_character(text);
	}
}

static void append_text(char *text, size_t *used, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void append_text(char *text, size_t *used, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append(text, used, format, args);
	va_end(args);
}

void cf_error_fill(struct cf_error *err, int code, const char *format, ...)
{
	char text[CF_ERROR_TEXT_MAX] = "";
	size_t used = 0;
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	append(text, &used, format, args);
	va_end(args);
	cf_error_clean_text(text);
	err->code = code;
	memcpy(err->text, text, sizeof(text));
}

void cf_error_fill_errno(struct cf_error *err, int code, const char *format, ...)
{
	char text[CF_ERROR_TEXT_MAX] = "";
	char name[128];
	size_t used = 0;
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	append(text, &used, format, args);
	va_end(args);
	append_text(text, &used, ": %s", strerror_r(-code, name, sizeof(name)));
	cf_error_clean_text(text);
	err->code = code;
	memcpy(err->text, text, sizeof(text));
}

int cf_error_prefix(struct cf_error *err, const char *format, ...)
{
	char text[CF_ERROR_TEXT_MAX] = "";
	size_t used = 0;
	va_list args;

	if (!err)
		return 0;
	va_start(args, format);
	append(text, &used, format, args);
	va_end(args);
	append_text(text, &used, ": %s", err->text);
	cf_error_clean_text(text);
	memcpy(err->text, text, sizeof(text));
	return err->code;
}
