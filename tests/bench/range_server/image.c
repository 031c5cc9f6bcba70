#include "tests/bench/range_server/image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Whole pages, so that sendfile passes pages on; a prime number of them, so that regions differ. */
#define PERIOD (16381u * 4096u)

static void fill(uint64_t *words, size_t count)
{
	uint64_t x = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < count; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
}

int image_make(struct image *image, uint64_t size)
{
	void *bytes = MAP_FAILED;
	int r = 0;

	image->size = size;
	image->fd = memfd_create("image", MFD_CLOEXEC);
	if (image->fd < 0)
		return -errno;
	if (ftruncate(image->fd, PERIOD) == 0)
		bytes = mmap(NULL, PERIOD, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (bytes == MAP_FAILED) {
		r = -errno;
		(void)close(image->fd);
		return r;
	}
	fill(bytes, PERIOD / sizeof(uint64_t));
	(void)munmap(bytes, PERIOD);
	return 0;
}

ssize_t image_send(const struct image *image, int socket_fd, uint64_t offset, uint64_t length)
{
	off_t from = (off_t)(offset % PERIOD);
	uint64_t here = PERIOD - (uint64_t)from;
	ssize_t n = sendfile(socket_fd, image->fd, &from, length < here ? length : here);

	return n < 0 ? -errno : n;
}
