/*
 * The inflight table: what is known of regions that are missing and wanted. See inflight.c for the
 * rules. All functions want the image's lock.
 */
#ifndef CLONEFS_ENGINE_INFLIGHT_H
#define CLONEFS_ENGINE_INFLIGHT_H

#include "core/engine/engine_internal.h"

/* -ENOMEM. */
int inflight_init(struct inflight *inflight);
void inflight_fini(struct inflight *inflight);

/* The entry of @region, NULL if it has none. */
struct entry *inflight_find_locked(const struct image *img, uint64_t region) CF_IMAGE_LOCKED;

/*
 * A new, empty entry for a region that has none and whose bit the caller has just seen clear under
 * this lock (R1). NULL: no memory.
 */
struct entry *inflight_add_locked(struct image *img, uint64_t region, bool keep) CF_IMAGE_LOCKED;

/* It counts as background's, or not any more. */
void inflight_set_background_locked(struct image *img, struct entry *entry,
                                    bool background) CF_IMAGE_LOCKED;

/*
 * Puts @part (WAITING) to the piece it wants bytes of, with those that are there: it may be DONE
 * afterwards, or LOCAL when the piece is stored.
 */
void inflight_attach_locked(struct image *img, struct entry *entry,
                            struct read_part *part) CF_IMAGE_LOCKED;
/* Are all bytes of @part in the destination already, though the region is missing? */
bool inflight_has_locally_locked(const struct image *img, const struct entry *entry,
                                 const struct read_part *part) CF_IMAGE_LOCKED;
void inflight_detach_locked(struct image *img, struct read_part *part) CF_IMAGE_LOCKED;

/*
 * Bytes [offset, offset + length) of the source came; they lie within one piece. Readers get them
 * first, then the piece. False: the piece has no room in the budget as @use; the same bytes may be
 * brought again.
 */
bool inflight_arrive_locked(struct image *img, uint64_t offset, const unsigned char *bytes,
                            uint32_t length, enum budget_use use) CF_IMAGE_LOCKED;

/* The first byte that piece @index of @entry wants from the source; UINT64_MAX: nothing. */
uint64_t inflight_need_locked(const struct image *img, const struct entry *entry,
                              uint32_t index) CF_IMAGE_LOCKED;

/* Does somebody (reader or parked write) wait for @entry? */
bool inflight_is_awaited(const struct entry *entry);

/* The region is missing, and not all of its bytes have come. */
bool inflight_region_needs_source_locked(struct image *img, uint64_t region) CF_IMAGE_LOCKED;

/*
 * Something about @entry changed (a fetch ended, a piece returned, a reader left): asks for what
 * is still wanted and not asked for, or ends it. With @may_continue an entry nobody waits for is
 * completed, otherwise given up. @entry may be gone afterwards.
 */
void inflight_settle_locked(struct image *img, struct entry *entry,
                            bool may_continue) CF_IMAGE_LOCKED;

/* R8: what is not with a writer is dropped and nothing more is kept; @error != 0 fails parked
 * writes. Settle it afterwards. */
void inflight_stop_keeping_locked(struct image *img, struct entry *entry,
                                  int error) CF_IMAGE_LOCKED;

/* A writer gives a piece back: 0 stored, or the destination's error. */
void inflight_piece_returned_locked(struct image *img, struct piece *piece,
                                    int error) CF_IMAGE_LOCKED;

/*
 * For partial.c: a write in place of [from, to), within @entry's region. It must not begin while a
 * piece of its is being stored (is on its way to a writer, or in his hands). When it has ended,
 * what is whole by now is stored or done, and the entry is settled: it may be gone afterwards.
 */
bool inflight_is_being_stored_locked(const struct image *img, const struct entry *entry,
                                     uint64_t from, uint64_t to) CF_IMAGE_LOCKED;
void inflight_write_begins_locked(struct image *img, struct entry *entry, uint64_t from,
                                  uint64_t to) CF_IMAGE_LOCKED;
void inflight_write_ended_locked(struct image *img, struct entry *entry, uint64_t from,
                                 uint64_t to) CF_IMAGE_LOCKED;

/* Where @piece lies in the image. */
uint64_t inflight_piece_offset(const struct image *img, const struct piece *piece);
uint32_t inflight_piece_length(const struct image *img, const struct piece *piece);
/* The piece behind @piece in the image, if it has an entry too; NULL: none. */
struct piece *inflight_next_piece_locked(struct image *img,
                                         const struct piece *piece) CF_IMAGE_LOCKED;

/* Everybody who waits within [from, to) gets @error. */
void inflight_fail_locked(struct image *img, uint64_t from, uint64_t to, int error) CF_IMAGE_LOCKED;

/* Settles all entries with a byte in [from, to). */
void inflight_settle_range_locked(struct image *img, uint64_t from, uint64_t to,
                                  bool may_continue) CF_IMAGE_LOCKED;

/* The same for all entries. */
void inflight_settle_all_locked(struct image *img, bool may_continue) CF_IMAGE_LOCKED;

/*
 * R3: takes over the missing ones of @nr regions from @first on, waiting (the lock is let go) for
 * pieces in writers' hands and for other changes that own one. 0; -ENOMEM, -EIO: the image stops
 * (nothing is taken then). @owner: an address that is nobody else's.
 */
int takeover_begin_locked(struct image *img, uint64_t first, uint64_t nr,
                          const void *owner) CF_IMAGE_LOCKED;

/*
 * Gives them back. 0: their bits are set, who waited is answered from the destination. Otherwise
 * they are missing again and fetched for those who wait.
 */
void takeover_end_locked(struct image *img, uint64_t first, uint64_t nr, const void *owner,
                         int error) CF_IMAGE_LOCKED;

/* For takeover.c: an entry ends. Readers are sent to the destination, parked writes to a writer. */
void inflight_remove_hydrated_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;
/* For takeover.c: a takeover of @entry failed, it is nobody's again. It may be gone afterwards. */
void inflight_given_back_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;
/* For takeover.c: drops what no writer has in hand. */
void inflight_drop_pieces_locked(struct image *img, struct entry *entry) CF_IMAGE_LOCKED;

#endif
