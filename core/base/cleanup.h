/*
 * Cleanup attributes for plain memory and file descriptors. Both preserve errno and accept the
 * empty value (NULL, -1). Locks are not cleaned up this way: clang's analysis cannot see it.
 */
#ifndef CLONEFS_BASE_CLEANUP_H
#define CLONEFS_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cf_cleanup_free(void *pointer)
{
	int saved = errno;

	free(*(void **)pointer);
	errno = saved;
}

static inline void cf_cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

#define CF_AUTO_FREE  __attribute__((cleanup(cf_cleanup_free)))
#define CF_AUTO_CLOSE __attribute__((cleanup(cf_cleanup_close)))

/* Takes the value of *@pointer and leaves NULL behind: the receiver owns it now. */
#define cf_steal(pointer)                                    \
	({                                                   \
		__typeof__(*(pointer)) stolen_ = *(pointer); \
		*(pointer) = NULL;                           \
		stolen_;                                     \
	})

static inline int cf_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
