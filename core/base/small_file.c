#include "core/base/small_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int small_file_read(int fd, void *buf, size_t size, size_t *ret_length)
{
	size_t length = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while (length < size) {
		ssize_t n = read(fd, (char *)buf + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			*ret_length = length;
			return 0;
		}
		length += (size_t)n;
	}
	return -EFBIG;
}
