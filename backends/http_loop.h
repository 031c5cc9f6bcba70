/*
 * The one thread of an http source that drives curl: requests go in through a queue, bytes and
 * outcomes come out through the requests' sinks, on that thread.
 *
 * All functions but open and close may be called from any thread, also from a sink, and only take
 * a short lock. Requests beyond max_connections wait, foreground first.
 */
#ifndef CLONEFS_BACKENDS_HTTP_LOOP_H
#define CLONEFS_BACKENDS_HTTP_LOOP_H

#include "backends/http_url.h"
#include "core/engine/source.h"

struct http_auth;
struct http_loop;
struct http_probe;
struct source_options;

/* @url, @auth: taken over on success. @opts: complete (backends/registry.h); copied. */
int http_loop_open(struct http_url *url, struct http_auth *auth, const struct source_options *opts,
                   struct http_loop **ret, struct cf_error *err);

/* Ends what is left with SOURCE_CANCELLED, also what sinks submit meanwhile; then the thread. */
void http_loop_close(struct http_loop *loop);

/* As in struct source_ops. */
void http_loop_pin(struct http_loop *loop, const struct source_identity *identity);
void http_loop_submit(struct http_loop *loop, struct source_request *req);
void http_loop_cancel(struct http_loop *loop, struct source_request *req);
void http_loop_resume(struct http_loop *loop, struct source_request *req);
void http_loop_configure(struct http_loop *loop, const struct source_limits *limits);

/* A request whose header section @probe judges; it carries no condition. */
void http_loop_submit_probe(struct http_loop *loop, struct source_request *req,
                            struct http_probe *probe);

#endif
