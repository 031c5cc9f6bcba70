/*
 * A subcommand of clonectl, and what main.c made of its arguments. Each lives in cmd_<verb>.c;
 * main.c has the one table.
 */
#ifndef CLONEFS_CLI_COMMAND_H
#define CLONEFS_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* What clonectl exits with. */
enum exit_status { EXIT_STATUS_DONE = 0, EXIT_STATUS_FAILED = 1, EXIT_STATUS_USAGE = 2 };

enum command_options {
	OPTION_JSON = 1,    /* --json */
	OPTION_TIMEOUT = 2, /* --timeout TIME */
	OPTION_EXIT = 4,    /* --exit */
	OPTION_NOFLUSH = 8, /* --noflush */
};

struct arguments {
	char **words; /* those that are no options, borrowed from argv */
	int nr_words;
	bool help;
	bool json;
	bool exit;
	bool noflush;
	bool has_timeout;
	uint64_t timeout_ms;
};

struct command {
	const char *name;
	const char *usage;    /* behind the name: "[TARGET] [--json]" */
	const char *summary;  /* one line */
	const char *help;     /* more of them, or "" */
	unsigned int options; /* enum command_options that it takes */
	int min_words, max_words;
	enum exit_status (*run)(const struct arguments *args);
};

extern const struct command command_list;
extern const struct command command_status;
extern const struct command command_pause;
extern const struct command command_resume;
extern const struct command command_set;
extern const struct command command_flush;
extern const struct command command_wait;
extern const struct command command_check;
extern const struct command command_dump;
extern const struct command command_dmsetup;
extern const struct command command_version;

#endif
