#include "core/metadata/block.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checksum.h"
#include "core/base/min_max.h"

#define WRITER_BATCH UINT64_C(64)

/* The constants keep a block of one type, or of zeros, from passing as another. */
static const struct block_class {
	uint32_t checksum_xor;
	uint32_t blocknr_offset;
	const char *number, *checksum, *unreadable;
} classes[] = {
        [BLOCK_SUPERBLOCK] = {257649492, 8, "superblock number", "superblock checksum",
                              "superblock"},
        [BLOCK_INDEX] = {160478, 8, "space map index number", "space map index checksum",
                         "space map index"},
        [BLOCK_BITMAP] = {240779, 8, "space map bitmap number", "space map bitmap checksum",
                          "space map bitmap"},
        [BLOCK_NODE] = {121107, 8, "btree node number", "btree node checksum", "btree node"},
        [BLOCK_ARRAY] = {595846735, 16, "array block number", "array block checksum",
                         "array block"},
};

static uint32_t checksum_of(enum block_type type, const union metadata_block *block)
{
	return crc32c_update(0xFFFFFFFF, block->bytes + 4, METADATA_BLOCK_SIZE - 4) ^
	       classes[type].checksum_xor;
}

int block_verify(enum block_type type, uint64_t blocknr, const union metadata_block *block,
                 struct damage_sink *sink)
{
	const struct block_class *class = &classes[type];
	uint32_t stored, computed;
	uint64_t number;

	memcpy(&number, block->bytes + class->blocknr_offset, sizeof(number));
	number = le64toh(number);
	if (number != blocknr) {
		damage_number(sink, -ENOTBLK, blocknr, class->number, blocknr, number);
		return -ENOTBLK;
	}
	memcpy(&stored, block->bytes, sizeof(stored));
	stored = le32toh(stored);
	computed = checksum_of(type, block);
	if (stored != computed) {
		damage_hex(sink, -EILSEQ, blocknr, class->checksum, computed, stored);
		return -EILSEQ;
	}
	return 0;
}

int block_read(struct block_io *io, enum block_type type, uint64_t blocknr,
               union metadata_block *ret_block, struct damage_sink *sink)
{
	char text[128];
	int r = block_io_pread(io, ret_block, METADATA_BLOCK_SIZE, blocknr * METADATA_BLOCK_SIZE);

	if (r < 0) {
		damage_text(sink, -EIO, blocknr, classes[type].unreadable, "a readable block",
		            r == -ENODATA ? "the end of the device"
		                          : strerror_r(-r, text, sizeof(text)));
		return -EIO;
	}
	return block_verify(type, blocknr, ret_block, sink);
}

void block_seal(enum block_type type, uint64_t blocknr, union metadata_block *block)
{
	uint64_t number = htole64(blocknr);
	uint32_t checksum;

	memcpy(block->bytes + classes[type].blocknr_offset, &number, sizeof(number));
	checksum = htole32(checksum_of(type, block));
	memcpy(block->bytes, &checksum, sizeof(checksum));
}

int block_write(struct block_io *io, enum block_type type, uint64_t blocknr,
                union metadata_block *block)
{
	block_seal(type, blocknr, block);
	return block_io_pwrite(io, block, METADATA_BLOCK_SIZE, blocknr * METADATA_BLOCK_SIZE);
}

int block_writer_init(struct block_writer *writer, struct block_io *io, uint64_t nr_blocks)
{
	*writer = (struct block_writer){.io = io};
	writer->room = (uint32_t)min_u64(nr_blocks, WRITER_BATCH);
	writer->batch = malloc(writer->room * sizeof(*writer->batch));
	return writer->batch ? 0 : -ENOMEM;
}

void block_writer_fini(struct block_writer *writer)
{
	free(writer->batch);
	writer->batch = NULL;
}

int block_writer_flush(struct block_writer *writer)
{
	if (writer->nr && !writer->error)
		writer->error = block_io_pwrite(writer->io, writer->batch,
		                                (size_t)writer->nr * METADATA_BLOCK_SIZE,
		                                writer->first * METADATA_BLOCK_SIZE);
	writer->nr = 0;
	return writer->error;
}

void block_writer_put(struct block_writer *writer, enum block_type type, uint64_t blocknr,
                      union metadata_block *block)
{
	if (writer->nr == writer->room || blocknr != writer->first + writer->nr)
		(void)block_writer_flush(writer);
	if (writer->nr == 0)
		writer->first = blocknr;
	block_seal(type, blocknr, block);
	writer->batch[writer->nr++] = *block;
}
