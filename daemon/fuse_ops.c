#include "daemon/fuse_ops.h"

#include <errno.h>
#include <string.h>

#include "daemon/fuse_file.h"
#include "daemon/opens.h"
#include "daemon/passthrough.h"
#include "daemon/reply_pipe.h"

/* 12, the default, would hold 16 asynchronous readers back. */
#define MAX_BACKGROUND       64
#define CONGESTION_THRESHOLD 48

static const struct fuse_file *file_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* From 3.17 on there are two sets of wishes, which must not contradict each other. */
static void do_without(struct fuse_conn_info *conn, unsigned int capabilities)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	fuse_unset_feature_flag(conn, capabilities);
#else
	conn->want &= ~capabilities;
#endif
}

/* False: it cannot be had. */
static bool do_with(struct fuse_conn_info *conn, unsigned int capability)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	return fuse_set_feature_flag(conn, capability);
#else
	conn->want |= conn->capable & capability;
	return conn->want & capability;
#endif
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct fuse_file *file = userdata;

	/* An mtime that moves would throw the page cache away. */
	do_without(conn, FUSE_CAP_AUTO_INVAL_DATA);
	/* O_TRUNC shall arrive as a setattr, which can be refused. */
	do_without(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	/* What was acknowledged must be in our hands. */
	do_without(conn, FUSE_CAP_WRITEBACK_CACHE);
	/* Writes are copied: that is as fast here and simpler (measured). */
	do_without(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_MOVE);
	if (do_with(conn, FUSE_CAP_SPLICE_WRITE))
		reply_pipe_allow();
	if (!passthrough_negotiate(conn))
		opens_never_pass(file->opens);
	conn->max_write = FUSE_WRITE_MAX;
	/* The mount option says it too: libfuse wants them equal. */
	conn->max_read = REPLY_PIPE_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_file *file = file_of(req);
	struct fuse_entry_param entry = {
	        .ino = fuse_file_inode(file),
	        .attr_timeout = FUSE_FILE_ATTR_TIMEOUT,
	        .entry_timeout = FUSE_FILE_ENTRY_TIMEOUT,
	};
	int r;

	if (parent != FUSE_ROOT_ID || file->is_mountpoint || strcmp(name, file->basename) != 0) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	r = fuse_file_stat(file, entry.ino, &entry.attr);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r = fuse_file_stat(file_of(req), ino, &st);

	(void)fi;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_attr(req, &st, FUSE_FILE_ATTR_TIMEOUT);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
	int r = fuse_file_may_set(file_of(req), ino, to_set & FUSE_SET_ATTR_SIZE,
	                          (uint64_t)attr->st_size, to_set & ~FUSE_SET_ATTR_SIZE);

	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		op_getattr(req, ino, fi);
}

static size_t add_entry(fuse_req_t req, char *buf, size_t size, const char *name, fuse_ino_t ino,
                        mode_t type, off_t next)
{
	struct stat st = {.st_ino = ino, .st_mode = type};
	size_t needed = fuse_add_direntry(req, buf, size, name, &st, next);

	return needed <= size ? needed : 0;
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
	const struct fuse_file *file = file_of(req);
	const struct {
		const char *name;
		fuse_ino_t ino;
		mode_t type;
	} entries[] = {
	        {".", FUSE_ROOT_ID, S_IFDIR},
	        {"..", FUSE_ROOT_ID, S_IFDIR},
	        {file->basename, fuse_file_inode(file), S_IFREG},
	};
	char buf[1024]; /* a name has at most 255 bytes */
	size_t length = 0;

	(void)fi;
	if (ino != FUSE_ROOT_ID || file->is_mountpoint) {
		(void)fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (size > sizeof(buf))
		size = sizeof(buf);
	for (off_t i = offset; i >= 0 && i < 3; i++) {
		size_t added = add_entry(req, buf + length, size - length, entries[i].name,
		                         entries[i].ino, entries[i].type, i + 1);

		if (!added)
			break;
		length += added;
	}
	(void)fuse_reply_buf(req, buf, length);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = fuse_file_statvfs(file_of(req), &st);

	(void)ino;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_statfs(req, &st);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	(void)fuse_reply_err(req, 0);
}

/* The folder cannot be changed by anybody: root, too, hears EPERM. */

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	(void)fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, mode, 0);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
	(void)fi;
	op_mknod(req, parent, name, mode, 0);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_mknod(req, parent, name, 0, 0);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	op_mknod(req, parent, name, 0, 0);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	op_mknod(req, parent, name, 0, 0);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned int flags)
{
	(void)new_parent;
	(void)new_name;
	(void)flags;
	op_mknod(req, parent, name, 0, 0);
}

/*
 * Left out on purpose: flush, which is no commit here (the kernel stops asking after the first
 * ENOSYS), locks, which the kernel keeps by itself, and extended attributes.
 */
const struct fuse_lowlevel_ops fuse_ops = {
        .init = op_init,
        .lookup = op_lookup,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .open = fuse_open_image,
        .release = fuse_open_release,
        .readdir = op_readdir,
        .statfs = op_statfs,
        .fsyncdir = op_fsyncdir,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .create = op_create,
        .unlink = op_unlink,
        .rmdir = op_unlink,
        .symlink = op_symlink,
        .link = op_link,
        .rename = op_rename,
        .read = fuse_io_read,
        .write = fuse_io_write,
        .fsync = fuse_io_fsync,
        .fallocate = fuse_io_fallocate,
        .lseek = fuse_io_lseek,
};
