/*
 * The grammar of numbers in options and commands (docs: "SIZE" and "TIME"):
 *   SIZE  decimal, optionally followed by K, M, G or T (powers of 1024)
 *   TIME  decimal seconds, or decimal followed by ms, s, m or h
 * Nothing else: no sign, no space, no fraction, no hexadecimal. Overflow is an error, not a wrap.
 * All return 0, -EINVAL (not of the grammar) or -ERANGE (does not fit), and write on success only.
 */
#ifndef CLONEFS_BASE_UNITS_H
#define CLONEFS_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

int parse_size(const char *text, uint64_t *ret_bytes);
int parse_time_ms(const char *text, uint64_t *ret_ms);
int parse_uint(const char *text, uint64_t max, uint64_t *ret_value);
int parse_octal(const char *text, uint32_t max, uint32_t *ret_value);

/* "1.5 GiB", "12 B": for people. Returns @buf. */
char *format_size(uint64_t bytes, char *buf, size_t buf_size);

#endif
