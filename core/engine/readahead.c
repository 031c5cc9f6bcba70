/*
 * A stream is a run of reads, each beginning where the one before ended (or where what that one
 * pulled ended: hits in between are not seen). When it has gone on for a while, a multiple of what
 * it consumed is asked for ahead of it (window.h): comparing the first MiB of an image pulls a few
 * MiB, reading all of it soon keeps all connections busy. From a slow source it is no more than
 * what that brings in some seconds: who goes on reading elsewhere has to share the line with the
 * rest of it.
 */
#include "core/engine/readahead.h"

#include "core/engine/cover.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"
#include "core/engine/window.h"

/* More is asked for when half of the window is used up, or so much of it. */
#define USED_UP    (UINT64_C(1) << 20)
#define QUEUED_MAX 32
/* Requests begin and end with a region, or with so much of a large one. */
#define UNIT_MAX (UINT64_C(4) << 20)
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

/* Nobody brings what comes next, though it was asked for: it was given up for somebody else. What
 * he has begun of a region comes whole. */
static bool is_in_a_hole(struct image *img, const struct stream *stream) CF_IMAGE_LOCKED
{
	uint64_t at = align_up(stream->next, geometry_region_size(&img->geo));
	uint64_t region = geometry_region_of(&img->geo, at);

	return at < stream->ahead && at < img->geo.size && !inflight_find_locked(img, region) &&
	       !metadata_is_region_hydrated(img->metadata, region);
}

static void advance(struct image *img, struct stream *stream) CF_IMAGE_LOCKED
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t window = window_length(stream->next - stream->begin,
	                                pacing_two_seconds_hence_locked(img, now_ns),
	                                geometry_region_size(&img->geo));
	uint64_t unit = min_u64(geometry_region_size(&img->geo), UNIT_MAX);
	uint64_t target = min_u64(align_up(stream->next + window, unit), img->geo.size);

	patience_stream(&img->committer.patience, pacing_two_seconds_locked(img, now_ns), now_ns);
	if (stream->ahead < stream->next || is_in_a_hole(img, stream))
		stream->ahead = min_u64(align_up(stream->next, img->piece_size), img->geo.size);
	while (stream->ahead < target && is_possible(img)) {
		uint64_t length = align_up(window_request(window, stream->ahead - stream->next,
		                                          img->geo.size - stream->ahead),
		                           unit);
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
		set_trigger(stream,
		            stream->next + min_u64((stream->ahead - stream->next) / 2, USED_UP));
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

		/* Who overtook the one that was to come upon it may stand for him. */
		if (trigger >= offset + length || offset + length - trigger > length + SLACK)
			continue;
		image_lock(img);
		if (matches(&img->readahead.streams[i], offset))
			move_on(img, &img->readahead.streams[i], offset, length);
		image_unlock(img);
		return;
	}
}
