/*
 * A stream is a run of reads, each beginning where the one before ended (or where what that one
 * pulled ended: hits in between are not seen). When it has gone on for a while, four times what it
 * consumed is asked for ahead of it, up to WINDOW_MAX: comparing the first MiB of an image pulls a
 * few MiB, reading all of it soon keeps all connections busy. From a slow source it is four times
 * what that brings in two seconds: who goes on reading elsewhere has to share the line with the
 * rest of it.
 */
#include "core/engine/readahead.h"

#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"

/* More is asked for when half of it is used up, and the other half has to last until that comes. */
#define WINDOW_MAX    (UINT64_C(128) << 20)
#define WINDOW_FACTOR 4
/* A slow source does not bound it further. */
#define WINDOW_SLOW (UINT64_C(8) << 20)
#define REQUEST_MIN (UINT64_C(256) << 10)
#define REQUEST_MAX (UINT64_C(8) << 20)
/* A window is cut into as many requests: so many connections there are by default. */
#define REQUESTS_PER_WINDOW 16
#define QUEUED_MAX          32
/* A run this long, or of three reads, is no accident. */
#define PROVEN_BYTES (UINT64_C(128) << 10)
#define PROVEN_READS 3
/* Reads of one stream overtake each other by so much on their way here. */
#define SLACK (UINT64_C(2) << 20)

void readahead_init(struct readahead *readahead)
{
	*readahead = (struct readahead){0};
	for (int i = 0; i < READAHEAD_NR_STREAMS; i++)
		atomic_init(&readahead->streams[i].trigger, UINT64_MAX);
}

static bool is_proven(const struct stream *stream)
{
	return stream->nr_reads >= PROVEN_READS ||
	       (stream->nr_reads >= 2 && stream->next - stream->begin >= PROVEN_BYTES);
}

static bool matches(const struct stream *stream, uint64_t offset)
{
	if (!stream->active)
		return false;
	if (!is_proven(stream))
		return offset == stream->next || offset == stream->ahead;
	return offset + SLACK >= stream->next && offset <= stream->ahead + SLACK &&
	       offset >= stream->begin;
}

static void set_trigger(struct stream *stream, uint64_t offset)
{
	atomic_store_explicit(&stream->trigger, offset, memory_order_relaxed);
}

static struct stream *find(struct readahead *readahead, uint64_t offset)
{
	struct stream *best = NULL;

	for (int i = 0; i < READAHEAD_NR_STREAMS; i++) {
		struct stream *stream = &readahead->streams[i];

		if (matches(stream, offset) && (!best || stream->used > best->used))
			best = stream;
	}
	return best;
}

/* A new stream in place of the one that was not used for longest. */
static struct stream *begin(struct image *img, uint64_t offset) CF_IMAGE_LOCKED
{
	struct readahead *readahead = &img->readahead;
	struct stream *oldest = &readahead->streams[0];

	for (int i = 1; i < READAHEAD_NR_STREAMS; i++) {
		if (readahead->streams[i].used < oldest->used)
			oldest = &readahead->streams[i];
	}
	oldest->active = true;
	oldest->begin = oldest->next = oldest->ahead = offset;
	oldest->nr_reads = 0;
	set_trigger(oldest, UINT64_MAX);
	return oldest;
}

static bool is_possible(const struct image *img) CF_IMAGE_LOCKED
{
	return image_mode(img) == IMAGE_RW && img->source && !img->stopping && !img->hydrator.off &&
	       !img->hydrator.no_space && img->outage.state == SOURCE_STATE_OK &&
	       img->fetches.nr_queued[SOURCE_READAHEAD] < QUEUED_MAX;
}

/* Entries for the missing regions of [from, to); returns how far it got. */
static uint64_t want(struct image *img, uint64_t from, uint64_t to, uint64_t window) CF_IMAGE_LOCKED
{
	uint64_t region = geometry_region_of(&img->geo, from);

	while (geometry_region_start(&img->geo, region) < to) {
		bool known = inflight_find_locked(img, region) ||
		             metadata_is_region_hydrated(img->metadata, region);

		/* A large region comes whole, once it is begun: not for a small window. */
		if (!known && geometry_region_size(&img->geo) > window)
			return max_u64(from, geometry_region_start(&img->geo, region));
		if (!known && !inflight_add_locked(img, region, true))
			return max_u64(from, geometry_region_start(&img->geo, region));
		if (++region >= img->geo.nr_regions)
			break;
	}
	return to;
}

static uint64_t align_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t window_of(const struct image *img, const struct stream *stream,
                          uint64_t now_ns) CF_IMAGE_LOCKED
{
	/* A region that is larger is not read ahead for. */
	uint64_t slow = max_u64(WINDOW_SLOW, geometry_region_size(&img->geo));
	uint64_t window = max_u64(WINDOW_FACTOR * pacing_two_seconds_locked(img, now_ns), slow);
	uint64_t consumed = stream->next - stream->begin;

	return min_u64(min_u64(WINDOW_FACTOR * consumed, window), WINDOW_MAX);
}

/* Asks for more when half of the window is used up. */
static void advance(struct image *img, struct stream *stream) CF_IMAGE_LOCKED
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t window = window_of(img, stream, now_ns);
	uint64_t unit = min_u64(geometry_region_size(&img->geo), REQUEST_MAX);
	uint64_t length = align_up(
	        min_u64(max_u64(window / REQUESTS_PER_WINDOW, REQUEST_MIN), REQUEST_MAX), unit);
	uint64_t target = min_u64(align_up(stream->next + window, unit), img->geo.size);

	patience_stream(&img->committer.patience, pacing_two_seconds_locked(img, now_ns), now_ns);
	if (stream->ahead < stream->next)
		stream->ahead = min_u64(align_up(stream->next, img->piece_size), img->geo.size);
	while (stream->ahead < target && is_possible(img)) {
		uint64_t to = min_u64(stream->ahead + length, target);
		uint64_t wanted;

		/* Whole requests only, except at the end: leftovers wait for the next time. */
		if (to - stream->ahead < length && to < img->geo.size &&
		    stream->ahead > stream->next)
			break;
		wanted = want(img, stream->ahead, to, window);
		if (wanted == stream->ahead)
			break;
		cover_range_locked(img, stream->ahead, wanted, SOURCE_READAHEAD, length,
		                   UINT32_MAX);
		/* Ends what no fetch could be made for. */
		inflight_settle_range_locked(img, stream->ahead, wanted, false);
		stream->ahead = wanted;
	}
	if (stream->ahead > stream->next && stream->ahead < img->geo.size)
		set_trigger(stream, stream->next + (stream->ahead - stream->next) / 2);
	else
		set_trigger(stream, UINT64_MAX);
	fetch_dispatch_locked(img, clock_monotonic_ns());
}

static void move_on(struct image *img, struct stream *stream, uint64_t offset,
                    uint64_t length) CF_IMAGE_LOCKED
{
	uint64_t last = geometry_region_of(&img->geo, offset + length - 1);

	stream->used = ++img->readahead.clock;
	stream->nr_reads++;
	stream->next = max_u64(stream->next, offset + length);
	if (is_proven(stream))
		advance(img, stream);
	else
		stream->ahead = max_u64(stream->ahead, geometry_region_end(&img->geo, last));
}

void readahead_read_locked(struct image *img, uint64_t offset, uint64_t length)
{
	struct stream *stream = find(&img->readahead, offset);

	if (!stream)
		stream = begin(img, offset);
	move_on(img, stream, offset, length);
}

bool readahead_covers_locked(const struct image *img, uint64_t offset)
{
	for (int i = 0; i < READAHEAD_NR_STREAMS; i++) {
		const struct stream *stream = &img->readahead.streams[i];

		if (is_proven(stream) && matches(stream, offset) && offset <= stream->next + SLACK)
			return true;
	}
	return false;
}

void readahead_hit(struct image *img, uint64_t offset, uint64_t length)
{
	for (int i = 0; i < READAHEAD_NR_STREAMS; i++) {
		uint64_t trigger = atomic_load_explicit(&img->readahead.streams[i].trigger,
		                                        memory_order_relaxed);

		if (trigger - offset >= length)
			continue;
		image_lock(img);
		if (matches(&img->readahead.streams[i], offset))
			move_on(img, &img->readahead.streams[i], offset, length);
		image_unlock(img);
		return;
	}
}
