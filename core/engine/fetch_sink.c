/*
 * Bytes are copied under the lock, into the replies of those who wait and into the piece; the
 * thread that brought them then answers the readers that have all of theirs. A piece without room
 * refuses all of the call's bytes: what was taken of them already is recognised when they come
 * again (R6).
 */
#include "core/engine/fetch_sink.h"

#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/outage.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"
#include "core/engine/retry.h"
#include "core/engine/silence.h"

static bool feed(struct image *img, uint64_t offset, const unsigned char *bytes, size_t length,
                 enum budget_use use) CF_IMAGE_LOCKED
{
	while (length) {
		uint64_t piece_end = (offset / img->piece_size + 1) * img->piece_size;
		uint32_t n = (uint32_t)min_u64(length, piece_end - offset);

		if (!inflight_arrive_locked(img, offset, bytes, n, use))
			return false;
		offset += n;
		bytes += n;
		length -= n;
	}
	return true;
}

void fetch_sink_feed_locked(struct image *img, uint64_t offset, const unsigned char *bytes,
                            size_t length)
{
	(void)feed(img, offset, bytes, length, BUDGET_FOREGROUND);
}

static bool take(struct image *img, struct fetch *fetch, const unsigned char *bytes, size_t length,
                 uint64_t now_ns) CF_IMAGE_LOCKED
{
	enum budget_use use = fetch->joined ? BUDGET_FOREGROUND : fetch_sink_use(fetch->class);

	if (fetch->cancelled)
		return true;
	if (length > fetch->end - fetch->pos)
		length = fetch->end - fetch->pos;
	fetch->moved_ns = now_ns;
	if (!fetch->first_byte_ns) {
		fetch->first_byte_ns = now_ns;
		pacing_first_byte_locked(img, fetch, now_ns);
		silence_first_byte_locked(img, fetch, now_ns);
	}
	if (!fetch->is_probe) {
		outage_byte_locked(img, now_ns);
		if (!feed(img, fetch->pos, bytes, length, use)) {
			fetch->stalled = true;
			img->fetches.nr_stalled++;
			hydrator_wake_before_locked(img, now_ns + HYDRATOR_STALL_NS);
			return false;
		}
	}
	fetch->pos += length;
	img->fetches.nr_bytes += length;
	pacing_bytes_locked(img, length, now_ns);
	return true;
}

static struct fetch *fetch_of(struct source_request *req)
{
	return list_entry(req, struct fetch, req);
}

static bool sink_data(struct source_request *req, const void *bytes, size_t length)
{
	struct fetch *fetch = fetch_of(req);
	struct image *img = fetch->img;
	bool taken;

	image_lock(img);
	taken = take(img, fetch, bytes, length, clock_monotonic_ns());
	image_unlock(img);
	return taken;
}

static void sink_done(struct source_request *req, const struct source_outcome *outcome)
{
	struct fetch *fetch = fetch_of(req);
	struct image *img = fetch->img;
	uint64_t now_ns = clock_monotonic_ns();

	image_lock(img);
	list_remove(&fetch->link);
	img->fetches.nr_running[fetch->class]--;
	if (fetch->stalled)
		img->fetches.nr_stalled--;
	fetch->stalled = false;
	fetch->running = false;
	prealloc_given_up(&img->prealloc, fetch->pos, fetch->end);
	pacing_fetch_over_locked(img, fetch, now_ns);
	retry_outcome_locked(img, fetch, outcome, now_ns);
	fetch_dispatch_locked(img, now_ns);
	hydrator_fetch_over_locked(img);
	image_unlock(img);
}

const struct source_sink fetch_sink = {.data = sink_data, .done = sink_done};
