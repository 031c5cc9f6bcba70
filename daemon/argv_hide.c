#include "daemon/argv_hide.h"

#include <string.h>

void argv_hide(int argc, char *argv[], const char *source, const char *shown)
{
	size_t length = strlen(source);
	size_t keep = strlen(shown) < length ? strlen(shown) : length;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], source) != 0)
			continue;
		memcpy(argv[i], shown, keep);
		memset(argv[i] + keep, ' ', length - keep);
	}
}

/* A value may be quoted and hold commas: to find its end is the parser's work, and what follows is
 * no loss here. */
void argv_hide_proxy(int argc, char *argv[])
{
	static const char name[] = "proxy=";

	for (int i = 1; i < argc; i++) {
		char *value = strstr(argv[i], name);

		if (!value || !strchr(value, '@'))
			continue;
		value += strlen(name);
		memset(value, '*', strlen(value));
	}
}
