#include "daemon/stderr_capture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

void stderr_capture_begin(struct stderr_capture *ret_capture)
{
	int memory_fd = memfd_create("stderr", MFD_CLOEXEC);
	int saved_fd = memory_fd < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	*ret_capture = (struct stderr_capture){.saved_fd = -1, .memory_fd = -1};
	if (saved_fd >= 0 && dup2(memory_fd, STDERR_FILENO) >= 0) {
		*ret_capture = (struct stderr_capture){saved_fd, memory_fd};
		return;
	}
	if (saved_fd >= 0)
		(void)close(saved_fd);
	if (memory_fd >= 0)
		(void)close(memory_fd);
}

void stderr_capture_end(struct stderr_capture *capture, char *buf, size_t size)
{
	ssize_t length = 0;

	if (capture->saved_fd >= 0) {
		(void)dup2(capture->saved_fd, STDERR_FILENO);
		length = pread(capture->memory_fd, buf, size - 1, 0);
		(void)close(capture->saved_fd);
		(void)close(capture->memory_fd);
		*capture = (struct stderr_capture){.saved_fd = -1, .memory_fd = -1};
	}
	buf[length > 0 ? length : 0] = '\0';
}
