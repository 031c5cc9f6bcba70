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
	int (*read)(struct block_io *io, void *user);
	void *user;
};

static int read_once(void *user)
{
	struct reading *reading = user;

	return reading->read(reading->io, reading->user);
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

int metadata_file_read(const char *path, int (*read)(struct block_io *io, void *user), void *user,
                       struct cf_error *err)
{
	struct reading reading = {.read = read, .user = user};
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return cf_error_set(err, -EISDIR, "'%s' is a folder: METADATA is a file or device",
		                    path);
	wait_closing(path);
	r = block_io_open(path, BLOCK_IO_READ_ONLY, &reading.io, err);
	if (r < 0)
		return r;
	r = stable_read(reading.io, read_once, &reading, err);
	block_io_close(reading.io);
	return r;
}
