/*
 * block_io on a regular file or a block device, through the page cache. One descriptor carries
 * writes and syncs, so that a write error is reported by the sync that follows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/base/cleanup.h"

#define IOV_BATCH 64

struct file_io {
	struct block_io io; /* first: a struct block_io * is one of these */
	int fd;             /* owned */
};

static int fd_of(const struct block_io *io)
{
	return ((const struct file_io *)io)->fd;
}

/* Of a call that shall move some bytes: how many, or its error. */
static ssize_t moved(ssize_t result)
{
	return result < 0 ? -errno : result == 0 ? -ENODATA : result;
}

static int file_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	char *to = buf;

	while (length) {
		ssize_t n = moved(TEMP_FAILURE_RETRY(pread(fd_of(io), to, length, (off_t)offset)));

		if (n < 0)
			return (int)n;
		to += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

static int file_splice(struct block_io *io, int pipe, size_t length, uint64_t offset)
{
	off_t at = (off_t)offset;

	while (length) {
		ssize_t n = moved(TEMP_FAILURE_RETRY(
		        splice(fd_of(io), &at, pipe, NULL, length, SPLICE_F_NONBLOCK)));

		if (n < 0)
			return (int)n;
		length -= (size_t)n;
	}
	return 0;
}

/* Drops the first @done bytes from @iov, which is the caller's copy. */
static void iov_advance(struct iovec **iov, int *nr_iov, size_t done)
{
	while (*nr_iov && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		(*nr_iov)--;
	}
	if (*nr_iov) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
}

static int pwritev_all(int fd, struct iovec *iov, int nr_iov, uint64_t offset)
{
	while (nr_iov) {
		ssize_t n = pwritev(fd, iov, nr_iov, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENOSPC;
		offset += (uint64_t)n;
		iov_advance(&iov, &nr_iov, (size_t)n);
	}
	return 0;
}

static int file_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	while (nr_iov) {
		struct iovec copy[IOV_BATCH];
		int n = nr_iov < IOV_BATCH ? nr_iov : IOV_BATCH;
		uint64_t length = 0;
		int kept = 0;
		int r;

		for (int i = 0; i < n; i++) {
			if (!iov[i].iov_len)
				continue;
			copy[kept++] = iov[i];
			length += iov[i].iov_len;
		}
		r = pwritev_all(fd_of(io), copy, kept, offset);
		if (r < 0)
			return r;
		offset += length;
		iov += n;
		nr_iov -= n;
	}
	return 0;
}

static int file_sync(struct block_io *io)
{
	return fdatasync(fd_of(io)) < 0 ? -errno : 0;
}

/* Without the flags that wait it does not look at errors: they are left for fdatasync. */
static void file_write_back(struct block_io *io, uint64_t offset, uint64_t length)
{
	(void)sync_file_range(fd_of(io), (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

static int file_fallocate(struct block_io *io, int mode, uint64_t offset, uint64_t length)
{
	while (fallocate(fd_of(io), mode, (off_t)offset, (off_t)length) < 0) {
		if (errno == EINTR)
			continue;
		/* Block devices answer ENODEV, or EINVAL to ranges that are not whole sectors. */
		if (errno == ENODEV || errno == ENOSYS || (io->is_device && errno == EINVAL))
			return -EOPNOTSUPP;
		return -errno;
	}
	return 0;
}

static int file_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	return file_fallocate(io, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

static int file_zero(struct block_io *io, uint64_t offset, uint64_t length)
{
	return file_fallocate(io, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
}

/* Shared blocks are no reserved space: they are copied, where the file system knows how to. */
static int file_allocate(struct block_io *io, uint64_t offset, uint64_t length)
{
	int r = io->is_device ? 0
	                      : file_fallocate(io, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
	                                       offset, length);

	return r == -EOPNOTSUPP ? file_fallocate(io, FALLOC_FL_KEEP_SIZE, offset, length) : r;
}

static int file_seek(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset)
{
	off_t found;

	if (io->is_device)
		return -EOPNOTSUPP;
	/* SEEK_DATA and SEEK_HOLE do not depend on the file position, so threads may share it. */
	found = lseek(fd_of(io), (off_t)offset, whence);
	if (found < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	*ret_offset = (uint64_t)found;
	return 0;
}

static int file_share(struct block_io *io, int fd, uint64_t offset, uint64_t length)
{
	const struct file_clone_range range = {
	        .src_fd = fd,
	        .src_offset = offset,
	        .src_length = length,
	        .dest_offset = offset,
	};

	if (io->is_device)
		return -EOPNOTSUPP;
	while (ioctl(fd_of(io), FICLONERANGE, &range) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void file_close(struct block_io *io)
{
	/* Nothing is lost by an error here: what must be durable was synced before. */
	(void)close(fd_of(io));
	free(io);
}

static const struct block_io_ops file_io_ops = {
        .pread = file_pread,
        .splice = file_splice,
        .pwritev = file_pwritev,
        .sync = file_sync,
        .write_back = file_write_back,
        .punch = file_punch,
        .zero = file_zero,
        .allocate = file_allocate,
        .seek = file_seek,
        .share = file_share,
        .close = file_close,
};

static int file_size(int fd, const struct stat *st, uint64_t *ret_size)
{
	if (S_ISBLK(st->st_mode))
		return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
	*ret_size = (uint64_t)st->st_size;
	return 0;
}

/* ext4 enters each write into a hole block by block. Measured, as that it is not so on xfs, btrfs
 * and tmpfs, in docs/performance.md. ext2 and ext3 have the same number, and allocate nothing. */
static bool holes_are_dear(int fd, const struct stat *st)
{
	struct statfs fs;

	return S_ISREG(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC;
}

/* Opens @path without blocking on a FIFO and without truncating or creating anything. */
static int open_checked(const char *path, unsigned int flags, struct stat *ret_st,
                        struct cf_error *err)
{
	int mode = ((flags & BLOCK_IO_READ_ONLY) ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	CF_AUTO_CLOSE int fd = -1;

	if (stat(path, ret_st) < 0)
		return cf_error_errno(err, -errno, "%s cannot be opened", path);
	if (!S_ISREG(ret_st->st_mode) && !S_ISBLK(ret_st->st_mode))
		return cf_error_set(err, -EINVAL, "%s is neither a regular file nor a block device",
		                    path);
	if (S_ISBLK(ret_st->st_mode) && (flags & BLOCK_IO_EXCLUSIVE))
		mode |= O_EXCL;
	fd = open(path, mode);
	if (fd < 0 && errno == EBUSY)
		return cf_error_set(err, -EBUSY, "%s is in use by somebody else", path);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return cf_error_errno(err, -errno, "%s cannot be opened", path);
	if ((flags & BLOCK_IO_EXCLUSIVE) && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return cf_error_set(err, -EBUSY, "%s is in use by somebody else", path);
	return cf_steal_fd(&fd);
}

int block_io_open(const char *path, unsigned int flags, struct block_io **ret_io,
                  struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = -1;
	struct file_io *file;
	struct stat st;
	uint64_t size;
	int r;

	r = open_checked(path, flags, &st, err);
	if (r < 0)
		return r;
	fd = r;
	r = file_size(fd, &st, &size);
	if (r < 0)
		return cf_error_errno(err, r, "the size of %s cannot be read", path);
	file = calloc(1, sizeof(*file));
	if (!file)
		return cf_error_errno(err, -ENOMEM, "%s cannot be opened", path);
	file->io = (struct block_io){
	        .ops = &file_io_ops,
	        .size = size,
	        .is_device = S_ISBLK(st.st_mode),
	        .holes_are_dear = holes_are_dear(fd, &st),
	};
	file->fd = cf_steal_fd(&fd);
	*ret_io = &file->io;
	return 0;
}

int block_io_fd(const struct block_io *io)
{
	return io->ops == &file_io_ops ? fd_of(io) : -1;
}
