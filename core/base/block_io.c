/* The seam's wrappers: they hold callers and versions to the contract. */
#include "core/base/block_io.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

static void assert_range(const struct block_io *io, uint64_t offset, uint64_t length)
{
	uint64_t end;

	assert(io && io->ops);
	assert(!__builtin_add_overflow(offset, length, &end) && end <= INT64_MAX);
	(void)io;
	(void)end;
}

int block_io_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	assert_range(io, offset, length);
	return length ? io->ops->pread(io, buf, length, offset) : 0;
}

int block_io_splice(struct block_io *io, int pipe, size_t length, uint64_t offset)
{
	assert_range(io, offset, length);
	return !length           ? 0
	       : io->ops->splice ? io->ops->splice(io, pipe, length, offset)
	                         : -EOPNOTSUPP;
}

int block_io_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	uint64_t length = 0;

	for (int i = 0; i < nr_iov; i++)
		length += iov[i].iov_len;
	assert_range(io, offset, length);
	return length ? io->ops->pwritev(io, iov, nr_iov, offset) : 0;
}

int block_io_pwrite(struct block_io *io, const void *buf, size_t length, uint64_t offset)
{
	/* struct iovec has no const; pwritev only reads. */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = length};

	return block_io_pwritev(io, &iov, 1, offset);
}

int block_io_sync(struct block_io *io)
{
	return io->ops->sync(io);
}

void block_io_write_back(struct block_io *io, uint64_t offset, uint64_t length)
{
	if (io->ops->write_back)
		io->ops->write_back(io, offset, length);
}

int block_io_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	assert_range(io, offset, length);
	return !length ? 0 : io->ops->punch ? io->ops->punch(io, offset, length) : -EOPNOTSUPP;
}

int block_io_zero(struct block_io *io, uint64_t offset, uint64_t length)
{
	assert_range(io, offset, length);
	return !length ? 0 : io->ops->zero ? io->ops->zero(io, offset, length) : -EOPNOTSUPP;
}

int block_io_allocate(struct block_io *io, uint64_t offset, uint64_t length)
{
	assert_range(io, offset, length);
	return !length             ? 0
	       : io->ops->allocate ? io->ops->allocate(io, offset, length)
	                           : -EOPNOTSUPP;
}

int block_io_seek(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset)
{
	assert_range(io, offset, 0);
	return io->ops->seek ? io->ops->seek(io, offset, whence, ret_offset) : -EOPNOTSUPP;
}

int block_io_share(struct block_io *io, int fd, uint64_t offset, uint64_t length)
{
	assert_range(io, offset, length);
	return !length ? 0 : io->ops->share ? io->ops->share(io, fd, offset, length) : -EOPNOTSUPP;
}

void block_io_close(struct block_io *io)
{
	if (io)
		io->ops->close(io);
}
