#include "backends/file_piece.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/file_examine.h"

void file_handle_free(struct file_handle *handle)
{
	if (!handle)
		return;
	(void)close(handle->fd);
	free(handle);
}

struct file_handle *file_handle_new(int fd, bool is_device)
{
	struct file_handle *handle = malloc(sizeof(*handle));

	if (handle)
		*handle = (struct file_handle){.refs = 1, .fd = fd, .is_device = is_device};
	else
		(void)close(fd);
	return handle;
}

static struct file_handle *handle_open(const char *path, struct source_outcome *outcome)
{
	struct file_handle *handle;
	bool is_device;
	int fd;
	int r = file_examine_open(path, &fd, &is_device, &outcome->error);

	if (r == 0) {
		handle = file_handle_new(fd, is_device);
		if (handle)
			return handle;
		r = cf_error_set(&outcome->error, -ENOMEM, "there is no memory");
	}
	outcome->result = r == -ENOENT || r == -EACCES || r == -ENOTDIR || r == -ENXIO ||
	                                  r == -ENODEV || r == -EINVAL
	                          ? SOURCE_DENIED
	                          : SOURCE_FAILED;
	return NULL;
}

static int read_all(const struct file_piece *piece, unsigned char *buffer)
{
	size_t done = 0;

	while (done < piece->length) {
		ssize_t n = pread(piece->handle->fd, buffer + done, piece->length - done,
		                  (off_t)(piece->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

static bool is_pinned_version(const struct file_piece *piece, const struct source_identity *now,
                              struct source_outcome *outcome)
{
	const struct source_identity *pinned = &piece->identity;

	if (now->size != pinned->size) {
		outcome->result = SOURCE_CHANGED;
		(void)cf_error_set(&outcome->error, -ESTALE,
		                   "the source has changed: its size was %" PRIu64
		                   " bytes and is %" PRIu64 " now",
		                   pinned->size, now->size);
		return false;
	}
	if (pinned->mtime_ns && now->mtime_ns && now->mtime_ns != pinned->mtime_ns) {
		outcome->result = SOURCE_CHANGED;
		(void)cf_error_set(&outcome->error, -ESTALE,
		                   "the source has changed: it was modified at %" PRId64
		                   " ns since 1970 and not at %" PRId64,
		                   now->mtime_ns, pinned->mtime_ns);
		return false;
	}
	return true;
}

enum source_result file_piece_read(struct file_piece *piece, const char *path,
                                   unsigned char *buffer, struct source_outcome *outcome)
{
	struct source_identity now;
	int r;

	if (!piece->handle)
		piece->handle = handle_open(path, outcome);
	if (!piece->handle)
		return outcome->result;
	r = read_all(piece, buffer);
	if (file_examine_identity(piece->handle->fd, piece->handle->is_device, &now) == 0 &&
	    !is_pinned_version(piece, &now, outcome))
		return outcome->result;
	if (r < 0) {
		outcome->result = SOURCE_FAILED;
		(void)cf_error_errno(&outcome->error, r, "the source cannot be read");
	}
	return outcome->result;
}

/* The file system has both files and is asked first: a server that is gone and has only the source
 * holds nobody. */
int file_piece_share(const struct file_piece *piece, struct block_io *destination)
{
	const struct file_handle *handle = piece->handle;
	struct source_outcome outcome = {0};
	struct source_identity now;
	int r;

	if (handle->is_device)
		return -EOPNOTSUPP;
	r = block_io_share(destination, handle->fd, piece->offset, piece->length);
	if (r == 0)
		r = file_examine_identity(handle->fd, handle->is_device, &now);
	if (r == 0 && !is_pinned_version(piece, &now, &outcome))
		r = -ESTALE;
	return r;
}
