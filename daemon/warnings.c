#include "daemon/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/journal/journal.h"

void warnings_say(struct warnings *warnings, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	log_warn("%s", text);
	if (warnings->nr < WARNINGS_MAX)
		warnings->texts[warnings->nr++] = text;
	else
		free(text);
}

void warnings_note(struct warnings *warnings, struct journal *journal)
{
	for (unsigned int i = 0; i < warnings->nr; i++)
		journal_event(journal, JOURNAL_WARNING, 0, warnings->texts[i]);
	warnings_fini(warnings);
}

void warnings_fini(struct warnings *warnings)
{
	while (warnings->nr)
		free(warnings->texts[--warnings->nr]);
}
