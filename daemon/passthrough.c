#include "daemon/passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/geometry.h"

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)

bool passthrough_negotiate(struct fuse_conn_info *conn)
{
	/* Who may not do it would only lose a level of stacking. */
	if (geteuid() != 0 || !fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		return false;
	/* The destination itself is on no stacked file system then. */
	conn->max_backing_stack_depth = 1;
	return true;
}

/* Whoever turns O_DIRECT on behind his open reaches the destination's file system with it. */
static bool has_small_sectors(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_DIOALIGN, &st) == 0 &&
	       S_ISREG(st.stx_mode) && (st.stx_mask & STATX_DIOALIGN) && st.stx_dio_offset_align &&
	       st.stx_dio_offset_align <= CF_SECTOR_SIZE && st.stx_dio_mem_align <= CF_SECTOR_SIZE;
}

int passthrough_attach(fuse_req_t req, struct block_io *destination)
{
	CF_AUTO_CLOSE int fd = -1;
	char path[64];
	int backing;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", block_io_fd(destination));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!has_small_sectors(fd))
		return -EOPNOTSUPP;
	backing = fuse_passthrough_open(req, fd);
	return backing > 0 ? backing : -EIO;
}

void passthrough_fill(struct fuse_file_info *fi, int backing, bool direct)
{
	fi->backing_id = backing;
	fi->direct_io = direct;
}

#else

bool passthrough_negotiate(struct fuse_conn_info *conn)
{
	(void)conn;
	return false;
}

int passthrough_attach(fuse_req_t req, struct block_io *destination)
{
	(void)req;
	(void)destination;
	return -EOPNOTSUPP;
}

void passthrough_fill(struct fuse_file_info *fi, int backing, bool direct)
{
	(void)fi;
	(void)backing;
	(void)direct;
}

#endif
