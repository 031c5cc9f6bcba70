/*
 * A block_io in memory that remembers what was done to it, can fail on demand, and can tell what a
 * disk would hold after a power cut. Several devices may share one log, so that the order of their
 * writes and syncs among each other is known (destination and metadata of one clone).
 *
 * What a power cut leaves, at any moment of the log: all writes that a later successful sync of the
 * same device covers; of the other ones, none, all, or any part (struct memory_io_cut). A sync that
 * failed covers nothing, and never will: the writes it should have covered stay doubtful for ever.
 *
 * Reads see all writes (the page cache). Thread-safe. Abort on lack of memory.
 */
#ifndef CLONEFS_TESTS_MEMORY_IO_H
#define CLONEFS_TESTS_MEMORY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"

enum memory_io_kind {
	MEMORY_IO_READ = 1, /* never in the log */
	MEMORY_IO_WRITE = 2,
	MEMORY_IO_SYNC = 4,
	MEMORY_IO_PUNCH = 8, /* and zero: a write of zeros that needs no data */
	MEMORY_IO_CHANGES = MEMORY_IO_WRITE | MEMORY_IO_SYNC | MEMORY_IO_PUNCH,
	MEMORY_IO_ANY = MEMORY_IO_READ | MEMORY_IO_CHANGES,
};

struct memory_io_op {
	enum memory_io_kind kind;
	struct block_io *io; /* borrowed: the device */
	uint64_t offset, length;
	const uint8_t *data; /* of a write; belongs to the log */
	int result;          /* 0, or the error with which it failed */
};

/* The log. It must outlive its devices. */
struct memory_io_log;
struct memory_io_log *memory_io_log_new(void);
void memory_io_log_free(struct memory_io_log *log);
size_t memory_io_log_nr(const struct memory_io_log *log);
/* Valid until the next operation on a device of the log, or its clearing. */
const struct memory_io_op *memory_io_log_op(const struct memory_io_log *log, size_t i);
/* Forgets all operations: what the devices hold now is taken as durable. */
void memory_io_log_clear(struct memory_io_log *log);

/* A device of @size zero bytes; @log is borrowed, NULL: nothing is recorded. */
struct block_io *memory_io_new(uint64_t size, struct memory_io_log *log);
/* A device that holds a copy of @data. */
struct block_io *memory_io_from(const void *data, uint64_t size, struct memory_io_log *log);
/* The contents, as reads see them. Borrowed; not while others write. */
uint8_t *memory_io_data(struct block_io *io);

/*
 * Lets the @nth (1: the next) operation of the @kinds fail with @code (negative errno), and those
 * that follow it too if @forever. A failing write of more than one sector writes the first half of
 * them. 0: no more faults.
 */
void memory_io_fail(struct block_io *io, unsigned int kinds, uint64_t nth, int code, bool forever);
/* How many operations failed since memory_io_fail(). */
uint64_t memory_io_nr_failed(struct block_io *io);

/* Which of the writes that no sync covers are on the disk after the cut. */
enum memory_io_cut_kind {
	MEMORY_IO_CUT_NONE,
	MEMORY_IO_CUT_ALL,
	MEMORY_IO_CUT_ONE,     /* only the one with the number @seed (modulo their count) */
	MEMORY_IO_CUT_RANDOM,  /* each with a chance of a half, from @seed */
	MEMORY_IO_CUT_SECTORS, /* each 512-byte sector of each with a chance of a half */
};

struct memory_io_cut {
	size_t at; /* operations of the log that had been issued */
	enum memory_io_cut_kind kind;
	uint64_t seed;
};

/* Writes that no sync covers when the power fails after the first @at operations. */
size_t memory_io_nr_doubtful(struct block_io *io, size_t at);

/* A new device, without log, that holds what the disk of @io holds after the cut. */
struct block_io *memory_io_after_cut(struct block_io *io, const struct memory_io_cut *cut);

#endif
