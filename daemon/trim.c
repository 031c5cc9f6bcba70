#include "daemon/trim.h"

#include <malloc.h>

#include "core/base/clock.h"
#include "core/engine/image.h"
#include "daemon/reply_buffer.h"

void trim_keep(struct trim *trim, struct image *image, uint64_t now_ns)
{
	if (now_ns < trim->due_ns)
		return;
	trim->due_ns = now_ns + TRIM_PERIOD_MS * CF_NS_PER_MS;
	image_trim(image);
	reply_buffer_trim();
	(void)malloc_trim(0);
}
