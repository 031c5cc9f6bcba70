/*
 * The grammar of one -o string: OPTION[,OPTION...], an OPTION being NAME or NAME=VALUE.
 * A backslash takes the special meaning from a comma, a quote or a backslash behind it and is
 * itself otherwise. A VALUE that begins with a quote ends at the next one; the quotes are taken
 * off, commas inside are part of the value.
 */
#ifndef CLONEFS_DAEMON_OPTION_STRING_H
#define CLONEFS_DAEMON_OPTION_STRING_H

#include <stddef.h>

#include "core/base/error.h"

struct option_word {
	char *name;  /* owned */
	char *value; /* owned; NULL: no '=' */
};

/*
 * Reads the next option from *@cursor and moves it behind. 1: there is one; 0: the string has
 * ended; -EINVAL: a quote is not closed, or something follows it; -ENOMEM. Empty options (two
 * commas) are passed over. Give words back with option_word_fini().
 */
int option_string_next(const char **cursor, struct option_word *ret_word, struct cf_error *err);

void option_word_fini(struct option_word *word);

/* @text with commas and backslashes escaped: read back it is @text. NULL: no memory. */
char *option_string_escape(const char *text);

#endif
