/* FIPS 180-4, section 6.2, on a whole buffer: the last one or two blocks carry the padding. */
#include "core/state/sha256.h"

#include <stdint.h>
#include <string.h>

#define BLOCK 64

static const uint32_t round_constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
};

static uint32_t rotate_right(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static void expand_block(const unsigned char *block, uint32_t w[64])
{
	for (unsigned int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (unsigned int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15];
		uint32_t b = w[i - 2];
		uint32_t small0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3;
		uint32_t small1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10;

		w[i] = w[i - 16] + small0 + w[i - 7] + small1;
	}
}

/* s[0..7] are the standard's a to h. */
static void digest_block(uint32_t hash[8], const unsigned char *block)
{
	uint32_t w[64];
	uint32_t s[8];

	expand_block(block, w);
	memcpy(s, hash, sizeof(s));
	for (unsigned int i = 0; i < 64; i++) {
		uint32_t big1 =
		        rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25);
		uint32_t big0 =
		        rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22);
		uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
		uint32_t t1 = s[7] + big1 + choose + round_constants[i] + w[i];

		memmove(&s[1], &s[0], 7 * sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + big0 + majority;
	}
	for (unsigned int i = 0; i < 8; i++)
		hash[i] += s[i];
}

/* The bytes behind the last whole block, then 0x80, zeros and the length in bits. */
static void digest_tail(uint32_t hash[8], const unsigned char *tail, size_t left, uint64_t length)
{
	unsigned char padded[2 * BLOCK] = {0};
	size_t total = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;

	if (left)
		memcpy(padded, tail, left);
	padded[left] = 0x80;
	for (unsigned int i = 0; i < 8; i++)
		padded[total - 1 - i] = (unsigned char)(length * 8 >> 8 * i);
	for (size_t at = 0; at < total; at += BLOCK)
		digest_block(hash, padded + at);
}

void sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	const unsigned char *bytes = data;
	size_t at = 0;

	for (; length - at >= BLOCK; at += BLOCK)
		digest_block(hash, bytes + at);
	digest_tail(hash, bytes + at, length - at, length);
	for (unsigned int i = 0; i < SHA256_HEX_LENGTH; i++)
		ret_hex[i] = digits[hash[i / 8] >> (28 - 4 * (i % 8)) & 15];
	ret_hex[SHA256_HEX_LENGTH] = 0;
}
