/*
 * The image: byte ranges that are read, written and discarded, and behind them hydration, commits
 * and the mode rw -> ro -> fail. This is all of the engine that the daemon sees.
 *
 * No call blocks on the source. Calls that need it take a request and finish it later on another
 * thread; calls that do not may block on the local disk of destination and metadata.
 * Everything is thread-safe except open and close (no call may be under way then). Callbacks run
 * without locks of ours.
 *
 * Semantics: docs/architecture.md, "How a read travels", "How a write travels", "The owner rule",
 * "Nobody gets stuck", "When something breaks".
 */
#ifndef CLONEFS_ENGINE_IMAGE_H
#define CLONEFS_ENGINE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"
#include "core/base/geometry.h"
#include "core/engine/source.h"

struct image;
struct image_request;
struct metadata;

enum image_mode { IMAGE_RW, IMAGE_RO, IMAGE_FAIL };
enum image_hydration {
	HYDRATION_RUNNING,
	HYDRATION_PAUSED,
	HYDRATION_WAITING,
	HYDRATION_DONE,
	HYDRATION_STOPPED,
};
enum image_source_state {
	SOURCE_STATE_OK,
	SOURCE_STATE_UNREACHABLE,
	SOURCE_STATE_CHANGED,
	SOURCE_STATE_UNUSED
};
enum image_on_error { ON_ERROR_EIO, ON_ERROR_WAIT, ON_ERROR_WAIT_TIME };

/* The names that status and messages use. */
const char *image_mode_name(enum image_mode mode);
const char *image_hydration_name(enum image_hydration hydration);
const char *image_source_state_name(enum image_source_state state);

/* What `clonectl set` can change while the image is open. */
struct image_settings {
	uint64_t hydration_threshold;  /* background regions in flight; 0: no background */
	uint64_t hydration_batch_size; /* regions per background request; 0 means 1 */
	uint64_t background_rate;      /* bytes per second, 0: no limit */
	unsigned int max_connections;  /* 1 to 256 */
	uint64_t timeout_ms;
	enum image_on_error on_source_error;
	uint64_t wait_ms; /* with ON_ERROR_WAIT_TIME */
};

enum image_event_kind {
	IMAGE_EVENT_OUTAGE_BEGIN,   /* text: why */
	IMAGE_EVENT_OUTAGE_END,     /* value: milliseconds it lasted */
	IMAGE_EVENT_SOURCE_CHANGED, /* text: what differs */
	IMAGE_EVENT_SOURCE_BACK,
	IMAGE_EVENT_MODE,     /* value: enum image_mode; text: why */
	IMAGE_EVENT_LOST,     /* regions whose acknowledged writes may be gone; value: count, text:
	                         ranges */
	IMAGE_EVENT_NOT_KEPT, /* regions whose writes image_stop() gave up, as the source did not
	                         bring the rest of them; value: count, text: ranges */
	IMAGE_EVENT_PAUSED,
	IMAGE_EVENT_RESUMED,
	IMAGE_EVENT_MILESTONE, /* value: whole percent committed, 1 to 100, each once an open */
	IMAGE_EVENT_NO_SPACE_BEGIN, /* text: which and why */
	IMAGE_EVENT_NO_SPACE_END,
	IMAGE_EVENT_NO_SHARING, /* source and destination cannot share blocks; text: why */
};

struct image_event {
	enum image_event_kind kind;
	uint64_t value;
	const char *text; /* borrowed for the call; never NULL */
};

/* All optional; called on the engine's threads; must not block nor call back into the image. */
struct image_callbacks {
	void (*event)(void *user, const struct image_event *event);
	/*
	 * The kernel's page cache may hold what is no longer true (a lost set, a reload, mode
	 * fail). Called by the committer thread, which answers no request; may block until page
	 * locks are free.
	 */
	void (*invalidate)(void *user);
	/*
	 * Called before the first write, punch or zero-range of the clone's life is acknowledged,
	 * unless params.modified; may block on the local disk. An error fails that write, and the
	 * next one asks again.
	 */
	int (*first_modify)(void *user);
};

struct image_params {
	uint64_t size;                /* bytes, as in the metadata */
	uint64_t region_size;         /* bytes, as in the metadata */
	struct metadata *metadata;    /* borrowed; the image is its only user until close */
	struct block_io *destination; /* borrowed */
	struct source *source; /* borrowed; pinned already. NULL: none can be had (offline) */
	/* What the probe at mount found. Its beginning is no event: whoever opens has seen it. */
	enum image_source_state source_state;
	const char *source_why; /* borrowed for the call; why it is not ok; NULL: nothing to say */
	struct image_settings settings;
	/* Bits that changed are committed within so long, also when nobody asks; 0: a second. What
	 * was only fetched, beside a stream: within PATIENCE_MS (core/engine/patience.h). */
	uint64_t commit_interval_ms;
	bool no_hydration; /* begin paused */
	bool read_only;    /* mounted -o ro: hydrates, but EROFS to writers */
	bool no_discard_passdown;
	bool modified; /* users have written before */
	/* Bytes [0, head_length) of the pinned source that a probe brought along; borrowed until
	 * image_open() returns. */
	const void *head;
	size_t head_length;
	struct image_callbacks callbacks;
	void *callbacks_user;
};

/* How long an attempt at the source may bring nothing (struct source_limits) with timeout= so. */
uint64_t image_stall_ms(uint64_t timeout_ms);

/* Starts the engine's threads (none before the last fork). */
int image_open(const struct image_params *params, struct image **ret_image, struct cf_error *err);

/*
 * Reads [offset, offset + length) into @buf if every region of it is hydrated, on this thread,
 * without a lock. -EAGAIN: it is not, use image_read(). Other errors: -EIO (destination, lost set,
 * mode fail). The range must lie within the image.
 */
int image_read_hydrated(struct image *img, void *buf, size_t length, uint64_t offset);

/*
 * The same into @pipe, without copying. Every error but -EAGAIN and -EIO means: not this way, use
 * image_read_hydrated(). After any error the pipe may hold some of the bytes.
 */
int image_splice_hydrated(struct image *img, int pipe, size_t length, uint64_t offset);

/*
 * How a request ends, exactly once, on any thread, perhaps before the call that made it returns.
 * @error is 0 or: -EIO source, destination or mode; -ESTALE the source changed and the region is
 * missing; -EINTR or what image_request_cancel() said; -ENOSPC destination full; -EROFS mounted
 * read-only; -EOPNOTSUPP; -ENOMEM. For a read @data holds @length bytes, borrowed for the call.
 */
typedef void image_done_fn(void *user, int error, const void *data, size_t length);

/*
 * The calls below return a reference to the request, for image_request_cancel(), to be given back
 * with image_request_put(), also when done() has run already; NULL if none could be made (done()
 * was called with -ENOMEM). All ranges must lie within the image; length > 0.
 */
struct image_request *image_read(struct image *img, uint64_t offset, size_t length,
                                 image_done_fn *done, void *user);

/*
 * @data is borrowed for the call only. Part of a missing region: written at once as far as
 * partial.h allows, else parked until the region is hydrated. The caller waits (the one exception)
 * while the buffer budget has no room for a copy.
 */
struct image_request *image_write(struct image *img, uint64_t offset, const void *data,
                                  size_t length, image_done_fn *done, void *user);

enum image_range_op { IMAGE_PUNCH, IMAGE_ZERO, IMAGE_ALLOCATE };

struct image_request *image_range(struct image *img, enum image_range_op op, uint64_t offset,
                                  uint64_t length, image_done_fn *done, void *user);

/*
 * Answered by the first commit that starts after this call and after the regions that are partial
 * now have become whole. That depends on the source: -EIO after timeout= without it, nothing is
 * lost by that.
 */
struct image_request *image_flush(struct image *img, image_done_fn *done, void *user);
/* The same, and faster where nothing but the destination has to be synced: that is done before this
 * returns, however long the local disk takes. */
struct image_request *image_flush_here(struct image *img, image_done_fn *done, void *user);

/* Ends background requests nobody waits for, and is a flush when none is in flight. */
struct image_request *image_pause(struct image *img, image_done_fn *done, void *user);
/* Also looks at once whether a source that was away or changed is back. */
void image_resume(struct image *img);

/*
 * Asks for the end of a request with @error. A request in the middle of a local write or commit is
 * not torn: it ends as it ends. Harmless after done(). done() may run on this thread.
 */
void image_request_cancel(struct image *img, struct image_request *req, int error);
/* NULL is allowed. */
void image_request_put(struct image_request *req);

/*
 * Is every region committed, and nothing wrong: is the image what the destination holds, whoever
 * reads it? True once, it stays so until the mode is not rw any more or the image stops. Never
 * waits.
 */
bool image_is_plain(const struct image *img);

/* Somebody may change the image in a way that is not seen here: it counts as modified. 0, or why
 * that could not be noted, and then he must not. May block on the local disk. */
int image_expect_changes(struct image *img);

/* SEEK_DATA or SEEK_HOLE from @offset: *ret_offset, or -ENXIO. Local only. */
int image_seek(struct image *img, uint64_t offset, int whence, uint64_t *ret_offset);

/* Applied at once, also to what waits now. The caller has checked the values' ranges. */
void image_configure(struct image *img, const struct image_settings *settings);
void image_get_settings(struct image *img, struct image_settings *ret_settings);

struct image_status {
	enum image_mode mode;
	enum image_hydration hydration;
	char reason[256]; /* one sentence; "": running or done */
	enum image_source_state source_state;
	char source_reason[256]; /* what differs, or why it is not reached; "": ok or unused */
	bool paused; /* background is switched off, by image_pause() or params.no_hydration */
	bool modified;
	uint64_t regions_total;
	uint64_t regions_hydrated;     /* live */
	uint64_t regions_committed;    /* as on disk */
	uint64_t regions_hydrating;    /* in the inflight table */
	uint64_t background_in_flight; /* background requests not ended */
	uint64_t metadata_blocks_used;
	uint64_t metadata_blocks_total;
	uint64_t bytes_from_source;
	uint64_t requests;
	uint64_t rate_bytes_per_second; /* last 10 s */
	uint64_t eta_seconds;           /* UINT64_MAX: unknown */
};

/* Never waits for a disk, the source or a commit. */
void image_get_status(struct image *img, struct image_status *ret_status);

/* The mode becomes fail: every request gets EIO from now on. @why is for status and the event. */
void image_fail(struct image *img, const char *why);

/* Gives back the memory of buffers that nothing has needed since the last call. */
void image_trim(struct image *img);

/* First step of an orderly end: no more background, a commit begins; requests go on. */
void image_stop_background(struct image *img);

/*
 * Second step: ends every request that waits, with -EIO, and every later one at once; cancels
 * source requests and waits for them and for pieces in writers' hands.
 */
void image_stop(struct image *img);

/* Last commit, ends all threads, frees. 0, or -EIO: it failed, mode fail was there before, or
 * writes to parts of regions could not be kept (image_flush() comes before it); @err is the whole
 * sentence. NULL is allowed. */
int image_close(struct image *img, struct cf_error *err);

#endif
