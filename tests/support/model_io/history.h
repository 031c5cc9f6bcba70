/* The last operations, so that a wrong byte comes with what happened to its page. */
#ifndef CLONEFS_TESTS_MODEL_IO_HISTORY_H
#define CLONEFS_TESTS_MODEL_IO_HISTORY_H

#include <stdint.h>

#include "core/base/mutex.h"

#define HISTORY_LENGTH 8192

struct history_entry {
	const char *what; /* NULL: none yet */
	uint64_t offset, length;
	uint64_t begun, ended;   /* numbers of events; ended 0: it failed or is under way */
	unsigned int first_byte; /* that it read or wrote */
};

struct history {
	struct cf_mutex lock; /* protects: all else */
	uint64_t event;
	uint64_t nr;
	struct history_entry entries[HISTORY_LENGTH];
};

void history_init(struct history *history);
void history_fini(struct history *history);
/* The number of the operation, for history_end(). */
uint64_t history_begin(struct history *history, const char *what, uint64_t offset, uint64_t length);
void history_end(struct history *history, uint64_t number, unsigned int first_byte);
/* What of it touched [@start, @end), oldest first, to stderr; crashes too. */
void history_print(struct history *history, uint64_t start, uint64_t end);

#endif
