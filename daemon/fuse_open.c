/* Opening and releasing the image: opens.h decides which way, passthrough.h knows how. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/image.h"
#include "daemon/fuse_file.h"
#include "daemon/fuse_ops.h"
#include "daemon/opens.h"
#include "daemon/passthrough.h"

static int attach(void *user)
{
	fuse_req_t req = user;
	const struct fuse_file *file = fuse_req_userdata(req);

	return passthrough_attach(req, file->destination);
}

/* A mapping of it may write without our seeing it, so it counts as if it did. */
static int expect_changes(const struct fuse_file *file, const struct open_grant *grant, bool writes)
{
	return grant->way == OPEN_DIRECT && writes ? image_expect_changes(file->image) : 0;
}

void fuse_open_image(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_file *file = fuse_req_userdata(req);
	struct open_wish wish = {
	        .writes = (fi->flags & O_ACCMODE) != O_RDONLY,
	        .attach = attach,
	        .user = req,
	};
	struct open_grant grant;
	int r;

	if (ino != fuse_file_inode(file)) {
		(void)fuse_reply_err(req, EISDIR);
		return;
	}
	wish.may_pass = file->may_pass(file->user);
	grant = opens_begin(file->opens, &wish);
	if (grant.refused)
		log_info("opens of the image are not passed through to the destination: %s",
		         strerror(-grant.refused));
	r = expect_changes(file, &grant, wish.writes);
	fi->fh = grant.way;
	/* Else a reader's close() waits on Linux 6.1 for whoever writes, perhaps for as long as the
	 * source is away. Who may write has to flush: only there that kernel waits until what a
	 * mapping has changed is with us, and an unmount drops what is not. */
	fi->noflush = !wish.writes;
	if (grant.way == OPEN_CACHED)
		fi->keep_cache = grant.keep_cache;
	else
		passthrough_fill(fi, grant.backing, grant.way == OPEN_DIRECT);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	/* Whoever opened it may have been killed meanwhile: then no release comes. */
	if (r < 0 || fuse_reply_open(req, fi) < 0)
		opens_end(file->opens, grant.way);
}

void fuse_open_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_file *file = fuse_req_userdata(req);

	(void)ino;
	opens_end(file->opens, (enum open_way)fi->fh);
	(void)fuse_reply_err(req, 0);
}
