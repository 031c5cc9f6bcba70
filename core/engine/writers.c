/*
 * Pieces that lie next to each other in the image are written together. R7: pieces of zeros are
 * punched (or zeroed), never left out: their range may hold bytes of an earlier run that crashed.
 * What users have written of a piece in the meantime is left out (P1 in partial.h).
 *
 * Filesystems let one thread at a time write to a file: a second one would only spin for the
 * inode's lock. So one thread stores pieces; all of them where the destination is a device.
 */
#include "core/engine/writers.h"

#include <assert.h>
#include <string.h>
#include <sys/uio.h>

#include "core/engine/change.h"
#include "core/engine/committer.h"
#include "core/engine/fetch.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/partial.h"
#include "core/engine/read.h"
#include "core/engine/request.h"
#include "core/engine/sharing.h"
#include "core/engine/valid_sectors.h"

#define RUN_PIECES 64
#define RUN_BYTES  (UINT64_C(1) << 20)

/* Adjacent pieces in one writer's hands. */
struct run {
	struct piece *pieces[RUN_PIECES];
	uint32_t lengths[RUN_PIECES];
	int errors[RUN_PIECES];
	/* A single piece that users wrote some of: its valid sectors are left out (P1). */
	bool partial;
	uint64_t valid[PIECE_SIZE_MAX / VALID_SECTOR_SIZE / 64];
	uint64_t data_bytes; /* that the destination took and that are not zeros */
	bool took_zeros;
	uint64_t space_end; /* up to where space is to be allocated before; 0: nowhere */
	bool took_space;    /* that was asked for, with this answer, after so long */
	int space_error;
	uint64_t space_ns;
	unsigned int nr;
	uint64_t offset;
};

void writers_init(struct writers *writers)
{
	*writers = (struct writers){0};
	cf_cond_init(&writers->work);
	list_init(&writers->locals);
	list_init(&writers->parked);
	list_init(&writers->pieces);
}

void writers_fini(struct writers *writers)
{
	cf_cond_fini(&writers->work);
}

void writers_wake_locked(struct image *img)
{
	if (img->writers.nr_idle)
		cf_cond_signal(&img->writers.work);
}

/* May one more thread store pieces? */
static bool may_store(const struct image *img) CF_IMAGE_LOCKED
{
	unsigned int most = store_is_device(&img->store) ? WRITERS_NR_THREADS : 1;

	return !list_is_empty(&img->writers.pieces) && img->writers.nr_storing < most;
}

/* Pieces come in bursts: who was called takes all that are there by then. */
static void call_to_store(struct image *img) CF_IMAGE_LOCKED
{
	if (img->writers.called || !img->writers.nr_idle || !may_store(img))
		return;
	img->writers.called = true;
	cf_cond_signal(&img->writers.work);
}

void writers_add_piece_locked(struct image *img, struct piece *piece)
{
	list_add_tail(&img->writers.pieces, &piece->queue_link);
	call_to_store(img);
}

void writers_add_parked_locked(struct image *img, struct parked *parked)
{
	parked->state = PARKED_READY;
	list_add_tail(&img->writers.parked, &parked->link);
	writers_wake_locked(img);
}

void writers_add_local_locked(struct image *img, struct image_request *req)
{
	if (req->local_busy || req->ended)
		return;
	req->local_busy = true;
	request_hold_locked(img, req);
	list_add_tail(&img->writers.locals, &req->local_link);
	writers_wake_locked(img);
}

bool writers_are_idle_locked(const struct image *img)
{
	const struct writers *writers = &img->writers;

	return !writers->nr_busy && list_is_empty(&writers->locals) &&
	       list_is_empty(&writers->parked) && list_is_empty(&writers->pieces) &&
	       !sharing_is_busy_locked(img);
}

/* ---- pieces ---- */

static bool has_valid(const struct image *img, const struct piece *piece)
{
	uint64_t offset = inflight_piece_offset(img, piece);

	return partial_touches(img, piece->entry, offset,
	                       offset + inflight_piece_length(img, piece));
}

/* They do not change while the piece is in hands. */
static void note_valid(const struct image *img, struct run *run, const struct piece *piece)
{
	uint32_t index = (uint32_t)(piece - piece->entry->pieces);
	uint32_t nr_sectors = (inflight_piece_length(img, piece) - 1) / VALID_SECTOR_SIZE + 1;

	run->partial = true;
	memcpy(run->valid, partial_piece_words(img, piece->entry, index),
	       valid_sectors_nr_words(nr_sectors) * sizeof(run->valid[0]));
}

static bool may_join(const struct image *img, const struct run *run, const struct piece *piece,
                     uint64_t bytes)
{
	if (!piece || piece->state != PIECE_QUEUED || piece->nr_writes)
		return false;
	return !run->nr || (!run->partial && run->nr < RUN_PIECES && bytes < RUN_BYTES &&
	                    !has_valid(img, piece));
}

/* Up to where space is to be allocated from @offset on; 0: nowhere. Not over what is there by now,
 * or somebody else's: nobody would give that space back. */
static uint64_t space_wanted(struct image *img, uint64_t offset) CF_IMAGE_LOCKED
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t at = offset, end;

	if (img->hydrator.no_space || !committer_rests_locked(img, now_ns))
		return 0;
	end = prealloc_wanted(&img->prealloc, offset, now_ns);
	while (at < end) {
		uint64_t region = geometry_region_of(&img->geo, at);
		const struct entry *entry = inflight_find_locked(img, region);

		if (!entry || !entry->keep || entry->owner)
			break;
		at = geometry_region_end(&img->geo, region);
	}
	end = min_u64(at, end);
	return end >= offset + PREALLOC_MIN ? end : 0;
}

static void begin_run(struct image *img, struct run *run, const struct piece *piece) CF_IMAGE_LOCKED
{
	run->nr = 0;
	run->data_bytes = 0;
	run->took_zeros = run->took_space = run->partial = false;
	run->offset = inflight_piece_offset(img, piece);
	if (has_valid(img, piece))
		note_valid(img, run, piece);
	run->space_end = run->partial ? 0 : space_wanted(img, run->offset);
}

static void collect(struct image *img, struct run *run) CF_IMAGE_LOCKED
{
	struct piece *piece = list_entry(list_pop(&img->writers.pieces), struct piece, queue_link);
	uint64_t bytes = 0;

	begin_run(img, run, piece);
	assert(piece->state == PIECE_QUEUED && !piece->nr_writes);
	while (may_join(img, run, piece, bytes)) {
		list_remove(&piece->queue_link);
		piece->state = PIECE_WRITING;
		piece->entry->nr_in_hands++;
		run->pieces[run->nr] = piece;
		run->lengths[run->nr] = inflight_piece_length(img, piece);
		bytes += run->lengths[run->nr++];
		piece = inflight_next_piece_locked(img, piece);
	}
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
	size_t head = length < 16 ? length : 16;

	for (size_t i = 0; i < head; i++) {
		if (bytes[i])
			return false;
	}
	/* The rest is zero if it equals what lies 16 bytes before it. */
	return memcmp(bytes, bytes + head, length - head) == 0;
}

/* Writes or punches pieces [first, last) of @run, which are all alike. */
static int put(struct image *img, const struct run *run, unsigned int first, unsigned int last,
               uint64_t offset, bool zero)
{
	struct iovec iov[RUN_PIECES];
	uint64_t length = 0;

	for (unsigned int i = first; i < last; i++) {
		iov[i - first] = (struct iovec){
		        .iov_base = run->pieces[i]->buf,
		        .iov_len = run->lengths[i],
		};
		length += run->lengths[i];
	}
	return zero ? store_punch(&img->store, offset, length)
	            : store_writev(&img->store, iov, (int)(last - first), offset);
}

/* The run begins with data: space for it and what follows. */
static void make_space(struct image *img, struct run *run)
{
	uint64_t begun_ns = clock_monotonic_ns();

	run->space_error = store_allocate(&img->store, run->offset, run->space_end - run->offset);
	run->space_ns = clock_monotonic_ns() - begun_ns;
	run->took_space = true;
}

static void store_run(struct image *img, struct run *run)
{
	uint64_t offset = run->offset;

	for (unsigned int first = 0, last; first < run->nr; first = last) {
		bool zero = is_zero(run->pieces[first]->buf, run->lengths[first]);
		uint64_t length = run->lengths[first];
		int r;

		for (last = first + 1; last < run->nr; last++) {
			if (is_zero(run->pieces[last]->buf, run->lengths[last]) != zero)
				break;
			length += run->lengths[last];
		}
		if (!zero && run->space_end && offset == run->offset)
			make_space(img, run);
		r = put(img, run, first, last, offset, zero);
		if (r == 0 && !zero)
			run->data_bytes += length;
		run->took_zeros |= zero;
		for (unsigned int i = first; i < last; i++)
			run->errors[i] = r;
		offset += length;
	}
}

/* The sectors between the valid ones of a single piece. */
static void store_around(struct image *img, struct run *run)
{
	const unsigned char *buf = run->pieces[0]->buf;
	uint32_t length = run->lengths[0];
	uint32_t nr_sectors = (length - 1) / VALID_SECTOR_SIZE + 1;
	uint32_t next;
	int r = 0;

	for (uint32_t sector = 0; sector < nr_sectors && r == 0; sector = next) {
		size_t from = (size_t)sector * VALID_SECTOR_SIZE;
		size_t n;
		bool valid;
		bool zero;

		next = valid_sectors_run(run->valid, sector, nr_sectors, &valid);
		if (valid)
			continue;
		n = (size_t)min_u64((uint64_t)next * VALID_SECTOR_SIZE, length) - from;
		zero = is_zero(buf + from, n);
		r = zero ? store_punch(&img->store, run->offset + from, n)
		         : store_write(&img->store, buf + from, n, run->offset + from);
		if (r == 0 && !zero)
			run->data_bytes += n;
		run->took_zeros |= zero;
	}
	run->errors[0] = r;
}

static void do_pieces(struct image *img) CF_IMAGE_LOCKED
{
	struct run run;

	collect(img, &run);
	img->writers.nr_storing++;
	call_to_store(img);
	image_unlock(img);
	if (run.partial)
		store_around(img, &run);
	else
		store_run(img, &run);
	image_lock(img);
	img->writers.nr_storing--;
	img->writers.returned_ns = clock_monotonic_ns();
	if (run.data_bytes)
		hydrator_took_data_locked(img);
	prealloc_stored(&img->prealloc, run.data_bytes, run.took_zeros);
	if (run.took_space)
		prealloc_answered(&img->prealloc, run.space_error, run.space_ns,
		                  img->writers.returned_ns);
	for (unsigned int i = 0; i < run.nr; i++)
		inflight_piece_returned_locked(img, run.pieces[i], run.errors[i]);
	/* There is room again, and an entry that waited for its piece may have asked anew. */
	fetch_dispatch_locked(img, clock_monotonic_ns());
}

/* ---- threads ---- */

static void do_local(struct image *img) CF_IMAGE_LOCKED
{
	struct list *link = list_pop(&img->writers.locals);
	struct image_request *req = list_entry(link, struct image_request, local_link);

	read_local_parts_locked(img, req);
}

static void do_parked(struct image *img) CF_IMAGE_LOCKED
{
	struct list *link = list_pop(&img->writers.parked);

	change_do_parked_locked(img, list_entry(link, struct parked, link));
}

static void *run_writer(void *arg)
{
	struct image *img = arg;
	struct writers *writers = &img->writers;

	image_lock(img);
	for (;;) {
		writers->nr_busy++;
		if (!list_is_empty(&writers->locals)) {
			call_to_store(img);
			do_local(img);
		} else if (!list_is_empty(&writers->parked)) {
			call_to_store(img);
			do_parked(img);
		} else if (may_store(img)) {
			do_pieces(img);
		} else if (img->sharing.state == SHARING_QUEUED) {
			sharing_do_locked(img);
		} else if (writers->stop) {
			writers->nr_busy--;
			break;
		} else {
			writers->nr_busy--;
			writers->nr_idle++;
			if (!writers->nr_busy)
				cf_cond_broadcast(&img->changed);
			cf_cond_wait(&writers->work, &img->lock);
			writers->nr_idle--;
			writers->called = false;
			continue;
		}
		writers->nr_busy--;
		image_unlock(img);
		image_lock(img);
	}
	image_unlock(img);
	return NULL;
}

int writers_start(struct image *img)
{
	struct writers *writers = &img->writers;

	while (writers->nr_threads < WRITERS_NR_THREADS) {
		int r = pthread_create(&writers->threads[writers->nr_threads], NULL, run_writer,
		                       img);

		if (r)
			return -r;
		(void)pthread_setname_np(writers->threads[writers->nr_threads], "clonefs-write");
		writers->nr_threads++;
	}
	return 0;
}

void writers_stop(struct image *img)
{
	image_lock(img);
	img->writers.stop = true;
	cf_cond_broadcast(&img->writers.work);
	image_unlock(img);
	while (img->writers.nr_threads)
		(void)pthread_join(img->writers.threads[--img->writers.nr_threads], NULL);
}
