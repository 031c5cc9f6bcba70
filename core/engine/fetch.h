/*
 * Fetches: requests to the source, from being wanted to being over. All functions want the image's
 * lock; the source's submit, cancel and resume are called under it.
 */
#ifndef CLONEFS_ENGINE_FETCH_H
#define CLONEFS_ENGINE_FETCH_H

#include "core/engine/engine_internal.h"

/* Longer ones are cut; only background's batches and read-ahead's may be longer. */
#define FETCH_LENGTH_MAX (UINT64_C(8) << 20)

void fetch_init(struct fetches *fetches);

/* A new fetch in the queue of @class; foreground ones grow an adjacent one that was not sent yet.
 * False: no memory. */
bool fetch_add_locked(struct image *img, uint64_t start, uint64_t end,
                      enum source_class class) CF_IMAGE_LOCKED;

/* Of the fetches that will bring byte @offset the one that is nearest to it; NULL: none will. */
struct fetch *fetch_find_locked(const struct image *img, uint64_t offset) CF_IMAGE_LOCKED;

/* A reader waits for @fetch, which is running. */
void fetch_join_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;
/*
 * Takes [from, to) out of @fetch, which is queued, for somebody who fetches it himself. False: he
 * should not, @fetch does it (it is foreground now, or no memory).
 */
bool fetch_cut_locked(struct image *img, struct fetch *fetch, uint64_t from,
                      uint64_t to) CF_IMAGE_LOCKED;

/* Asks for one byte, to see whether the source is there; before all others. @short_ns != 0: a short
 * probe, which silence.c ends after so long. False: no memory. */
bool fetch_probe_locked(struct image *img, uint64_t short_ns) CF_IMAGE_LOCKED;

/* Sends what may be sent now; returns when to look again (NEVER_NS: after some event). */
uint64_t fetch_dispatch_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

/* May one more request of @class be sent now? */
bool fetch_has_slot_locked(const struct image *img, enum source_class class) CF_IMAGE_LOCKED;

/* Requests that the source has, probes included. */
unsigned int fetch_nr_running_locked(const struct image *img) CF_IMAGE_LOCKED;
/* How many fetches bring bytes of [from, to), now or later. */
unsigned int fetch_count_locked(const struct image *img, uint64_t from,
                                uint64_t to) CF_IMAGE_LOCKED;
/* When the oldest attempt that runs was sent, probes left out; NEVER_NS: none runs. */
uint64_t fetch_running_since_locked(const struct image *img) CF_IMAGE_LOCKED;
bool fetch_touches_region_locked(const struct image *img, uint64_t region) CF_IMAGE_LOCKED;

/* Puts a fetch that ended back into the queue, to go on at its position. */
void fetch_requeue_locked(struct image *img, struct fetch *fetch,
                          uint64_t not_before_ns) CF_IMAGE_LOCKED;
/* The same, behind all that wait for their turn. */
void fetch_requeue_last_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;
/* The same, before those that were not refused, in the order of their offsets. */
void fetch_requeue_refused_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;
/* Frees a fetch that is neither queued nor running, and settles its regions. */
void fetch_finish_locked(struct image *img, struct fetch *fetch, bool may_continue) CF_IMAGE_LOCKED;

/* @fetch, queued or running, is foreground from now on; a queued one goes behind the others, but
 * one that was just refused before those that were earlier. */
void fetch_promote_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;
/* All that are queued and somebody waits for. */
void fetch_promote_awaited_locked(struct image *img) CF_IMAGE_LOCKED;

/* Does somebody wait for a byte that @fetch has still to bring? */
bool fetch_is_awaited_locked(const struct image *img, const struct fetch *fetch) CF_IMAGE_LOCKED;

/* Ends a fetch that is running; it brings nothing any more. */
void fetch_cancel_running_locked(struct image *img, struct fetch *fetch) CF_IMAGE_LOCKED;
/* Ends its attempt only: it is queued again where it has got to, before all others, or, if it
 * @yields, behind them. */
void fetch_ask_again_locked(struct image *img, struct fetch *fetch, bool yields) CF_IMAGE_LOCKED;
/* All of them; with @unawaited only those nobody waits for. Entries are settled by the way. */
void fetch_cancel_all_locked(struct image *img, bool unawaited) CF_IMAGE_LOCKED;
/* Background's: those that somebody waits for become foreground, the others are cancelled. */
void fetch_cancel_background_locked(struct image *img) CF_IMAGE_LOCKED;
/* Cancels background's running ones but @most, and but those that somebody waits for or that are
 * nearly over. */
void fetch_shed_background_locked(struct image *img, unsigned int most,
                                  uint64_t now_ns) CF_IMAGE_LOCKED;

/* Cancels what is running within [from, to) and brings nothing anybody wants any more. */
void fetch_cancel_useless_locked(struct image *img, uint64_t from, uint64_t to) CF_IMAGE_LOCKED;

/* Backoffs are over: the source is back. */
void fetch_hurry_locked(struct image *img) CF_IMAGE_LOCKED;

/* The budget may have room again, or a stalled fetch became foreground. */
void fetch_resume_stalled_locked(struct image *img) CF_IMAGE_LOCKED;

/* Buffers of a request went back: what waits for room, stalled or queued, may go on. */
void fetch_room_again_locked(struct image *img) CF_IMAGE_LOCKED;

/* No fetch is left. */
bool fetch_is_idle_locked(const struct image *img) CF_IMAGE_LOCKED;

#endif
