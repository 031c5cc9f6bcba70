/*
 * Holds the SHA-256 of the whole image against the one that sha256= expects, once everything is in
 * the destination: in a thread of its own, with low priority, which never stands in the way of I/O.
 *
 *   D1  The verdict is about the source's bytes: an image that users have written to has none, also
 *       when they wrote while it was being read. The mark of that is set before their first byte
 *       can reach the destination, and looked at after the last byte was read.
 *   D2  One verdict a mount. It is told before it can be seen in digest_get().
 *   D3  Nothing is kept: a mount that was killed, and every later one, reads again.
 */
#ifndef CLONEFS_DAEMON_DIGEST_H
#define CLONEFS_DAEMON_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"

enum digest_state {
	DIGEST_UNVERIFIED, /* not known yet, or nothing is expected */
	DIGEST_OK,
	DIGEST_MISMATCH,
	DIGEST_IMPOSSIBLE, /* users have written, or the destination cannot be read */
};

/* The names that status uses. */
const char *digest_state_name(enum digest_state state);

struct digest;

struct digest_params {
	const char *expected; /* 64 lower-case hex digits; borrowed until digest_stop() */
	struct block_io *io;  /* the destination; borrowed until digest_stop() */
	uint64_t size;        /* of the image, bytes */
	bool (*is_modified)(void *user);
	/* Called once, on the digest's thread, with a sentence; may block. */
	void (*known)(void *user, enum digest_state state, const char *sentence);
	void *user;
};

/* Makes the thread, which waits for digest_begin(). -ENOMEM, -EAGAIN. */
int digest_new(const struct digest_params *params, struct digest **ret_digest,
               struct cf_error *err);

/* Everything is in the destination. On any thread, with any lock held, as often as one likes.
 * NULL is allowed. */
void digest_begin(struct digest *digest);

/* What is known; @modified: whether users have written. NULL: nothing is expected. Never waits. */
enum digest_state digest_get(struct digest *digest, bool modified);

/* Ends the thread, after the piece that it is reading. NULL is allowed. */
void digest_stop(struct digest *digest);
/* After digest_stop(), when digest_begin() is not called any more. NULL is allowed. */
void digest_free(struct digest *digest);

#endif
