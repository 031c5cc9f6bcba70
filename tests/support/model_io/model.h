/*
 * What the image must hold. Each byte has a current value, which every read must return, and a
 * durable one, the last that an fsync made safe; writes in between are pending. After a crash a
 * byte may have its durable value or that of any pending write: the model looks and takes what it
 * finds.
 *
 * The caller holds a byte lock on the range of every write (exclusive) and check (shared).
 */
#ifndef CLONEFS_TESTS_MODEL_IO_MODEL_H
#define CLONEFS_TESTS_MODEL_IO_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;
struct model_write;

/* Reads exactly @length bytes of the image; false (said on stderr) if it cannot. */
typedef bool model_read_fn(void *user, uint64_t offset, uint8_t *bytes, size_t length);

/* All of @path is the beginning, durable. NULL: said on stderr. */
struct model *model_new(const char *path);
void model_free(struct model *model);
uint64_t model_size(const struct model *model);

/* Before the image is written; @bytes NULL: zeros. Copied. */
struct model_write *model_write_begin(struct model *model, uint64_t offset, const uint8_t *bytes,
                                      size_t length);
/* It was acknowledged. A write that failed in a crash is left as it is: perhaps it happened. */
void model_write_end(struct model *model, struct model_write *write);

/* The write came with an fsync of its own, begun before it (msync of a mapping). */
void model_write_end_synced(struct model *model, struct model_write *write, uint64_t begun);

/* Before an fsync, and after it returned 0, with what the first one returned. */
uint64_t model_sync_begin(struct model *model);
void model_sync_end(struct model *model, uint64_t begun);

/*
 * Are these the current values? If not, the difference is described on stderr. Until the crash that
 * a write failed in is resolved, what it wanted is fine, too.
 */
bool model_check(struct model *model, const char *what, uint64_t offset, const uint8_t *bytes,
                 size_t length);

/* After a crash, with no operation under way. The caller syncs the image after it. */
bool model_resolve(struct model *model, model_read_fn *read, void *user);
/* How many bytes the last resolve found newer than durable, of how many that were pending. */
void model_resolved(const struct model *model, uint64_t *ret_newer, uint64_t *ret_pending);

/* Writes the current values to @path; false: said on stderr. */
bool model_save(const struct model *model, const char *path);

#endif
