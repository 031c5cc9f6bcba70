/*
 * SHA-256 as libcrypto computes it, of names and identities in one piece, and of whole images piece
 * by piece. A failure of libcrypto (no memory, a configuration without SHA-256) is told at the end.
 */
#ifndef CLONEFS_STATE_SHA256_H
#define CLONEFS_STATE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX_LENGTH 64

struct sha256;

/* NULL: no memory. */
struct sha256 *sha256_new(void);
/* NULL is allowed. */
void sha256_free(struct sha256 *sha);

void sha256_update(struct sha256 *sha, const void *data, size_t length);
/* As sha256_update() of @length zeros. */
void sha256_update_zeros(struct sha256 *sha, uint64_t length);
/* Writes 64 lower-case hex digits and a NUL; @sha is used up. -EIO: libcrypto failed. */
int sha256_finish(struct sha256 *sha, char ret_hex[SHA256_HEX_LENGTH + 1]);

/* The same of one buffer. -ENOMEM, -EIO. */
int sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1]);

#endif
