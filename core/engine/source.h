/*
 * What a backend is to the core: a place that bytes of the image come from. The core consumes
 * this interface and backends fill it in (backends/registry.h makes one from a URL).
 *
 * A backend makes *one attempt* at each request and reports how it ended. Policy is the engine's:
 * retries, backoff, deadlines, "unreachable", "changed seen twice". A backend keeps no secrets in
 * anything it hands out (error sentences, names).
 *
 * Threads: submit, cancel, resume, configure and pin may be called from any thread, also from
 * within a sink's functions, and never block on network or disk. A sink's functions are called on
 * the backend's threads, for one request by one thread at a time, with no lock of the backend's
 * held; different requests may be called at the same time.
 */
#ifndef CLONEFS_ENGINE_SOURCE_H
#define CLONEFS_ENGINE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct block_io;
struct source;
struct source_request;

#define SOURCE_VALIDATOR_MAX 256
#define SOURCE_HEAD_MAX      65536
/* No request is longer than this; the engine cuts. */
#define SOURCE_REQUEST_MAX (UINT64_C(64) << 20)
/* Bytes that a backend may keep inside each request. */
#define SOURCE_BACKEND_ROOM 128

/* Which version of the source is meant. Pinned when the clone is created. */
struct source_identity {
	uint64_t size;                            /* bytes */
	char etag[SOURCE_VALIDATOR_MAX];          /* as sent, quotes and W/ included; "" none */
	char last_modified[SOURCE_VALIDATOR_MAX]; /* as sent; "" none */
	int64_t mtime_ns;                         /* since 1970; 0 unknown */
};

/* What a probe found out. */
struct source_probe {
	struct source_identity identity;
	bool weak_validators;    /* none at all, or a Last-Modified within a minute of Date */
	bool is_device;          /* block device: only its size can be pinned */
	size_t head_length;      /* bytes 0.. of the image that the probe brought along */
	unsigned char *head;     /* owned by the receiver (free), NULL when head_length is 0 */
	uint64_t retry_after_ms; /* with -EAGAIN: what the source asked to wait; 0: nothing said */
};

enum source_result {
	SOURCE_OK,        /* every byte was delivered */
	SOURCE_SHORT,     /* a valid reply that ended early, or a connection that broke: ask for the
	                     rest */
	SOURCE_CANCELLED, /* source_cancel() came first */
	SOURCE_FAILED,    /* not reached, timed out, 5xx, 429, reset: try again later */
	SOURCE_WRONG_REPLY, /* not what was asked for (200, other Content-Range, encoded...) */
	SOURCE_DENIED,      /* 401, 403, 404, 410; a file that is gone */
	SOURCE_CHANGED,     /* another size or validator, or 412 */
};

struct source_outcome {
	enum source_result result;
	bool pushback;           /* FAILED because the source has too much to do (HTTP: 429, 503) */
	uint64_t retry_after_ms; /* what the source asked to wait; 0: nothing said */
	struct cf_error error;   /* one sentence, for all but OK and CANCELLED */
};

enum source_class { SOURCE_FOREGROUND, SOURCE_READAHEAD, SOURCE_BACKGROUND };

struct source_sink {
	/*
	 * The next @length bytes of the request, in order, without gaps, borrowed for the call.
	 * True: taken. False: no room now; the backend keeps (or can deliver again) these bytes,
	 * stops reading this request, and begins again with the same bytes after source_resume().
	 */
	bool (*data)(struct source_request *req, const void *bytes, size_t length);
	/*
	 * The end, called exactly once for each submitted request, after the last data(). The
	 * backend does not touch @req afterwards: the callee may free it.
	 */
	void (*done)(struct source_request *req, const struct source_outcome *outcome);
};

/* Embedded by the engine in its own structure; the first group is set before submit. */
struct source_request {
	uint64_t offset; /* bytes; offset + length <= the pinned size */
	uint64_t length; /* bytes, > 0, <= SOURCE_REQUEST_MAX */
	enum source_class class;
	bool fresh_connection; /* do not reuse a kept-alive one */
	const struct source_sink *sink;

	/* The backend's, from submit to done: its own state of the request, so that it allocates
	 * nothing for each. */
	void *backend;
	_Alignas(16) unsigned char backend_room[SOURCE_BACKEND_ROOM];
};

/* What may change while a source is open. */
struct source_limits {
	unsigned int max_connections; /* 1 to 256 */
	uint64_t stall_ms;            /* an attempt that brings no byte for so long has FAILED */
};

struct source_ops {
	const char *name; /* "file", "http" */
	/* Requests go over connections, which may die unseen: one on a connection of its own may be
	 * answered while others never will be. */
	bool connected;
	/*
	 * Asks the source what it is: size, validators, whether ranges work. Blocks for @timeout_ms
	 * at most. -ENOENT, -EACCES (denied), -EINVAL (unusable: no ranges, unknown size, empty),
	 * -EAGAIN (busy, broken off, silent: may pass; only retry_after_ms of *@ret_probe is set),
	 * -EIO (not reached); @err says why in one sentence. Called before the first submit.
	 */
	int (*probe)(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
	             struct cf_error *err);
	/* From now on every reply is held against @identity (copied). */
	void (*pin)(struct source *source, const struct source_identity *identity);
	void (*submit)(struct source *source, struct source_request *req);
	/*
	 * done() follows soon, with SOURCE_CANCELLED or with what happened before. May come until
	 * done() has returned; then it is harmless.
	 */
	void (*cancel)(struct source *source, struct source_request *req);
	/*
	 * After a data() that returned false; it may come before that data() has returned, and
	 * counts then too. Harmless at any other time until done() has returned.
	 */
	void (*resume)(struct source *source, struct source_request *req);
	void (*configure)(struct source *source, const struct source_limits *limits);
	/*
	 * Optional (NULL: cannot). Makes [offset, offset + length) of @destination the same blocks
	 * as that range of the source, without copying; blocks on the disk that both are on, and on
	 * nothing else. 0: it is, and the source is the pinned version. -EAGAIN, -ESTALE: not this
	 * time, a request tells why; -ENOSPC, -EDQUOT: the destination is full; anything else: it
	 * cannot be done. After a failure the range holds old or new bytes. Not while closing.
	 */
	int (*share)(struct source *source, struct block_io *destination, uint64_t offset,
	             uint64_t length);
	/* Cancels what is left; all done() have been called and threads are gone then. */
	void (*close)(struct source *source);
};

/* Embedded first in each backend's own structure. */
struct source {
	const struct source_ops *ops;
	char *shown; /* URL or path without secrets, for messages; owned by the backend */
	/* How much of the head a probe asks for; 0: SOURCE_HEAD_MAX. Set before the probe: who has
	 * the head already asks for one byte. */
	size_t probe_length;
};

/* What callers use: the table's functions, with the contract checked. Close takes NULL. */
int source_probe(struct source *source, uint64_t timeout_ms, struct source_probe *ret_probe,
                 struct cf_error *err);
void source_pin(struct source *source, const struct source_identity *identity);
void source_submit(struct source *source, struct source_request *req);
void source_cancel(struct source *source, struct source_request *req);
void source_resume(struct source *source, struct source_request *req);
void source_configure(struct source *source, const struct source_limits *limits);
bool source_is_connected(const struct source *source);
bool source_can_share(const struct source *source);
int source_share(struct source *source, struct block_io *destination, uint64_t offset,
                 uint64_t length);
void source_close(struct source *source);

#endif
