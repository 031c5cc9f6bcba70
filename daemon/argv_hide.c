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
