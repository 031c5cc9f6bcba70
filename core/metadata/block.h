/*
 * One metadata block on its way from and to the device. A block's number and checksum are verified
 * when it is read and filled in when it is written, never in between.
 */
#ifndef CLONEFS_METADATA_BLOCK_H
#define CLONEFS_METADATA_BLOCK_H

#include "core/base/block_io.h"
#include "core/metadata/damage.h"
#include "core/metadata/format.h"

enum block_type { BLOCK_SUPERBLOCK, BLOCK_INDEX, BLOCK_BITMAP, BLOCK_NODE, BLOCK_ARRAY };

/*
 * Checks number and checksum of @block, read from place @blocknr. 0, or the damage's code
 * (reported): -ENOTBLK another number, -EILSEQ a wrong checksum. In this order, as the kernel does.
 */
int block_verify(enum block_type type, uint64_t blocknr, const union metadata_block *block,
                 struct damage_sink *sink);

/*
 * Reads and verifies one block. Also -EIO: it could not be read (reported). The code is returned
 * in a thorough check too; damage_skip() turns it into "go on".
 */
int block_read(struct block_io *io, enum block_type type, uint64_t blocknr,
               union metadata_block *ret_block, struct damage_sink *sink);

/* Fills in number and checksum. */
void block_seal(enum block_type type, uint64_t blocknr, union metadata_block *block);

/* Seals and writes one block. */
int block_write(struct block_io *io, enum block_type type, uint64_t blocknr,
                union metadata_block *block);

/*
 * Joins blocks with consecutive numbers into one write. The first error stays: later puts do
 * nothing and the flush returns it.
 */
struct block_writer {
	struct block_io *io;         /* borrowed */
	union metadata_block *batch; /* owned */
	uint64_t first;              /* number of batch[0] */
	uint32_t nr;                 /* blocks in the batch */
	uint32_t room;               /* blocks it can hold */
	int error;
};

/* For about @nr_blocks > 0 blocks, which only says how much memory is worth it. -ENOMEM. */
int block_writer_init(struct block_writer *writer, struct block_io *io, uint64_t nr_blocks);
void block_writer_fini(struct block_writer *writer);
/* Seals @block and queues it. */
void block_writer_put(struct block_writer *writer, enum block_type type, uint64_t blocknr,
                      union metadata_block *block);
int block_writer_flush(struct block_writer *writer);

#endif
