/*
 * The destination's data: what the engine does with it, on top of block_io. Thread-safe; blocks on
 * the local disk only. All return 0 or a negative errno, the ones of block_io; in particular
 * -ENODATA from store_read(): the destination is shorter than it must be.
 */
#ifndef CLONEFS_ENGINE_STORE_H
#define CLONEFS_ENGINE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"

struct iovec;

struct store {
	struct block_io *io; /* borrowed */
	bool no_discard;     /* never give space back: zeros keep it */
	/* What the destination said it cannot do; only saves calls that fail. */
	atomic_bool cannot_punch;
	atomic_bool cannot_zero;
};

void store_init(struct store *store, struct block_io *io, bool no_discard);

/* A block device rather than a file. */
bool store_is_device(const struct store *store);
/* block_io.holes_are_dear */
bool store_holes_are_dear(const struct store *store);

int store_read(struct store *store, void *buf, size_t length, uint64_t offset);
/* Into a pipe; after an error it holds some of it. */
int store_splice(struct store *store, int pipe, size_t length, uint64_t offset);
int store_write(struct store *store, const void *data, size_t length, uint64_t offset);
int store_writev(struct store *store, const struct iovec *iov, int nr_iov, uint64_t offset);
int store_sync(struct store *store);
void store_write_back(struct store *store, uint64_t offset, uint64_t length);

/* The range reads as zeros afterwards; its space is given back if that can be done. */
int store_punch(struct store *store, uint64_t offset, uint64_t length);
/* The range reads as zeros afterwards and keeps its space. */
int store_zero(struct store *store, uint64_t offset, uint64_t length);

/* Reserves space. -EOPNOTSUPP: the destination cannot. */
int store_allocate(struct store *store, uint64_t offset, uint64_t length);
/* lseek(2) with SEEK_DATA or SEEK_HOLE. -EOPNOTSUPP: the destination does not know. */
int store_seek(struct store *store, uint64_t offset, int whence, uint64_t *ret_offset);

#endif
