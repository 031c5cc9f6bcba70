/* SHA-256 (FIPS 180-4) of a buffer, for names and identities: a few hundred bytes at a time. */
#ifndef CLONEFS_STATE_SHA256_H
#define CLONEFS_STATE_SHA256_H

#include <stddef.h>

#define SHA256_HEX_LENGTH 64

/* Writes 64 lower-case hex digits and a NUL. */
void sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1]);

#endif
