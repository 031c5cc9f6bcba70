/*
 * SHA-256 (FIPS 180-4): of names and identities, a few hundred bytes at once, and of whole images
 * piece by piece. Nothing is allocated.
 */
#ifndef CLONEFS_STATE_SHA256_H
#define CLONEFS_STATE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX_LENGTH 64
#define SHA256_BLOCK      64

struct sha256 {
	uint32_t hash[8];
	uint64_t length; /* bytes taken so far */
	unsigned char tail[SHA256_BLOCK];
};

void sha256_init(struct sha256 *ret_sha);
void sha256_update(struct sha256 *sha, const void *data, size_t length);
/* As sha256_update() of @length zeros, with a third of the work less and nothing to read. */
void sha256_update_zeros(struct sha256 *sha, uint64_t length);
/* Writes 64 lower-case hex digits and a NUL; @sha is used up. */
void sha256_finish(struct sha256 *sha, char ret_hex[SHA256_HEX_LENGTH + 1]);

/* The same of one buffer. */
void sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1]);

#endif
