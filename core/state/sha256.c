/* FIPS 180-4, section 6.2, on a whole buffer: the last one or two blocks carry the padding. */
#include "core/state/sha256.h"

#include <stdint.h>
#include <string.h>

#define BLOCK SHA256_BLOCK

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

/* All 64 rounds. The schedule of a block of zeros is zeros. */
static void digest_schedule(uint32_t hash[8], const uint32_t w[64])
{
	uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
	uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];

	for (unsigned int i = 0; i < 64; i++) {
		uint32_t big1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
		uint32_t big0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
		uint32_t choose = (e & f) ^ (~e & g);
		uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
		uint32_t t1 = h + big1 + choose + round_constants[i] + w[i];

		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + big0 + majority;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
	hash[5] += f;
	hash[6] += g;
	hash[7] += h;
}

static void digest_block(uint32_t hash[8], const unsigned char *block)
{
	uint32_t w[64];

	expand_block(block, w);
	digest_schedule(hash, w);
}

void sha256_init(struct sha256 *ret_sha)
{
	*ret_sha = (struct sha256){
	        .hash = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
	                 0x1f83d9ab, 0x5be0cd19},
	};
}

void sha256_update(struct sha256 *sha, const void *data, size_t length)
{
	const unsigned char *bytes = data;
	size_t held = sha->length % BLOCK;

	if (!length)
		return;
	sha->length += length;
	if (held) {
		size_t room = BLOCK - held;
		size_t n = length < room ? length : room;

		memcpy(sha->tail + held, bytes, n);
		bytes += n;
		length -= n;
		if (n < room)
			return;
		digest_block(sha->hash, sha->tail);
	}
	for (; length >= BLOCK; bytes += BLOCK, length -= BLOCK)
		digest_block(sha->hash, bytes);
	if (length)
		memcpy(sha->tail, bytes, length);
}

void sha256_update_zeros(struct sha256 *sha, uint64_t length)
{
	static const unsigned char zeros[BLOCK];
	static const uint32_t schedule_of_zeros[64];
	uint64_t to_edge = (BLOCK - sha->length % BLOCK) % BLOCK;
	uint64_t first = length < to_edge ? length : to_edge;

	sha256_update(sha, zeros, (size_t)first);
	length -= first;
	sha->length += length / BLOCK * BLOCK;
	for (uint64_t n = length / BLOCK; n; n--)
		digest_schedule(sha->hash, schedule_of_zeros);
	sha256_update(sha, zeros, length % BLOCK);
}

/* The bytes behind the last whole block, then 0x80, zeros and the length in bits. */
void sha256_finish(struct sha256 *sha, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char padded[2 * BLOCK] = {0};
	size_t left = sha->length % BLOCK;
	size_t total = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;

	memcpy(padded, sha->tail, left);
	padded[left] = 0x80;
	for (unsigned int i = 0; i < 8; i++)
		padded[total - 1 - i] = (unsigned char)(sha->length * 8 >> 8 * i);
	for (size_t at = 0; at < total; at += BLOCK)
		digest_block(sha->hash, padded + at);
	for (unsigned int i = 0; i < SHA256_HEX_LENGTH; i++)
		ret_hex[i] = digits[sha->hash[i / 8] >> (28 - 4 * (i % 8)) & 15];
	ret_hex[SHA256_HEX_LENGTH] = 0;
}

void sha256_hex(const void *data, size_t length, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	struct sha256 sha;

	sha256_init(&sha);
	sha256_update(&sha, data, length);
	sha256_finish(&sha, ret_hex);
}
