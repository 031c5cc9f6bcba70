#include "daemon/fuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "core/base/block_io.h"
#include "core/base/geometry.h"
#include "daemon/file_times.h"

#define ROOT_INODE  1u
#define FILE_INODE  2u
#define IO_BLOCK    4096
#define FOLDER_MODE 0555
#define NS_PER_S    INT64_C(1000000000)
/* Of a block device, which has no holes to count. */
#define SECTORS(bytes) (((bytes) + CF_SECTOR_SIZE - 1) >> CF_SECTOR_SHIFT)

uint64_t fuse_file_inode(const struct fuse_file *file)
{
	return file->is_mountpoint ? ROOT_INODE : FILE_INODE;
}

static struct timespec timespec_of(int64_t ns)
{
	int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);

	return (struct timespec){
	        .tv_sec = seconds,
	        .tv_nsec = ns - seconds * NS_PER_S,
	};
}

/* Sectors of the image that the destination keeps. */
static int count_blocks(const struct fuse_file *file, blkcnt_t *ret_blocks)
{
	struct stat st;

	if (file->destination->is_device) {
		*ret_blocks = (blkcnt_t)SECTORS(file->size);
		return 0;
	}
	if (fstat(block_io_fd(file->destination), &st) < 0)
		return -EIO;
	*ret_blocks = st.st_blocks;
	return 0;
}

int fuse_file_stat(const struct fuse_file *file, uint64_t ino, struct stat *ret_st)
{
	struct timespec time = timespec_of(file_times_mtime_ns(file->times));
	struct stat st = {
	        .st_ino = ino,
	        .st_uid = file->uid,
	        .st_gid = file->gid,
	        .st_blksize = IO_BLOCK,
	        .st_atim = time,
	        .st_mtim = time,
	        .st_ctim = time,
	};
	int r;

	if (ino == fuse_file_inode(file)) {
		st.st_mode = S_IFREG | file->mode;
		st.st_nlink = 1;
		st.st_size = (off_t)file->size;
		r = count_blocks(file, &st.st_blocks);
		if (r < 0)
			return r;
	} else if (ino == ROOT_INODE) {
		st.st_mode = S_IFDIR | FOLDER_MODE;
		st.st_nlink = 2;
	} else {
		return -ENOENT;
	}
	*ret_st = st;
	return 0;
}

int fuse_file_statvfs(const struct fuse_file *file, struct statvfs *ret_st)
{
	return fstatvfs(block_io_fd(file->destination), ret_st) < 0 ? -errno : 0;
}

int fuse_file_may_set(const struct fuse_file *file, uint64_t ino, bool sets_size, uint64_t size,
                      bool sets_others)
{
	if (sets_others || ino != fuse_file_inode(file))
		return -EPERM;
	return sets_size && size != file->size ? -EPERM : 0;
}

int fuse_file_clip(const struct fuse_file *file, uint64_t offset, uint64_t length,
                   uint64_t *ret_length)
{
	uint64_t room;

	if (offset >= file->size)
		return -EFBIG;
	room = file->size - offset;
	*ret_length = length < room ? length : room;
	return 0;
}

int fuse_file_plan_range(const struct fuse_file *file, int mode, uint64_t offset, uint64_t length,
                         enum fuse_file_range *ret_range, uint64_t *ret_length)
{
	bool keeps_size = mode & FALLOC_FL_KEEP_SIZE;
	enum fuse_file_range range;
	uint64_t end;

	if (mode == 0)
		range = RANGE_ALLOCATE;
	else if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		range = RANGE_PUNCH;
	else if ((mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE)
		range = RANGE_ZERO;
	else
		return -EOPNOTSUPP;
	if (!keeps_size && (__builtin_add_overflow(offset, length, &end) || end > file->size))
		return -EFBIG;
	*ret_range = range;
	if (fuse_file_clip(file, offset, length, ret_length) < 0) {
		*ret_range = RANGE_NOTHING;
		*ret_length = 0;
	}
	return 0;
}
