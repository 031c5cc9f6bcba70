/*
 * One clone's state folder: its lock, its clone.json, its creation and its opening
 * (docs/architecture.md, "State, identity, creation").
 *
 *   state_acquire   places checked, folder made, STATE/lock taken, clone.json read and held
 *                   against what the user asked for
 *   state_create    a new clone only, with what the probe found
 *   state_open      destination and metadata opened for good
 *   state_release   everything closed, lock let go
 *
 * Call it after the last fork: locks belong to the process that takes them. Not thread-safe but
 * for state_mark_modified(). Calls block on the local disk only (acquire also on a holder that is
 * closing). Every refusal is one sentence that names the file, what was found and what expected.
 */
#ifndef CLONEFS_STATE_STATE_H
#define CLONEFS_STATE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"
#include "core/state/clone_json.h"
#include "core/state/names.h"

#define STATE_REGION_SIZE_DEFAULT UINT64_C(65536)
/* How long state_acquire() waits for a holder that is closing. */
#define STATE_CLOSING_WAIT_MS 10000

struct metadata;
struct state;

/* What the user asked for. All strings are borrowed for the call; paths are absolute. */
struct state_request {
	const struct source_name *source;
	const char *state_dir;   /* state_dir=; NULL: STATE ROOT/NAME */
	const char *name;        /* name=; NULL: the clone's own, for a new one the source's */
	const char *mountpoint;  /* NULL: none (a tool that only looks) */
	const char *destination; /* dest=; NULL: the clone's, for a new one STATE/disk.img */
	const char *metadata;    /* metadata=; NULL: the clone's, for a new one STATE/metadata */
	uint64_t region_size;    /* region_size= in bytes; 0: the clone's, for a new one 64 KiB */
	bool overwrite_dest;     /* a new clone may overwrite what destination= holds */
	bool relocate;           /* the clone may be of another URL: see state_relocate() */
};

/*
 * Checks where everything lies, makes the folder (0700) if there is none, takes its lock, reads
 * clone.json. -EBUSY: another process holds the lock (its pid is in the sentence); one that is
 * closing is waited for. -EINVAL: places, or an existing clone that is of another source (unless
 * relocate), name, region_size=, dest= or metadata= than asked for. -ENOENT: relocate, and there is
 * no clone. -EUCLEAN: clone.json is damaged.
 */
int state_acquire(const struct state_request *request, struct state **ret_state,
                  struct cf_error *err);

/* The clone's clone.json; NULL while it is new. Borrowed until state_release(). */
const struct clone_config *state_config(const struct state *state);
/* The clone's folder and name, also of a new one. Borrowed until state_release(). */
const char *state_dir(const struct state *state);
const char *state_name(const struct state *state);

/*
 * All that can refuse a new clone of a source with this @identity, without changing anything:
 * geometry, destination, metadata.
 */
int state_check_new(struct state *state, const struct source_identity *identity,
                    struct cf_error *err);

/*
 * state_check_new(), then makes the new clone: destination, metadata, clone.json, each durable
 * before the next is begun. clone.json is the commit point: a crash before it leaves a folder
 * that is begun again. state_config() is set afterwards, and destination and metadata are locked.
 * After an error there is no clone.
 */
int state_create(struct state *state, const struct source_identity *identity, struct cf_error *err);

/* Is the clone that was found one of another URL than asked for? Only with relocate. */
bool state_is_elsewhere(const struct state *state);

/*
 * The clone is one of the URL that was asked for from now on: clone.json is written anew, durably.
 * The caller has made sure that it is the same image. @identity, what the new place shows of it, is
 * pinned from now on; it must have the clone's size. After an error the old URL counts.
 */
int state_relocate(struct state *state, const struct source_identity *identity,
                   struct cf_error *err);

/*
 * Opens and locks destination and metadata of an existing (or just created) clone. Never formats,
 * creates, extends or truncates. After an error nothing is open that was not before.
 */
int state_open(struct state *state, struct cf_error *err);

/* Valid from state_open() to state_release(); borrowed. The metadata object is closed by
 * state_release(), so whoever uses it (the image) must be closed before. */
struct block_io *state_destination(const struct state *state);
struct metadata *state_metadata(const struct state *state);

/*
 * STATE/modified, the mark that users have written: durable when state_mark_modified() returns 0.
 * Thread-safe; marking again costs nothing. Fits image_callbacks.first_modify with
 * @user the struct state.
 */
int state_mark_modified(void *user);
bool state_is_modified(struct state *state);

/*
 * When users last wrote, kept in the time stamp of STATE/modified, which is empty. 0: the clone is
 * not modified. Setting it is for closing; it is not durable by itself.
 */
int64_t state_modified_mtime_ns(struct state *state);
int state_set_modified_mtime_ns(struct state *state, int64_t mtime_ns);

/* From now on others wait for us to end instead of being refused. */
void state_set_closing(struct state *state);

/*
 * Takes away a clone that state_create() made in this process, as if creation had failed: its first
 * mount failed. Nothing may use its files any more; state_release() follows. Any other clone is
 * left alone.
 */
void state_forget_new(struct state *state);

/*
 * Closes metadata (commits nothing), destination and lock. A folder that state_acquire() made and
 * that no clone was created in is removed again. NULL is allowed.
 */
void state_release(struct state *state);

#endif
