/*
 * What clonectl says: sentences on stderr, answers on stdout, as text for people or JSON for
 * programs. Text from a daemon (names, paths, reasons) is cleaned of control characters before it
 * reaches a terminal.
 */
#ifndef CLONEFS_CLI_OUTPUT_H
#define CLONEFS_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/control/status.h"

struct json_t;

/* "clonectl: SENTENCE" on stderr. */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* @json, indented, and a newline on stdout. */
void output_json(const struct json_t *json);

/* The whole of `clonectl status` for people. */
void output_status(FILE *out, const struct control_status *status);

/* The table of `clonectl list` for people. */
void output_list(FILE *out, const struct control_status *const *statuses, size_t nr);

/* "1 h 03 min", "42 s". Returns @buf. */
char *output_duration(uint64_t seconds, char *buf, size_t buf_size);

/* Regions as percent of all, rounded down to a tenth: 100.0 only when it is all of them. */
double output_percent(uint64_t regions, uint64_t total);

/* Flushes stdout. False: what was said did not arrive; a sentence says why. */
bool output_close(void);

#endif
