/*
 * The second form of writes: part of a missing region is written at once, in place, and the fetch
 * fills only the other sectors. Between the first such write and its bit a region is *partial*: its
 * entry has a map of valid sectors (those that users wrote), in memory alone. All functions want
 * the image's lock. Invariants, kept here and in inflight.c, writers.c and read.c:
 *
 * P1  A valid sector is never written from a source's bytes. A piece is stored around its valid
 *     sectors, and while it is QUEUED or WRITING no write in place of its sectors begins; while one
 *     is under way the piece does not get into a writer's hands.
 * P2  A sector is marked valid after the pwrite of it returned and before the write is answered.
 *     Marks are never taken back while the entry lives, also not by a write or a takeover that
 *     failed.
 * P3  The bit is set when every sector is in the destination, from users or from the source, and no
 *     write in place is under way (R4). In the same step the region is marked as written, so that a
 *     commit that fails from there on has it in the lost set.
 * P4  A partial entry ends with its bit, when the mode leaves rw (its region is in the lost set
 *     then), or when the image stops (which says what was not kept). Never because of an outage, a
 *     changed source, a full disk, a pause or a cancel: then it waits, with its map.
 * P5  Reads take valid sectors from the destination, also while the source is away; others from
 *     the reply.
 * P6  Nothing of it reaches the metadata before P3: after a kill the region is the source's, whole.
 * P7  A flush (and a pause) that finds regions partial waits until those have their bits, and takes
 *     its ticket then. It depends on the source like a read and fails like one, with EIO; the
 *     regions stay partial, and the next flush waits for them anew.
 * P8  At most PARTIAL_LIMIT bytes of regions are partial. New writes in place begin only in mode
 *     rw, with the source ok and room on the destination, and cover whole sectors. All others take
 *     the first form (change.c).
 * P9  What partial regions miss is asked for ahead of background and whether or not that is
 *     paused: at once when a flush waits, else a moment later, since the next writes may make the
 *     region whole without the source.
 */
#ifndef CLONEFS_ENGINE_PARTIAL_H
#define CLONEFS_ENGINE_PARTIAL_H

#include "core/engine/engine_internal.h"

#define PARTIAL_LIMIT (UINT64_C(64) << 20)

void partial_init(struct partial *partial);
void partial_fini(struct partial *partial);

/* ---- writes ---- */

/*
 * A write in place of [from, to), part of one region whose bit the caller saw clear, begins:
 * *ret_entry is the region's entry with a hand on it, to be given to partial_end_locked(). NULL: it
 * is not done in this form, or the region is hydrated by now. Waits (the lock is let go) for the
 * local disk only. -EIO: mode or stop.
 */
int partial_begin_locked(struct image *img, uint64_t from, uint64_t to,
                         struct entry **ret_entry) CF_IMAGE_LOCKED;
/* It ended with @error; the answer is what this returns. @entry may be gone afterwards. */
int partial_end_locked(struct image *img, struct entry *entry, uint64_t from, uint64_t to,
                       int error) CF_IMAGE_LOCKED;

/* ---- for the owner of entries (inflight.c, takeover.c) ---- */

/* It ends as partial, one way or the other; nothing if it is not. */
void partial_forget_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;
/* Nobody asks for what it misses, but somebody should. */
void partial_todo_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;
/* The destination refused a piece of it: flushes that wait for it are told. */
void partial_refused_locked(struct image *img, const struct entry *entry,
                            int error) CF_IMAGE_LOCKED;
/* The words of piece @index's sectors, that can be copied while the lock is held. */
const uint64_t *partial_piece_words(const struct image *img, const struct entry *entry,
                                    uint32_t index);
/* Is the whole range, is some of it, valid? It lies in the entry's region. */
bool partial_covers(const struct image *img, const struct entry *entry, uint64_t from, uint64_t to);
bool partial_touches(const struct image *img, const struct entry *entry, uint64_t from,
                     uint64_t to);

/* ---- flushes ---- */

/* @req (a flush or a pause) goes to the committer when what is partial now is not any more. */
void partial_flush_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;
/* Does a flush that came when @seq was the newest wait for bytes of the source? */
bool partial_flush_needs_source_locked(struct image *img, uint64_t seq) CF_IMAGE_LOCKED;
/* Does a flush wait for @entry? */
bool partial_is_awaited_locked(const struct image *img, const struct entry *entry) CF_IMAGE_LOCKED;

/* ---- fill ---- */

/* Asks for what is missing as far as it can be sent; returns when to look again. */
uint64_t partial_fill_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;
/* There is something to ask for. */
bool partial_has_todo_locked(const struct image *img) CF_IMAGE_LOCKED;
/* Some region waits for bytes of the source. */
bool partial_wants_source_locked(const struct image *img) CF_IMAGE_LOCKED;
/* @fetch brings bytes of one. */
bool partial_is_filled_by_locked(const struct image *img,
                                 const struct fetch *fetch) CF_IMAGE_LOCKED;

/* ---- ends ---- */

/* The mode leaves rw: partial regions are lost. The caller has metadata's bitmap lock, too. */
void partial_mark_lost_locked(struct image *img) CF_IMAGE_LOCKED;
/* Its entry ends without its bit (P4): partial_forget_locked(), and when the image stops it counts
 * as not kept. */
void partial_drop_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;
/* Says which regions were not kept. */
void partial_tell_not_kept_locked(struct image *img) CF_IMAGE_LOCKED;

#endif
