#include "core/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "core/base/error.h"

enum log_target { TARGET_STDERR, TARGET_STDERR_PREFIXED, TARGET_SYSLOG };

static const char *const level_names[] = {"error", "warn", "notice", "info", "debug"};
static const int syslog_priorities[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};

static atomic_int current_level = LOG_LEVEL_NOTICE;
static atomic_int current_target = TARGET_STDERR;

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	for (int i = 0; i <= LOG_LEVEL_DEBUG; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, (int)level);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load(&current_level);
}

void log_to_stderr(bool prefix_level)
{
	atomic_store(&current_target, prefix_level ? TARGET_STDERR_PREFIXED : TARGET_STDERR);
}

void log_to_syslog(const char *name)
{
	openlog(name, LOG_PID, LOG_DAEMON);
	atomic_store(&current_target, TARGET_SYSLOG);
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[1400];
	char line[1500];
	va_list args;
	int n;

	if ((int)level > atomic_load_explicit(&current_level, memory_order_relaxed))
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cf_error_clean_text(text);

	switch ((enum log_target)atomic_load(&current_target)) {
	case TARGET_SYSLOG:
		syslog(syslog_priorities[level], "%s", text);
		return;
	case TARGET_STDERR_PREFIXED:
		n = snprintf(line, sizeof(line), "<%d>%s\n", syslog_priorities[level], text);
		break;
	default:
		n = snprintf(line, sizeof(line), "clonefs: %s: %s\n", level_names[level], text);
		break;
	}
	/* One write: lines of several threads do not mix. A lost line is no reason to stop. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
