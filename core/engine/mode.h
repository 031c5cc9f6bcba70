/* rw -> ro -> fail, only in that direction. */
#ifndef CLONEFS_ENGINE_MODE_H
#define CLONEFS_ENGINE_MODE_H

#include "core/engine/engine_internal.h"

/*
 * A commit failed (@what, @err): the transaction is aborted, the mode is ro, the committed bits are
 * loaded again; if that fails, the mode is fail. @data_is_safe: the destination did not fail, so
 * that what it holds of committed regions is right. Called by the committer's thread, without the
 * lock, which sees to what the kernel has cached when those who waited for the commit are answered.
 */
void mode_commit_failed(struct image *img, const char *what, bool data_is_safe,
                        const struct cf_error *err);

/* Nothing can be trusted any more: everything that waits and comes gets EIO, soon also what the
 * kernel has cached. */
void mode_fail_locked(struct image *img, const char *why) CF_IMAGE_LOCKED;

/*
 * Regions of the range were changed by users: sets the bits of @nr_whole regions from @first_whole
 * on and marks all @nr from @first as written, in one step that a commit cannot come between.
 * -EIO: the mode is not rw (any more), the change does not count.
 */
int mode_mark_written(struct image *img, uint64_t first, uint64_t nr, uint64_t first_whole,
                      uint64_t nr_whole);

/* The range has a region whose acknowledged writes may be gone. Not while bits are reloaded. */
bool mode_is_lost(const struct image *img, uint64_t first, uint64_t nr);

/* Waits while the bits are being reloaded. */
void mode_wait_reload_locked(struct image *img) CF_IMAGE_LOCKED;

#endif
