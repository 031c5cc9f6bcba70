/*
 * R3: a change that covers whole regions owns their entries while it writes. Entries are taken in
 * ascending order and by no other way, so two changes cannot wait for each other; what is waited
 * for are local writes only.
 */
#include <errno.h>

#include "core/engine/committer.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/request.h"

static int take(struct image *img, uint64_t region, const void *owner) CF_IMAGE_LOCKED
{
	struct entry *entry;

	for (;;) {
		if (metadata_is_region_hydrated(img->metadata, region))
			return 0;
		entry = inflight_find_locked(img, region);
		if (!entry || !entry->owner)
			break;
		cf_cond_wait(&img->inflight.owners, &img->lock);
	}
	if (!entry)
		entry = inflight_add_locked(img, region, true);
	if (!entry)
		return -ENOMEM;
	entry->owner = owner;
	inflight_drop_pieces_locked(img, entry);
	inflight_set_background_locked(img, entry, false);
	while (entry->nr_in_hands)
		cf_cond_wait(&img->inflight.owners, &img->lock);
	return 0;
}

int takeover_begin_locked(struct image *img, uint64_t first, uint64_t nr, const void *owner)
{
	uint64_t region = metadata_find_next_unhydrated(img->metadata, first);
	int r = img->stopping || image_mode(img) != IMAGE_RW ? -EIO : 0;

	while (r == 0 && region < first + nr) {
		r = take(img, region, owner);
		if (r == 0)
			region = metadata_find_next_unhydrated(img->metadata, region + 1);
	}
	if (r < 0)
		takeover_end_locked(img, first, region - first, owner, r);
	return r;
}

/* The change failed: R8. */
static void give_back(struct image *img, struct entry *entry, int error) CF_IMAGE_LOCKED
{
	entry->owner = NULL;
	entry->keep = true;
	if (image_mode(img) != IMAGE_RW || img->stopping)
		inflight_stop_keeping_locked(img, entry, error);
	inflight_given_back_locked(img, entry);
}

void takeover_end_locked(struct image *img, uint64_t first, uint64_t nr, const void *owner,
                         int error)
{
	for (uint64_t region = first; region < first + nr; region++) {
		struct entry *entry = inflight_find_locked(img, region);

		/* Another change's entry may still be there though its bit is set. */
		if (!entry || entry->owner != owner)
			continue;
		if (error)
			give_back(img, entry, error);
		else
			inflight_remove_hydrated_locked(img, entry);
	}
	cf_cond_broadcast(&img->inflight.owners);
	if (!error && nr)
		fetch_cancel_useless_locked(img, geometry_region_start(&img->geo, first),
		                            geometry_region_end(&img->geo, first + nr - 1));
	fetch_dispatch_locked(img, clock_monotonic_ns());
}
