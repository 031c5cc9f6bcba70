/*
 * The kernel reads the destination itself: what libfuse (from 3.17 on) and Linux (from 6.9 on)
 * offer for it. Whether an open uses that is decided in opens.h.
 */
#ifndef CLONEFS_DAEMON_PASSTHROUGH_H
#define CLONEFS_DAEMON_PASSTHROUGH_H

#include "core/base/block_io.h"
#include "daemon/fuse_ops.h"

/* Asks for it in the handshake. False: this libfuse, this kernel or this user cannot. */
bool passthrough_negotiate(struct fuse_conn_info *conn);

/*
 * Makes the kernel know @destination; its number (> 0). -EOPNOTSUPP: it is not a regular file whose
 * file system does O_DIRECT in sectors of 512 bytes, which is what loop devices count on; -EIO: the
 * kernel refused (not privileged, a stacked file system). Uses a descriptor of its own, so that the
 * lock on the destination does not live as long as the kernel's reference.
 */
int passthrough_attach(fuse_req_t req, struct block_io *destination);

/* @backing > 0; @direct: reads and writes come to us all the same. */
void passthrough_fill(struct fuse_file_info *fi, int backing, bool direct);

#endif
