/* Strings and integers on their way into JSON: paths may hold any byte, jansson wants UTF-8. */
#ifndef CLONEFS_CONTROL_JSON_TEXT_H
#define CLONEFS_CONTROL_JSON_TEXT_H

#include <stdint.h>

struct json_t;

/* A new string; bytes that are not UTF-8 become U+FFFD. NULL: no memory. */
struct json_t *json_text(const char *text);

/* A new integer, cut to 2^63-1. NULL: no memory. */
struct json_t *json_count(uint64_t value);

#endif
