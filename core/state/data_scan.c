#include "core/state/data_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/min_max.h"

#define BUFFER_SIZE (UINT64_C(1) << 20)
#define NR_SAMPLES  64

bool data_is_zero(const void *data, size_t length)
{
	const unsigned char *bytes = data;

	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static int scan_range(struct block_io *io, void *buf, uint64_t offset, uint64_t length,
                      bool *ret_found)
{
	while (length && !*ret_found) {
		size_t n = (size_t)min_u64(length, BUFFER_SIZE);
		int r = block_io_pread(io, buf, n, offset);

		if (r < 0)
			return r;
		*ret_found = !data_is_zero(buf, n);
		offset += n;
		length -= n;
	}
	return 0;
}

bool data_next(struct block_io *io, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	int r;

	if (offset >= io->size)
		return false;
	r = block_io_seek(io, offset, SEEK_DATA, ret_start);
	if (r == -ENXIO)
		return false;
	if (r < 0)
		*ret_start = offset;
	if (r < 0 || block_io_seek(io, *ret_start, SEEK_HOLE, ret_end) < 0 || *ret_end > io->size)
		*ret_end = io->size;
	return *ret_start < io->size;
}

/* Pieces spread evenly, the last one at the very end (where backup partition tables are). */
static int scan_samples(struct block_io *io, void *buf, bool *ret_found)
{
	uint64_t length = min_u64(io->size, BUFFER_SIZE / 16);
	int r = 0;

	for (uint64_t i = 1; r == 0 && i < NR_SAMPLES && !*ret_found; i++)
		r = scan_range(io, buf, (io->size - length) / NR_SAMPLES * i, length, ret_found);
	if (r == 0 && !*ret_found)
		r = scan_range(io, buf, io->size - length, length, ret_found);
	return r;
}

int data_scan(struct block_io *io, bool *ret_found)
{
	CF_AUTO_FREE void *buf = malloc(BUFFER_SIZE);
	uint64_t budget = DATA_SCAN_WHOLE;
	bool found = false;
	uint64_t offset = 0;
	uint64_t start;
	uint64_t end;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0 && !found && budget && data_next(io, offset, &start, &end)) {
		uint64_t length = min_u64(end - start, budget);

		r = scan_range(io, buf, start, length, &found);
		budget -= length;
		offset = start + length;
	}
	if (r == 0 && !found && !budget)
		r = scan_samples(io, buf, &found);
	if (r == 0)
		*ret_found = found;
	return r;
}
