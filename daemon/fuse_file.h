/*
 * The exposed file: what the kernel is told about it, and who may ask for what. The data path is
 * fuse_io.c, names and the rest fuse_ops.c, the session fuse_loop.c.
 *
 * One inode. Its size never changes, its entry is valid for ever, its attributes for a second
 * (blocks grow while it hydrates). Semantics: docs/architecture.md, "The exposed file".
 */
#ifndef CLONEFS_DAEMON_FUSE_FILE_H
#define CLONEFS_DAEMON_FUSE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct block_io;
struct file_times;
struct image;
struct opens;
struct pending_table;
struct watcher;

#define FUSE_FILE_ATTR_TIMEOUT  1.0
#define FUSE_FILE_ENTRY_TIMEOUT 1e9 /* seconds; the kernel has no word for "for ever" */

/* Filled in by whoever mounts; all pointers are borrowed and outlive the session. */
struct fuse_file {
	struct image *image;
	struct pending_table *pending;
	struct watcher *watcher;
	struct block_io *destination;
	struct file_times *times;
	struct opens *opens;
	/* Is the image just the destination, now and ever? On any thread; never waits. */
	bool (*may_pass)(void *user);
	void *user;
	uint64_t size;        /* bytes */
	const char *basename; /* of the image below a folder mountpoint */
	bool is_mountpoint;   /* the mountpoint is the file itself */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits */
};

/* The inode numbers: the mountpoint's is 1 (FUSE_ROOT_ID). */
uint64_t fuse_file_inode(const struct fuse_file *file);

/* The attributes of inode @ino. -ENOENT: there is none; -EIO: the destination cannot be asked. */
int fuse_file_stat(const struct fuse_file *file, uint64_t ino, struct stat *ret_st);

/* The destination's. */
int fuse_file_statvfs(const struct fuse_file *file, struct statvfs *ret_st);

/*
 * May attributes of inode @ino be set: nothing but the size it has already. 0 or -EPERM.
 * @sets_size, @sets_others: what the request wants to change.
 */
int fuse_file_may_set(const struct fuse_file *file, uint64_t ino, bool sets_size, uint64_t size,
                      bool sets_others);

/* How much of a write or range at @offset lies within the file: *ret_length, or -EFBIG. */
int fuse_file_clip(const struct fuse_file *file, uint64_t offset, uint64_t length,
                   uint64_t *ret_length);

/* What a fallocate() comes down to. */
enum fuse_file_range { RANGE_NOTHING, RANGE_PUNCH, RANGE_ZERO, RANGE_ALLOCATE };

/*
 * Mode 0 reserves space inside the file; punching and zeroing are cut at its end, where nothing is
 * kept. -EOPNOTSUPP: another mode; -EFBIG: it would make the file longer.
 */
int fuse_file_plan_range(const struct fuse_file *file, int mode, uint64_t offset, uint64_t length,
                         enum fuse_file_range *ret_range, uint64_t *ret_length);

#endif
