/*
 * A commit: freeze the sets (pre_commit), sync the destination, write the metadata. In that order,
 * because no bit may reach the disk before its data, and because what is marked after the freeze
 * belongs to the next one. A request is a ticket for the first commit that *starts* after it came:
 * tickets are collected at the start, and those that come later share the next.
 *
 * Between commits the destination is told to write back what it has, a part at a time: a second's
 * worth at once would hold up those who write meanwhile, and the sync. Neither is done while
 * patience.h holds.
 */
#include "core/engine/committer.h"

#include <errno.h>

#include "core/engine/events.h"
#include "core/engine/mode.h"
#include "core/engine/request.h"

#define INTERVAL_MS   UINT64_C(1000)
#define WRITE_BACK_MS UINT64_C(250)

void committer_init(struct committer *committer, uint64_t interval_ms)
{
	*committer = (struct committer){
	        .interval_ms = interval_ms ? interval_ms : INTERVAL_MS,
	};
	patience_init(&committer->patience);
	cf_cond_init(&committer->wake);
	list_init(&committer->tickets);
}

void committer_fini(struct committer *committer)
{
	cf_cond_fini(&committer->wake);
}

void committer_add_locked(struct image *img, struct image_request *req)
{
	if (image_mode(img) != IMAGE_RW) {
		/* A pause has nothing to commit then; a flush has failed. */
		request_end_locked(img, req, req->kind == REQUEST_PAUSE ? 0 : -EIO);
		return;
	}
	list_add_tail(&img->committer.tickets, &req->link);
	cf_cond_signal(&img->committer.wake);
}

void committer_want_locked(struct image *img)
{
	img->committer.wanted = true;
	cf_cond_signal(&img->committer.wake);
}

void committer_note_change_locked(struct image *img)
{
	if (img->committer.dirty)
		return;
	img->committer.dirty = true;
	img->committer.dirty_ns = clock_monotonic_ns();
	cf_cond_signal(&img->committer.wake);
}

bool committer_rests_locked(const struct image *img, uint64_t now_ns)
{
	return !img->committer.busy && patience_is_calm(&img->committer.patience, now_ns);
}

void committer_drop_cache_locked(struct image *img)
{
	img->committer.stale = true;
	cf_cond_signal(&img->committer.wake);
}

static void freeze_written(void *user)
{
	struct image *img = user;

	written_freeze(&img->written);
}

static void forget_frozen(struct image *img)
{
	metadata_bitmap_lock(img->metadata);
	written_forget_frozen(&img->written);
	metadata_bitmap_unlock(img->metadata);
}

/* 0, or the error; *@ret_synced: the destination's part was done, or not begun. */
static int commit(struct image *img, bool *ret_synced, struct cf_error *err)
{
	int r;

	*ret_synced = true;
	/* Also when no bit changed: whether one did is known under the lock that freezes, and only
	 * there. An empty frozen set costs the metadata nothing. */
	r = metadata_pre_commit(img->metadata, freeze_written, img);
	if (r < 0)
		return cf_error_errno(err, r, "the changed regions could not be frozen");
	r = store_sync(&img->store);
	if (r < 0) {
		*ret_synced = false;
		return cf_error_errno(err, r, "sync");
	}
	r = metadata_commit(img->metadata, err);
	if (r == 0)
		forget_frozen(img);
	return r;
}

static void tell_milestones(struct image *img) CF_IMAGE_LOCKED
{
	uint64_t committed = metadata_nr_committed(img->metadata);
	unsigned int percent = (unsigned int)(committed * 100 / img->geo.nr_regions);

	while (img->committer.percent < percent)
		events_push_locked(img, IMAGE_EVENT_MILESTONE, ++img->committer.percent, "%s", "");
}

/* May wait for pages that readers of a silent source hold: nobody waits for this thread then. */
static void invalidate(struct image *img) CF_IMAGE_LOCKED
{
	img->committer.stale = false;
	image_unlock(img);
	if (img->callbacks.invalidate)
		img->callbacks.invalidate(img->callbacks_user);
	image_lock(img);
}

/* One commit for @tickets; the lock is let go meanwhile. */
static void run_commit(struct image *img, struct list *tickets) CF_IMAGE_LOCKED
{
	struct cf_error err = {0};
	bool synced;
	int r;

	img->committer.busy = true;
	image_unlock(img);
	r = commit(img, &synced, &err);
	if (r < 0)
		mode_commit_failed(img,
		                   synced ? "the metadata could not be written"
		                          : "the destination could not be synced",
		                   synced, &err);
	image_lock(img);
	img->committer.busy = false;
	if (r < 0)
		img->committer.last_error = err;
	tell_milestones(img);
	for (struct list *link; (link = list_pop(tickets));) {
		struct image_request *req = list_entry(link, struct image_request, link);

		request_end_locked(img, req, r < 0 ? -EIO : 0);
		request_release_locked(img, req);
	}
	if (r < 0)
		committer_drop_cache_locked(img);
}

static void take_tickets(struct image *img, struct list *tickets) CF_IMAGE_LOCKED
{
	list_splice_tail(tickets, &img->committer.tickets);
	list_for_each (link, tickets)
		request_hold_locked(img, list_entry(link, struct image_request, link));
}

static void refuse_tickets(struct image *img) CF_IMAGE_LOCKED
{
	for (struct list *link; (link = list_pop(&img->committer.tickets));)
		committer_add_locked(img, list_entry(link, struct image_request, link));
}

/* Something that waits for no timer. */
static bool has_work(const struct committer *committer)
{
	return !list_is_empty(&committer->tickets) || committer->wanted || committer->stale ||
	       committer->stop;
}

bool committer_run_here_locked(struct image *img, struct image_request *req)
{
	struct committer *committer = &img->committer;
	struct list ticket = LIST_INIT(ticket);

	if (image_mode(img) != IMAGE_RW || committer->busy || committer->dirty ||
	    has_work(committer))
		return false;
	list_add_tail(&ticket, &req->link);
	request_hold_locked(img, req);
	run_commit(img, &ticket);
	if (has_work(committer) || committer->dirty)
		cf_cond_signal(&committer->wake);
	return true;
}

static void write_back(struct image *img) CF_IMAGE_LOCKED
{
	image_unlock(img);
	store_write_back(&img->store, 0, img->geo.size);
	image_lock(img);
	img->committer.ahead_ns = clock_monotonic_ns();
}

/* Bytes of the regions that the next commit would add. */
static uint64_t uncommitted(const struct image *img)
{
	return (metadata_nr_hydrated(img->metadata) - metadata_nr_committed(img->metadata)) *
	       geometry_region_size(&img->geo);
}

/* Waits until there is something to commit, and nobody commits. */
static void wait_for_work(struct image *img) CF_IMAGE_LOCKED
{
	struct committer *committer = &img->committer;

	for (;;) {
		uint64_t due_ns = ns_after(committer->last_ns, committer->interval_ms);
		uint64_t ahead_ns =
		        ns_after(max_u64(committer->last_ns, committer->ahead_ns), WRITE_BACK_MS);
		uint64_t now_ns = clock_monotonic_ns();
		bool patient;

		if (committer->busy) {
			cf_cond_wait(&committer->wake, &img->lock);
			continue;
		}
		if (has_work(committer))
			return;
		if (!committer->dirty) {
			cf_cond_wait(&committer->wake, &img->lock);
			continue;
		}
		patient = patience_holds(&committer->patience, uncommitted(img), now_ns);
		if (patient)
			due_ns = max_u64(due_ns, ns_after(committer->dirty_ns, PATIENCE_MS));
		if (now_ns >= due_ns)
			return;
		if (patient)
			(void)cf_cond_wait_until(
			        &committer->wake, &img->lock,
			        min_u64(due_ns, ns_after(now_ns, PATIENCE_LOOK_MS)));
		else if (now_ns >= ahead_ns)
			write_back(img);
		else
			(void)cf_cond_wait_until(&committer->wake, &img->lock,
			                         min_u64(due_ns, ahead_ns));
	}
}

static void *run(void *arg)
{
	struct image *img = arg;
	struct committer *committer = &img->committer;
	bool last = false;

	image_lock(img);
	committer->last_ns = clock_monotonic_ns();
	while (!last) {
		struct list tickets = LIST_INIT(tickets);

		wait_for_work(img);
		last = committer->stop;
		committer->wanted = false;
		committer->dirty = false;
		if (image_mode(img) == IMAGE_RW) {
			take_tickets(img, &tickets);
			run_commit(img, &tickets);
		} else {
			refuse_tickets(img);
		}
		committer->last_ns = clock_monotonic_ns();
		if (committer->stale)
			invalidate(img);
		image_unlock(img);
		image_lock(img);
	}
	image_unlock(img);
	return NULL;
}

int committer_start(struct image *img)
{
	int r = pthread_create(&img->committer.thread, NULL, run, img);

	img->committer.started = r == 0;
	if (r == 0)
		(void)pthread_setname_np(img->committer.thread, "clonefs-commit");
	return -r;
}

int committer_stop(struct image *img, struct cf_error *err)
{
	int r = 0;

	if (img->committer.started) {
		image_lock(img);
		img->committer.stop = true;
		cf_cond_signal(&img->committer.wake);
		image_unlock(img);
		(void)pthread_join(img->committer.thread, NULL);
		img->committer.started = false;
	}
	image_lock(img);
	if (image_mode(img) == IMAGE_RO)
		r = cf_error_set(err, -EIO,
		                 "the last commit failed: nothing could be committed: %s",
		                 img->mode_why);
	else if (image_mode(img) == IMAGE_FAIL)
		r = cf_error_set(err, -EIO, "nothing was to be committed any more: %s",
		                 img->mode_why);
	image_unlock(img);
	return r;
}
