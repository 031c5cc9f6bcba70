/*
 * The first request to a source: a GET of its first bytes, since a HEAD is refused by some servers
 * and by every URL that was signed for GET. What it brings is kept.
 */
#ifndef CLONEFS_BACKENDS_HTTP_PROBE_H
#define CLONEFS_BACKENDS_HTTP_PROBE_H

#include "backends/http_reply.h"
#include "core/engine/source.h"

struct http_loop;
struct http_probe;

/* struct source_ops.probe, for a source whose messages call it @shown: asks for its first @length
 * bytes. */
int http_probe_run(struct http_loop *loop, const char *shown, size_t length, uint64_t timeout_ms,
                   struct source_probe *ret, struct cf_error *err);

/* On the loop's thread, when the header section is complete: as http_reply_judge(). */
enum source_result http_probe_judge(struct http_probe *probe, const struct http_reply *reply,
                                    uint64_t *ret_length, struct source_outcome *outcome);

#endif
