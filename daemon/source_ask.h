/*
 * The question to the source at mount: is it there, and which version is it? A backend's probe is
 * one attempt; here one that failed in a way that may pass (5xx, 429, a reset, silence) is followed
 * by another, so that one bad moment of a server neither refuses a mount nor begins an outage.
 * Whatever else it says (no, no such host, nobody listens, no ranges) is final at once.
 */
#ifndef CLONEFS_DAEMON_SOURCE_ASK_H
#define CLONEFS_DAEMON_SOURCE_ASK_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/engine/source.h"

/*
 * As source_ops.probe, within @timeout_ms; no attempt begins in the second half of it, nor later
 * than after 15 s: whoever mounts is waiting. -EIO with the last attempt's sentence when that is
 * over, or when the source asks to wait for longer; -EINTR: a signal that asks for the end came
 * (signals.h), and is still to be taken.
 */
int source_ask(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
               struct cf_error *err);

#endif
