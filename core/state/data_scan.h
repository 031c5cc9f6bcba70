/*
 * Does a file or device hold anything but zeros? Asked before a new clone takes it over, so it may
 * look at a large one only in part: what counts is to notice file systems, images and partitions.
 */
#ifndef CLONEFS_STATE_DATA_SCAN_H
#define CLONEFS_STATE_DATA_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"

/* Reads all of it up to this many bytes that are not holes; of more, samples. */
#define DATA_SCAN_WHOLE (UINT64_C(64) << 20)

bool data_is_zero(const void *data, size_t length);

/* The first piece that is not a hole at or behind @offset; false: none. All of it is one piece
 * where holes cannot be told. */
bool data_next(struct block_io *io, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end);

/* Writes *ret_found on success; otherwise a negative errno of a read. */
int data_scan(struct block_io *io, bool *ret_found);

#endif
