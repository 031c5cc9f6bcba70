/* A block_io in front of another one that holds calls until let go, counts them, and can deny what
 * some devices cannot. */
#ifndef CLONEFS_TESTS_GATE_IO_H
#define CLONEFS_TESTS_GATE_IO_H

#include "core/base/block_io.h"
#include "core/base/mutex.h"

#define GATE_IO_NR_ALLOCATED 64

struct gate_io {
	struct block_io io;                /* give this to the image */
	struct block_io *inner;            /* borrowed */
	bool no_punch, no_zero, no_splice; /* before use */

	struct cf_mutex lock; /* protects the rest */
	struct cf_cond changed;
	bool hold_writes, hold_syncs, hold_reads; /* pwritev, punch and zero; sync; reads */
	bool one_may_go;                          /* of those that are held */
	unsigned int nr_held;
	unsigned int nr_syncs;       /* begun */
	unsigned int nr_write_backs; /* of everything */
	unsigned int nr_part_write_backs;
	uint64_t part_offset, part_length; /* of the last one of a part */
	uint64_t bytes_written;
	int allocate_error; /* instead of allocating */
	unsigned int nr_allocated;
	struct {
		uint64_t offset, length;
	} allocated[GATE_IO_NR_ALLOCATED]; /* asked for; the first ones */
};

void gate_io_init(struct gate_io *gate, struct block_io *inner);
void gate_io_fini(struct gate_io *gate);
void gate_io_hold(struct gate_io *gate, bool reads, bool writes, bool syncs);
/* Exactly one call that is held goes on; returns when it does. */
void gate_io_let_one_go(struct gate_io *gate);
/* Waits until so many calls are held; aborts after a minute. */
void gate_io_wait_held(struct gate_io *gate, unsigned int nr);
unsigned int gate_io_nr_syncs(struct gate_io *gate);
unsigned int gate_io_nr_write_backs(struct gate_io *gate);
/* Of a part; the last one's range. */
unsigned int gate_io_nr_part_write_backs(struct gate_io *gate, uint64_t *ret_offset,
                                         uint64_t *ret_length);
uint64_t gate_io_bytes_written(struct gate_io *gate);

#endif
