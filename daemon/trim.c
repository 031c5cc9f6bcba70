#include "daemon/trim.h"

#include <malloc.h>

#include "core/base/clock.h"
#include "core/engine/image.h"
#include "daemon/reply_buffer.h"

/* libfuse's workers have a buffer of 1 MiB each as long as they live. Unless told otherwise,
 * malloc() maps only the first ones; once one was freed, the next lie in heaps, which never shrink
 * below them. */
#define MAPPED_FROM (256 * 1024)
/* Unless told otherwise, malloc() has up to eight heaps for each processor, and in each of them
 * what is used holds pages that are mostly free: some fifty threads allocate little, but all over.
 */
#define MAX_HEAPS 2

void trim_prepare(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	(void)mallopt(M_ARENA_MAX, MAX_HEAPS);
}

void trim_keep(struct trim *trim, struct image *image, uint64_t now_ns)
{
	if (now_ns < trim->due_ns)
		return;
	trim->due_ns = now_ns + TRIM_PERIOD_MS * CF_NS_PER_MS;
	image_trim(image);
	reply_buffer_trim();
	(void)malloc_trim(0);
}
