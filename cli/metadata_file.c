#include "cli/metadata_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/state/holder.h"
#include "core/state/stable_read.h"

#define CLOSING_WAIT_NS (10 * CF_NS_PER_S)
#define LOOK_EVERY_MS   50

struct reading {
	struct block_io *io;
	metadata_file_fn *read;
	void *user;
	struct cf_error err; /* of the last read */
};

static int read_once(void *user)
{
	struct reading *reading = user;

	reading->err = (struct cf_error){0};
	return reading->read(reading->io, reading->user, &reading->err);
}

/* Who is still closing after ten seconds is read past like one that runs. */
static void wait_closing(const char *path)
{
	uint64_t deadline_ns = clock_monotonic_ns() + CLOSING_WAIT_NS;
	const struct timespec pause = {.tv_nsec = (long)(LOOK_EVERY_MS * CF_NS_PER_MS)};
	struct lock_holder holder = {0};

	while (holder_find_file(path, &holder) == 0 && holder.pid && holder.closing &&
	       clock_monotonic_ns() < deadline_ns)
		(void)nanosleep(&pause, NULL);
}

int metadata_file_read(const char *path, metadata_file_fn *read, void *user, struct cf_error *err)
{
	struct reading reading = {.read = read, .user = user};
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return cf_error_set(err, -EISDIR, "%s is a folder: METADATA is a file or device",
		                    path);
	wait_closing(path);
	r = block_io_open(path, BLOCK_IO_READ_ONLY, &reading.io, err);
	if (r < 0)
		return r;
	*err = (struct cf_error){0};
	r = stable_read(reading.io, read_once, &reading, err);
	block_io_close(reading.io);
	if (r < 0 && !err->text[0])
		*err = reading.err;
	if (r < 0)
		(void)cf_error_prefix(err, "metadata %s", path);
	return r;
}
