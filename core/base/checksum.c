/*
 * With SSE 4.2 the processor's own instruction, a quarter of the time of an open of a large image.
 * Elsewhere slicing by eight: eight tables, made at the first use, take eight bytes a step.
 */
#include "core/base/checksum.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? UINT32_C(0x82F63B78) : 0);
		table[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int slice = 1; slice < 8; slice++)
			table[slice][i] =
			        (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xff];
}

uint32_t crc32c_update_portable(uint32_t crc, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	(void)pthread_once(&table_once, make_table);
	while (length >= 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		word = le64toh(word) ^ crc;
		crc = 0;
		for (int i = 0; i < 8; i++)
			crc ^= table[7 - i][(word >> (8 * i)) & 0xff];
		bytes += 8;
		length -= 8;
	}
	while (length--)
		crc = (crc >> 8) ^ table[0][(crc ^ *bytes++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t crc, const void *data,
                                                               size_t length)
{
	const uint8_t *bytes = data;
	uint64_t word, wide = crc;

	for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	while (length--)
		crc = _mm_crc32_u8(crc, *bytes++);
	return crc;
}
#endif

uint32_t crc32c_update(uint32_t crc, const void *data, size_t length)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return update_sse42(crc, data, length);
#endif
	return crc32c_update_portable(crc, data, length);
}
