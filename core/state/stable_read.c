#include "core/state/stable_read.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SIZE 4096

int stable_read(struct block_io *io, int (*read)(void *user), void *user, struct cf_error *err)
{
	unsigned char before[BLOCK_SIZE];
	unsigned char after[BLOCK_SIZE];
	int result;
	int r;

	r = block_io_pread(io, before, sizeof(before), 0);
	if (r < 0)
		return cf_error_errno(err, r, "reading metadata block 0");
	for (int i = 0; i < STABLE_READ_ATTEMPTS; i++) {
		result = read(user);
		r = block_io_pread(io, after, sizeof(after), 0);
		if (r < 0)
			return cf_error_errno(err, r, "reading metadata block 0");
		if (memcmp(before, after, sizeof(before)) == 0)
			return result;
		memcpy(before, after, sizeof(before));
	}
	return cf_error_set(err, -EBUSY,
	                    "the metadata changed during each of %d attempts to read it",
	                    STABLE_READ_ATTEMPTS);
}
