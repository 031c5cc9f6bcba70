/*
 * Which way each open of the image is served. When the image is complete the kernel can be told to
 * read the destination itself (passthrough): no request comes to us. The kernel has such a mode for
 * the inode, not for each open, and answers EIO to an open that does not fit the others:
 *
 * P1: No open is passed through while a cached one exists, none is cached while a passed one does.
 * All passed ones have the same backing.
 *
 * P2: Only who cannot write is passed through. Writes always come to us: their range, the mark that
 * the image is modified, its mtime and the lost set are ours to keep. Who can write, and whoever
 * may not be passed through any more, is served directly while a passed open exists: reads and
 * writes come to us, past the kernel's cache of the image; mappings are the destination's, as they
 * are for the others.
 *
 * P3: A direct open that can write may change the destination behind the kernel's cache of the
 * image, by a shared mapping. From then on no cached open keeps what an earlier one has read.
 *
 * An open counts from before it is answered until its release, which the kernel sends after it has
 * forgotten the open. Knows nothing of libfuse. Thread-safe.
 */
#ifndef CLONEFS_DAEMON_OPENS_H
#define CLONEFS_DAEMON_OPENS_H

#include <stdbool.h>

#include "core/base/mutex.h"

enum open_way { OPEN_CACHED, OPEN_PASSED, OPEN_DIRECT };

struct opens {
	struct cf_mutex lock; /* protects all below */
	bool cannot_pass;     /* the kernel has refused, or does not know how to */
	int backing;          /* the kernel's number for the destination; 0: it has none yet */
	unsigned int nr_cached;
	unsigned int nr_passed; /* and direct ones */
	bool cache_may_be_old;  /* P3 */
};

struct open_wish {
	bool writes;
	bool may_pass; /* the image is such that it could be passed through */
	/* Makes the kernel know the destination: its number (> 0), or a negative errno. Called with
	 * the lock held, once if it succeeds, and never again if it does not. */
	int (*attach)(void *user);
	void *user;
};

struct open_grant {
	enum open_way way;
	int backing;     /* unless CACHED */
	bool keep_cache; /* CACHED: what was read before is still right */
	int refused;     /* negative errno of attach(), the one time that it fails; else 0 */
};

void opens_init(struct opens *opens);
void opens_fini(struct opens *opens);

/* The kernel, or libfuse, has no passthrough. */
void opens_never_pass(struct opens *opens);

struct open_grant opens_begin(struct opens *opens, const struct open_wish *wish);
/* It was released, or the kernel did not take the answer. */
void opens_end(struct opens *opens, enum open_way way);

#endif
