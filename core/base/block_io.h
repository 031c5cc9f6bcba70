/*
 * The I/O seam below metadata and destination: one table of functions, with a version for files
 * and block devices (block_io_open) and, in tests, versions that record, fail or lose writes.
 *
 * Offsets and lengths are bytes. Calls block on the local disk only; they may be made by several
 * threads at once. All return 0 or a negative errno.
 */
#ifndef CLONEFS_BASE_BLOCK_IO_H
#define CLONEFS_BASE_BLOCK_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct block_io;
struct iovec;

struct block_io_ops {
	int (*pread)(struct block_io *io, void *buf, size_t length, uint64_t offset);
	/* Move [offset, offset + length) into a pipe, without copying where that can be done. Does
	 * not wait for room in the pipe. NULL: cannot. */
	int (*splice)(struct block_io *io, int pipe, size_t length, uint64_t offset);
	int (*pwritev)(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset);
	/* Durable when it returns 0 (fdatasync). A failure is final: never retried as if it were
	 * a success later. */
	int (*sync)(struct block_io *io);
	/* Begin to bring what was written there to the disk, so that sync finds less to do. Makes
	 * nothing durable, takes no error away from sync. May block as writes do. NULL: cannot. */
	void (*write_back)(struct block_io *io, uint64_t offset, uint64_t length);
	/* Make [offset, offset + length) read as zeros and give its space back. -EOPNOTSUPP:
	 * cannot. */
	int (*punch)(struct block_io *io, uint64_t offset, uint64_t length);
	/* The same, keeping space. -EOPNOTSUPP: cannot, write zeros instead. */
	int (*zero)(struct block_io *io, uint64_t offset, uint64_t length);
	/* Reserve space without changing contents. -EOPNOTSUPP: cannot. */
	int (*allocate)(struct block_io *io, uint64_t offset, uint64_t length);
	/* lseek(2) with SEEK_DATA or SEEK_HOLE: *ret_offset, or -ENXIO. -EOPNOTSUPP: cannot. */
	int (*seek)(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset);
	/* Make [offset, offset + length) the same blocks as that range of the file behind @fd,
	 * without copying (FICLONERANGE, with its errors). After a failure the range holds old or
	 * new bytes. -EOPNOTSUPP: cannot. */
	int (*share)(struct block_io *io, int fd, uint64_t offset, uint64_t length);
	void (*close)(struct block_io *io);
};

/* Embedded in each version; @size is the device's or file's size when it was opened. */
struct block_io {
	const struct block_io_ops *ops;
	uint64_t size;
	bool is_device; /* a block device (never extended, may not punch) */
	/* Writes that fill holes cost noticeably more than into allocated space: it pays to
	 * allocate before many of them. */
	bool holes_are_dear;
};

enum block_io_flags {
	BLOCK_IO_READ_ONLY = 1,
	/* Refuse a file that somebody else has open this way: flock for files, O_EXCL for block
	 * devices; -EBUSY. Held until close. */
	BLOCK_IO_EXCLUSIVE = 2,
};

/* Opens an existing regular file or block device; anything else is -EINVAL. */
int block_io_open(const char *path, unsigned int flags, struct block_io **ret_io,
                  struct cf_error *err);

/* The descriptor of an io made by block_io_open(); -1 for other versions. Borrowed. */
int block_io_fd(const struct block_io *io);

/* Reads exactly @length bytes. -ENODATA: the file ends before. */
int block_io_pread(struct block_io *io, void *buf, size_t length, uint64_t offset);
/* Moves exactly @length bytes into @pipe (splice(2), with its errors): what is written to the file
 * before they are taken out may show in them. -ENODATA: the file ends before. -EAGAIN: the pipe has
 * no room. -EOPNOTSUPP: cannot. After an error some of them are in the pipe. */
int block_io_splice(struct block_io *io, int pipe, size_t length, uint64_t offset);
/* Writes all of it, or fails; after a failure the range holds old or new bytes. */
int block_io_pwrite(struct block_io *io, const void *buf, size_t length, uint64_t offset);
int block_io_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset);
int block_io_sync(struct block_io *io);
void block_io_write_back(struct block_io *io, uint64_t offset, uint64_t length);
int block_io_punch(struct block_io *io, uint64_t offset, uint64_t length);
int block_io_zero(struct block_io *io, uint64_t offset, uint64_t length);
int block_io_allocate(struct block_io *io, uint64_t offset, uint64_t length);
int block_io_seek(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset);
int block_io_share(struct block_io *io, int fd, uint64_t offset, uint64_t length);
/* NULL is allowed. */
void block_io_close(struct block_io *io);

#endif
