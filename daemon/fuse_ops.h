/*
 * The callbacks of libfuse's low-level API: they translate, and leave every decision to fuse_file
 * and the image. The session's user data is a struct fuse_file.
 */
#ifndef CLONEFS_DAEMON_FUSE_OPS_H
#define CLONEFS_DAEMON_FUSE_OPS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse3/fuse_lowlevel.h>

/* Names, attributes, opening and the handshake; complete with the data path's callbacks. */
extern const struct fuse_lowlevel_ops fuse_ops;

/* fuse_open.c */
void fuse_open_image(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_open_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* fuse_io.c */
void fuse_io_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void fuse_io_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void fuse_io_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fuse_io_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                       struct fuse_file_info *fi);
void fuse_io_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                   struct fuse_file_info *fi);

/* The largest write the kernel is told to send. */
#define FUSE_WRITE_MAX (1u << 20)

#endif
