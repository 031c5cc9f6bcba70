/*
 * Commits, one at a time, and what follows when one fails; by the committer's thread, or by one
 * that flushes. All syncs are made here.
 */
#ifndef CLONEFS_ENGINE_COMMITTER_H
#define CLONEFS_ENGINE_COMMITTER_H

#include "core/engine/engine_internal.h"

/* @interval_ms: of image_params. */
void committer_init(struct committer *committer, uint64_t interval_ms);
void committer_fini(struct committer *committer);
int committer_start(struct image *img);
/* A last commit, then the thread ends. 0, or why that commit (or an earlier one) failed. */
int committer_stop(struct image *img, struct cf_error *err);

/* @req is answered by the next commit that starts. */
void committer_add_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;
/*
 * The same, by a commit on this thread (the lock is let go meanwhile) if one can begin at once and
 * there is hardly more to it than the destination's sync: that saves the way to the other thread
 * and back. False: it is not done.
 */
bool committer_run_here_locked(struct image *img, struct image_request *req) CF_IMAGE_LOCKED;
/* A commit nobody waits for. */
void committer_want_locked(struct image *img) CF_IMAGE_LOCKED;
/* Bits were set: there is a commit within the interval, or patience.h says that it may wait. */
void committer_note_change_locked(struct image *img) CF_IMAGE_LOCKED;
/* The disk is left alone for the sake of a stream: no commit runs, and what is due waits. */
bool committer_rests_locked(const struct image *img, uint64_t now_ns) CF_IMAGE_LOCKED;
/* What the kernel has cached is not to be read any more: this thread calls invalidate(). */
void committer_drop_cache_locked(struct image *img) CF_IMAGE_LOCKED;

#endif
