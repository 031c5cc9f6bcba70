#include "core/state/sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#define ZEROS_BYTES 65536

struct sha256 {
	EVP_MD_CTX *context; /* owned */
	bool failed;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *sha = calloc(1, sizeof(*sha));

	if (!sha)
		return NULL;
	sha->context = EVP_MD_CTX_new();
	if (!sha->context) {
		free(sha);
		return NULL;
	}
	sha->failed = !EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL);
	return sha;
}

void sha256_free(struct sha256 *sha)
{
	if (!sha)
		return;
	EVP_MD_CTX_free(sha->context);
	free(sha);
}

void sha256_update(struct sha256 *sha, const void *data, size_t length)
{
	if (!sha->failed)
		sha->failed = !EVP_DigestUpdate(sha->context, data, length);
}

void sha256_update_zeros(struct sha256 *sha, uint64_t length)
{
	static const unsigned char zeros[ZEROS_BYTES];

	while (length) {
		size_t n = length < ZEROS_BYTES ? (size_t)length : ZEROS_BYTES;

		sha256_update(sha, zeros, n);
		length -= n;
	}
}

int sha256_finish(struct sha256 *sha, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (sha->failed || !EVP_DigestFinal_ex(sha->context, digest, NULL))
		return -EIO;
	for (unsigned int i = 0; i < SHA256_HEX_LENGTH; i++)
		ret_hex[i] = digits[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
	ret_hex[SHA256_HEX_LENGTH] = 0;
	return 0;
}

int sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	struct sha256 *sha = sha256_new();
	int r;

	if (!sha)
		return -ENOMEM;
	sha256_update(sha, data, length);
	r = sha256_finish(sha, ret_hex);
	sha256_free(sha);
	return r;
}
