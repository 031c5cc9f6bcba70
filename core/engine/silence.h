/*
 * Attempts that say nothing. A connection whose packets are swallowed (a plug pulled, a box on the
 * way that forgot it) is known to be dead only when its attempt's stall limit is over, which is up
 * to ten seconds; and when the way is open again TCP's own retransmissions come ever more seldom.
 *
 * S1 An attempt is silent when for a second (two where the source is known to be slow) none of
 *    its bytes came, and it was not we who had no room for them.
 * S2 Beside silent attempts a *short probe* is sent: one byte, on a connection of its own, given
 *    up after twice that time. One at a time, and with all other probes and turns no more than one
 *    a second (outage.next_probe_ns). When all connections are taken and nothing comes on any of
 *    them, an attempt gives one up: each once in ten seconds at most, and never the only one.
 * S3 Who was asked a second before something that was answered on a connection of its own, and is
 *    still silent then, is asked again: a source that is only slow would have answered him first.
 *    Once in ten seconds at most. The answer ends no outage: the bytes that come then do.
 * S4 After that the next max_connections attempts take connections of their own, because those
 *    that were kept may be as dead.
 * S5 Who is silent once more in the attempt after that, and is answered then, was not on a dead
 *    connection: the source takes longer for some bytes than for others. Nobody is asked again
 *    for a minute.
 *
 * Only for sources behind connections (source_ops.connected). All functions want the image's lock.
 */
#ifndef CLONEFS_ENGINE_SILENCE_H
#define CLONEFS_ENGINE_SILENCE_H

#include "core/engine/engine_internal.h"

/* How long an attempt says nothing before it counts as silent. */
uint64_t silence_ns_locked(const struct image *img) CF_IMAGE_LOCKED;

/* An attempt is about to be sent: should it take a connection of its own? */
bool silence_wants_fresh_locked(struct image *img) CF_IMAGE_LOCKED;

/* The first byte of an attempt has come. */
void silence_first_byte_locked(struct image *img, const struct fetch *fetch,
                               uint64_t now_ns) CF_IMAGE_LOCKED;

/* Short probes that are due or over; returns when to call again. */
uint64_t silence_tick_locked(struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;

#endif
