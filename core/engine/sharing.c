/*
 * Where source and destination are files of one file system that can share blocks (xfs, btrfs), a
 * batch of missing regions is hydrated by one call that copies nothing. It owns their entries as a
 * whole-region change does (R3), and sets the bits when the call has returned (R4); what makes them
 * durable is the commit's sync of the destination, as ever. Holes of the source become holes (R7).
 *
 * One batch at a time: the file system would not do two of one file at once. When it says that it
 * cannot, everything is fetched from then on; who asked meanwhile is fetched for at once. Only
 * background does this: a reader who is faster gets his regions by reading.
 */
#include "core/engine/sharing.h"

#include <errno.h>
#include <string.h>

#include "core/engine/events.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/request.h"
#include "core/engine/writers.h"

void sharing_init(struct sharing *sharing, bool possible)
{
	*sharing = (struct sharing){.possible = possible};
}

bool sharing_is_next_locked(struct image *img)
{
	struct sharing *sharing = &img->sharing;
	bool skip = sharing->skip_one;

	sharing->skip_one = false;
	return sharing->possible && !skip;
}

bool sharing_is_busy_locked(const struct image *img)
{
	return img->sharing.state != SHARING_IDLE;
}

bool sharing_begin_locked(struct image *img, uint64_t first, uint64_t nr)
{
	struct sharing *sharing = &img->sharing;

	sharing->first = first;
	sharing->nr = 0;
	while (sharing->nr < nr) {
		struct entry *entry = inflight_add_locked(img, first + sharing->nr, true);

		if (!entry)
			break;
		entry->owner = sharing;
		inflight_set_background_locked(img, entry, true);
		sharing->nr++;
	}
	if (!sharing->nr)
		return false;
	sharing->state = SHARING_QUEUED;
	writers_wake_locked(img);
	return true;
}

static int share(struct image *img) CF_IMAGE_LOCKED
{
	const struct sharing *sharing = &img->sharing;
	uint64_t from = geometry_region_start(&img->geo, sharing->first);
	uint64_t to = geometry_region_end(&img->geo, sharing->first + sharing->nr - 1);
	int r;

	if (img->stopping || image_mode(img) != IMAGE_RW)
		return -EIO;
	image_unlock(img);
	r = source_share(img->source, img->store.io, from, to - from);
	image_lock(img);
	return r;
}

static const char *reason(int error)
{
	switch (error) {
	case -EXDEV:
		return "they are on different file systems";
	case -EOPNOTSUPP:
	case -ENOTTY:
		return "the file system cannot share blocks";
	case -EINVAL:
		return "the file system cannot share these blocks";
	default:
		return strerror(-error);
	}
}

/* What the next batch is to know. */
static void learn(struct image *img, int error) CF_IMAGE_LOCKED
{
	struct sharing *sharing = &img->sharing;

	switch (error) {
	case 0:
		hydrator_took_data_locked(img);
		return;
	case -EAGAIN:
	case -ESTALE:
		sharing->skip_one = true;
		return;
	case -ENOSPC:
	case -EDQUOT:
		hydrator_no_space_locked(img, error);
		return;
	default:
		sharing->possible = false;
		events_push_locked(img, IMAGE_EVENT_NO_SHARING, 0, "%s", reason(error));
	}
}

void sharing_do_locked(struct image *img)
{
	struct sharing *sharing = &img->sharing;
	int r;

	sharing->state = SHARING_RUNNING;
	r = share(img);
	if (img->stopping || image_mode(img) != IMAGE_RW)
		r = -EIO;
	else
		learn(img, r);
	if (r == 0)
		r = metadata_set_range(img->metadata, sharing->first, sharing->nr);
	sharing->state = SHARING_IDLE;
	takeover_end_locked(img, sharing->first, sharing->nr, sharing, r);
	hydrator_wake_locked(img);
}
