#include "core/engine/window.h"

#include "core/base/min_max.h"

/* Comparing the first MiB of an image pulls a few MiB. */
#define BEGIN_BYTES  (UINT64_C(1) << 20)
#define BEGIN_FACTOR 4
#define FACTOR       16
/* However slow the source is. */
#define SLOW (UINT64_C(8) << 20)
/* However fast it is; and unless it brings more in half a second. */
#define MOST      (UINT64_C(256) << 20)
#define MOST_ELSE (UINT64_C(128) << 20)

#define REQUEST_MIN (UINT64_C(256) << 10)
/* One that is near, however long the window is; and one of the last, however little is left. */
#define REQUEST_NEAR (UINT64_C(4) << 20)
#define REQUEST_LAST (UINT64_C(2) << 20)
/* So many connections there are by default. */
#define REQUESTS 16

uint64_t window_length(uint64_t consumed, uint64_t two_seconds, uint64_t region_size)
{
	uint64_t half_second = two_seconds / 4;
	uint64_t eight_seconds = 4 * two_seconds;
	uint64_t most = max_u64(min_u64(half_second, MOST), MOST_ELSE);
	uint64_t window = BEGIN_FACTOR * consumed;

	if (consumed > BEGIN_BYTES)
		window = max_u64(window, min_u64(FACTOR * consumed, half_second));
	/* A region that is larger is not read ahead for. */
	window = min_u64(window, max_u64(eight_seconds, max_u64(SLOW, region_size)));
	return min_u64(window, most);
}

uint64_t window_request(uint64_t window, uint64_t distance, uint64_t rest)
{
	uint64_t near = min_u64(max_u64(window / REQUESTS, REQUEST_MIN), REQUEST_NEAR);
	uint64_t length = min_u64(max_u64(near, distance / REQUESTS), WINDOW_REQUEST_MAX);

	return min_u64(length, max_u64(rest / REQUESTS, REQUEST_LAST));
}
