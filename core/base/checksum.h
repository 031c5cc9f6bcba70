/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as a plain register: no initial or final
 * inversion. The usual CRC-32C of a buffer is ~crc32c_update(0xFFFFFFFF, buffer, length).
 */
#ifndef CLONEFS_BASE_CHECKSUM_H
#define CLONEFS_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_update(uint32_t crc, const void *data, size_t length);
/* The same without the processor's instruction for it. */
uint32_t crc32c_update_portable(uint32_t crc, const void *data, size_t length);

#endif
