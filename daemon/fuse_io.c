/*
 * The data path: FUSE requests become requests of the image and their ends become replies.
 *
 * Threads: callbacks run on libfuse's workers, done() on any thread of the engine. Until done() a
 * request is in the pending table, so that the watcher can end it and shutting down waits for it.
 * A reply that fails with ENOENT is normal: the kernel has given the request up.
 */
#include "daemon/fuse_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/image.h"
#include "daemon/file_times.h"
#include "daemon/fuse_file.h"
#include "daemon/pending.h"
#include "daemon/reply_buffer.h"
#include "daemon/reply_pipe.h"
#include "daemon/watcher.h"

struct fuse_request {
	fuse_req_t req; /* libfuse's until the reply */
	struct fuse_file *file;
	struct pending *pending;
	size_t length; /* of a write, as it is acknowledged */
};

/* Runs at once, on this thread, if the interrupt came first; by number, so that it may be late. */
static void on_interrupt(fuse_req_t req, void *number)
{
	struct fuse_file *file = fuse_req_userdata(req);

	if (pending_interrupt(file->pending, (uintptr_t)number, clock_monotonic_ns()))
		watcher_wake(file->watcher);
}

/* NULL: replied with ENOMEM. */
static struct fuse_request *request_begin(fuse_req_t req)
{
	struct fuse_file *file = fuse_req_userdata(req);
	struct fuse_request *request = calloc(1, sizeof(*request));

	if (request)
		request->pending = pending_add(file->pending, fuse_req_ctx(req)->pid);
	if (!request || !request->pending) {
		free(request);
		(void)fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	request->req = req;
	request->file = file;
	fuse_req_interrupt_func(req, on_interrupt,
	                        (void *)(uintptr_t)pending_number(request->pending));
	return request;
}

static void request_end(struct fuse_request *request)
{
	pending_finish(request->pending);
	free(request);
}

static void read_done(void *user, int error, const void *data, size_t length)
{
	struct fuse_request *request = user;

	if (error < 0)
		(void)fuse_reply_err(request->req, -error);
	else
		(void)fuse_reply_buf(request->req, data, length);
	request_end(request);
}

static void write_done(void *user, int error, const void *data, size_t length)
{
	struct fuse_request *request = user;

	(void)data;
	(void)length;
	if (error < 0) {
		(void)fuse_reply_err(request->req, -error);
	} else {
		file_times_touch(request->file->times);
		(void)fuse_reply_write(request->req, request->length);
	}
	request_end(request);
}

static void range_done(void *user, int error, const void *data, size_t length)
{
	struct fuse_request *request = user;

	(void)data;
	(void)length;
	if (error == 0)
		file_times_touch(request->file->times);
	(void)fuse_reply_err(request->req, -error);
	request_end(request);
}

static void plain_done(void *user, int error, const void *data, size_t length)
{
	struct fuse_request *request = user;

	(void)data;
	(void)length;
	(void)fuse_reply_err(request->req, -error);
	request_end(request);
}

static void read_later(fuse_req_t req, size_t length, uint64_t offset)
{
	struct fuse_request *request = request_begin(req);
	struct pending *pending;

	if (!request)
		return;
	/* done() may free the request before image_read() returns. */
	pending = request->pending;
	pending_attach(pending,
	               image_read(request->file->image, offset, length, read_done, request));
}

static void reply_from_pipe(fuse_req_t req, struct reply_pipe *pipe, size_t length)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(length);
	int r;

	data.buf[0].flags = FUSE_BUF_IS_FD;
	data.buf[0].fd = reply_pipe_out(pipe);
	r = fuse_reply_data(req, &data, 0);
	/* Given up by who asked, or unmounted. After anything else the kernel may still wait for
	 * this one, which libfuse has freed: at least there shall be no second. */
	if (r < 0 && r != -ENOENT && r != -ENODEV && reply_pipe_forbid())
		log_error("a reply could not be spliced, from now on they are copied error=%d", -r);
}

/* From the destination's pages, without a copy of ours. -EOPNOTSUPP: not this one. */
static int read_spliced(fuse_req_t req, size_t length, uint64_t offset)
{
	const struct fuse_file *file = fuse_req_userdata(req);
	bool fits = length > REPLY_BUFFER_SMALL && length <= REPLY_PIPE_MAX;
	struct reply_pipe *pipe = fits ? reply_pipe_get() : NULL;
	int r;

	if (!pipe)
		return -EOPNOTSUPP;
	r = image_splice_hydrated(file->image, reply_pipe_in(pipe), length, offset);
	if (r == 0)
		reply_from_pipe(req, pipe, length);
	reply_pipe_put(pipe);
	return r;
}

/* By a buffer of ours. */
static int read_copied(fuse_req_t req, size_t length, uint64_t offset)
{
	const struct fuse_file *file = fuse_req_userdata(req);
	void *buffer = reply_buffer_get(length);
	int r = -EAGAIN;

	if (buffer)
		r = image_read_hydrated(file->image, buffer, length, offset);
	if (r == 0)
		(void)fuse_reply_buf(req, buffer, length);
	reply_buffer_put(buffer);
	return r;
}

void fuse_io_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
	struct fuse_file *file = fuse_req_userdata(req);
	uint64_t length;
	int r;

	(void)ino;
	(void)fi;
	if (fuse_file_clip(file, (uint64_t)offset, size, &length) < 0 || length == 0) {
		(void)fuse_reply_buf(req, NULL, 0);
		return;
	}
	r = read_spliced(req, length, (uint64_t)offset);
	if (r == -EOPNOTSUPP)
		r = read_copied(req, length, (uint64_t)offset);
	if (r == -EAGAIN)
		read_later(req, length, (uint64_t)offset);
	else if (r < 0)
		(void)fuse_reply_err(req, -r);
}

void fuse_io_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
	struct fuse_file *file = fuse_req_userdata(req);
	struct fuse_request *request;
	struct pending *pending;
	uint64_t length;

	(void)ino;
	(void)fi;
	if (size == 0) {
		(void)fuse_reply_write(req, 0);
		return;
	}
	if (fuse_file_clip(file, (uint64_t)offset, size, &length) < 0) {
		(void)fuse_reply_err(req, EFBIG);
		return;
	}
	request = request_begin(req);
	if (!request)
		return;
	request->length = length;
	pending = request->pending;
	pending_attach(pending, image_write(file->image, (uint64_t)offset, buf, length, write_done,
	                                    request));
}

void fuse_io_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fuse_request *request = request_begin(req);
	struct pending *pending;

	(void)ino;
	(void)datasync;
	(void)fi;
	if (!request)
		return;
	pending = request->pending;
	pending_attach(pending, image_flush_here(request->file->image, plain_done, request));
}

void fuse_io_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                       struct fuse_file_info *fi)
{
	static const enum image_range_op ops[] = {
	        [RANGE_PUNCH] = IMAGE_PUNCH,
	        [RANGE_ZERO] = IMAGE_ZERO,
	        [RANGE_ALLOCATE] = IMAGE_ALLOCATE,
	};
	struct fuse_file *file = fuse_req_userdata(req);
	struct fuse_request *request;
	struct pending *pending;
	enum fuse_file_range range;
	uint64_t clipped;
	int r = fuse_file_plan_range(file, mode, (uint64_t)offset, (uint64_t)length, &range,
	                             &clipped);

	(void)ino;
	(void)fi;
	if (r < 0 || range == RANGE_NOTHING || clipped == 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	request = request_begin(req);
	if (!request)
		return;
	pending = request->pending;
	pending_attach(pending,
	               image_range(file->image, ops[range], (uint64_t)offset, clipped,
	                           range == RANGE_ALLOCATE ? plain_done : range_done, request));
}

void fuse_io_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                   struct fuse_file_info *fi)
{
	struct fuse_file *file = fuse_req_userdata(req);
	uint64_t found = 0;
	int r;

	(void)ino;
	(void)fi;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	else if (offset < 0 || (uint64_t)offset >= file->size)
		r = -ENXIO;
	else
		r = image_seek(file->image, (uint64_t)offset, whence, &found);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_lseek(req, (off_t)found);
}
