#include "daemon/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define OOM_SCORE_NEVER "-1000"

void harden_against_reclaim(void)
{
	CF_AUTO_CLOSE int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, OOM_SCORE_NEVER, strlen(OOM_SCORE_NEVER)) < 0)
		log_debug("cannot set oom_score_adj error=%d", errno);
	/* The manual says: per process; inherited by threads made later, so call it early. */
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("cannot set PR_SET_IO_FLUSHER error=%d", errno);
}
