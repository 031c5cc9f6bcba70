/*
 * The log of the daemon: one event, one line, a sentence and key=value behind it. Goes to stderr
 * or to syslog; library code may use debug freely and leaves everything else to its callers,
 * except for events that no caller waits for (an outage, a failed commit).
 *
 * Thread-safe. Never called on the path of a read that hits. Secrets must not reach it.
 */
#ifndef CLONEFS_BASE_LOG_H
#define CLONEFS_BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* "error", "warn", "notice", "info", "debug" */
const char *log_level_name(enum log_level level);

/* Finds the level called @name; false if there is none. */
bool log_level_parse(const char *name, enum log_level *ret_level);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/*
 * Where lines go: stderr (the default) or syslog under @name. With @prefix_level, lines on stderr
 * begin with sd-daemon's "<N>" so that the journal knows their level.
 */
void log_to_stderr(bool prefix_level);
void log_to_syslog(const char *name);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)  log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)   log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)   log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)  log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
