#include "daemon/option_string.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_escape(const char *s)
{
	return s[0] == '\\' && (s[1] == ',' || s[1] == '\\' || s[1] == '"');
}

/* Copies from *@cursor to @out up to a character of @stops that is not escaped. */
static void copy_until(const char **cursor, const char *stops, char *out)
{
	const char *s = *cursor;

	while (*s && !strchr(stops, *s)) {
		if (is_escape(s))
			s++;
		*out++ = *s++;
	}
	*out = '\0';
	*cursor = s;
}

static int copy_value(const char **cursor, const char *name, char *out, struct cf_error *err)
{
	if (**cursor != '"') {
		copy_until(cursor, ",", out);
		return 0;
	}
	(*cursor)++;
	copy_until(cursor, "\"", out);
	if (**cursor != '"')
		return cf_error_set(err, -EINVAL,
		                    "option %s: the quote before the value is not closed", name);
	(*cursor)++;
	if (**cursor && **cursor != ',')
		return cf_error_set(err, -EINVAL,
		                    "option %s: expected a comma after the closing quote", name);
	return 0;
}

int option_string_next(const char **cursor, struct option_word *ret_word, struct cf_error *err)
{
	struct option_word word = {NULL, NULL};
	int r;

	while (**cursor == ',')
		(*cursor)++;
	if (!**cursor)
		return 0;
	word.name = malloc(strlen(*cursor) + 1);
	if (!word.name)
		return cf_error_set(err, -ENOMEM, "out of memory");
	copy_until(cursor, ",=", word.name);
	if (**cursor == '=') {
		(*cursor)++;
		word.value = malloc(strlen(*cursor) + 1);
		r = word.value ? copy_value(cursor, word.name, word.value, err)
		               : cf_error_set(err, -ENOMEM, "out of memory");
		if (r < 0) {
			option_word_fini(&word);
			return r;
		}
	}
	*ret_word = word;
	return 1;
}

void option_word_fini(struct option_word *word)
{
	free(word->name);
	free(word->value);
	*word = (struct option_word){NULL, NULL};
}

char *option_string_escape(const char *text)
{
	char *escaped = malloc(2 * strlen(text) + 1);
	char *out = escaped;

	if (!escaped)
		return NULL;
	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
	return escaped;
}
