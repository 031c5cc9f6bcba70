/*
 * When a commit fails, acknowledged writes may be gone. Which ones is decided in the same moment in
 * which the mode becomes ro: both `written` sets stop changing under metadata's bitmap lock, which
 * whoever marks a write holds too. So nobody sees ro without the lost set being complete, and no
 * write is acknowledged that neither is in it nor committed. If only the metadata failed, regions
 * that turn out to be committed leave the set again: the destination has their data. Partial
 * regions have acknowledged writes without a mark, until they get their bits: they join the set
 * then, too.
 *
 * Then bits are cleared by the reload. Readers go without locks: epoch is odd from before ro until
 * the bits are right again, and differs afterwards; who read the destination in between looks
 * again.
 */
#include "core/engine/mode.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/log.h"
#include "core/engine/committer.h"
#include "core/engine/events.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/partial.h"
#include "core/engine/request.h"

#define RANGES_MAX 512

static void set_mode(struct image *img, enum image_mode mode)
{
	atomic_store_explicit(&img->mode, mode, memory_order_release);
}

void mode_fail_locked(struct image *img, const char *why)
{
	if (image_mode(img) == IMAGE_FAIL)
		return;
	(void)snprintf(img->mode_why, sizeof(img->mode_why), "%s", why);
	/* Under the bitmap lock, too: no mark of a write comes after it. */
	metadata_bitmap_lock(img->metadata);
	set_mode(img, IMAGE_FAIL);
	metadata_bitmap_unlock(img->metadata);
	events_push_locked(img, IMAGE_EVENT_MODE, IMAGE_FAIL, "%s", why);
	request_fail_waiting_locked(img, -EIO);
	list_for_each_safe (link, &img->inflight.entries) {
		struct entry *entry = list_entry(link, struct entry, link);

		if (entry->owner)
			continue;
		inflight_stop_keeping_locked(img, entry, -EIO);
		inflight_settle_locked(img, entry, false);
	}
	fetch_cancel_all_locked(img, false);
	hydrator_wake_locked(img);
	committer_drop_cache_locked(img);
}

/* From here on nothing is written and no bit is set. */
static void become_read_only_locked(struct image *img, const char *what,
                                    const struct cf_error *err) CF_IMAGE_LOCKED
{
	(void)snprintf(img->mode_why, sizeof(img->mode_why), "%s: %.*s", what,
	               (int)sizeof(img->mode_why) / 2, err->text);
	atomic_fetch_add(&img->epoch, 1);
	metadata_bitmap_lock(img->metadata);
	partial_mark_lost_locked(img);
	set_mode(img, IMAGE_RO);
	metadata_bitmap_unlock(img->metadata);
	list_for_each_safe (link, &img->inflight.entries) {
		struct entry *entry = list_entry(link, struct entry, link);

		/* Also of those that are not kept: writes may be parked there. */
		if (entry->owner)
			continue;
		inflight_stop_keeping_locked(img, entry, -EIO);
		inflight_settle_locked(img, entry, false);
	}
	hydrator_end_background_locked(img);
}

static void tell(struct image *img) CF_IMAGE_LOCKED
{
	uint64_t nr_lost = written_count(&img->written);
	char ranges[RANGES_MAX];

	if (image_mode(img) == IMAGE_RO)
		events_push_locked(img, IMAGE_EVENT_MODE, IMAGE_RO, "%s", img->mode_why);
	if (nr_lost)
		events_push_locked(img, IMAGE_EVENT_LOST, nr_lost, "%s",
		                   written_describe(&img->written, ranges, sizeof(ranges)));
}

static bool is_committed(void *user, uint64_t region)
{
	const struct image *img = user;

	return metadata_is_region_hydrated(img->metadata, region);
}

static int reload(struct image *img, bool data_is_safe, struct cf_error *err)
{
	int r = metadata_abort(img->metadata, err);

	metadata_set_read_only(img->metadata);
	if (r == 0)
		r = metadata_reload(img->metadata, err);
	/* Nobody looks at the sets while epoch is odd. */
	if (r == 0 && data_is_safe)
		written_forget_if(&img->written, is_committed, img);
	return r;
}

void mode_commit_failed(struct image *img, const char *what, bool data_is_safe,
                        const struct cf_error *err)
{
	struct cf_error why = {0};
	int r;

	image_lock(img);
	if (image_mode(img) == IMAGE_RW)
		become_read_only_locked(img, what, err);
	else
		atomic_fetch_add(&img->epoch, 1);
	image_unlock(img);

	r = reload(img, data_is_safe, &why);

	image_lock(img);
	tell(img);
	if (r < 0)
		mode_fail_locked(img, why.text);
	atomic_fetch_add(&img->epoch, 1);
	cf_cond_broadcast(&img->changed);
	image_unlock(img);
	log_error("%s; the clone is %s now: %s", what, image_mode_name(image_mode(img)), err->text);
}

int mode_mark_written(struct image *img, uint64_t first, uint64_t nr, uint64_t first_whole,
                      uint64_t nr_whole)
{
	int r = 0;

	metadata_bitmap_lock(img->metadata);
	if (image_mode(img) != IMAGE_RW)
		r = -EIO;
	else if (nr_whole)
		r = metadata_set_range_locked(img->metadata, first_whole, nr_whole);
	if (r == 0) {
		written_mark(&img->written, first, nr);
		patience_user(&img->committer.patience);
	}
	metadata_bitmap_unlock(img->metadata);
	return r < 0 ? -EIO : 0;
}

bool mode_is_lost(const struct image *img, uint64_t first, uint64_t nr)
{
	/* In mode fail nothing is read, and a commit that still runs may empty the sets. */
	return image_mode(img) == IMAGE_RO && written_test(&img->written, first, nr);
}

void mode_wait_reload_locked(struct image *img)
{
	while (atomic_load(&img->epoch) & 1)
		cf_cond_wait(&img->changed, &img->lock);
}
