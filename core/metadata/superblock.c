#include "core/metadata/superblock.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/base/geometry.h"

uint64_t superblock_nr_regions(const struct superblock *superblock)
{
	return (superblock->target_sectors - 1) / superblock->region_sectors + 1;
}

/* The first byte is zero, and every other one equals its neighbour. @length > 0 */
static bool is_zero(const uint8_t *bytes, size_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static int identify(const union metadata_block *block, struct damage_sink *sink)
{
	const struct superblock_disk *disk = &block->superblock;
	uint64_t number = le64toh(disk->blocknr);
	uint64_t magic = le64toh(disk->magic);
	uint32_t version = le32toh(disk->version);
	int r;

	if (number != SUPERBLOCK_BLOCK) {
		damage_number(sink, -ENOTBLK, 0, "superblock number", SUPERBLOCK_BLOCK, number);
		return -ENOTBLK;
	}
	if (magic != SUPERBLOCK_MAGIC) {
		damage_hex(sink, -EILSEQ, 0, "superblock magic", SUPERBLOCK_MAGIC, magic);
		return -EILSEQ;
	}
	r = block_verify(BLOCK_SUPERBLOCK, SUPERBLOCK_BLOCK, block, sink);
	if (r < 0)
		return r;
	if (version != SUPERBLOCK_VERSION) {
		damage_number(sink, -EINVAL, 0, "superblock version", SUPERBLOCK_VERSION, version);
		return -EINVAL;
	}
	return 0;
}

/* Fields that say nothing to an open, and that no writer fills. */
static void check_unused(const struct superblock_disk *disk, struct damage_sink *sink)
{
	if (disk->flags)
		damage_hex(sink, -EINVAL, 0, "superblock flags", 0, le32toh(disk->flags));
	if (!is_zero(disk->uuid, sizeof(disk->uuid)))
		damage_text(sink, -EINVAL, 0, "superblock uuid", "zeros", "other bytes");
	if (!is_zero(disk->space_map_unused, sizeof(disk->space_map_unused)) ||
	    !is_zero(disk->unused, sizeof(disk->unused)))
		damage_text(sink, -EINVAL, 0, "superblock unused bytes", "zeros", "other bytes");
}

static int check_geometry(const struct superblock *sb, struct damage_sink *sink)
{
	uint64_t region_sectors = sb->region_sectors;

	if (region_sectors > CF_REGION_SIZE_MAX / CF_SECTOR_SIZE ||
	    !region_size_is_valid(region_sectors * CF_SECTOR_SIZE)) {
		damage_number(sink, -EINVAL, 0,
		              "region size in sectors (a power of two from 8 to 2097152)", 8,
		              region_sectors);
		return -EINVAL;
	}
	if (sb->target_sectors == 0) {
		damage_text(sink, -EINVAL, 0, "target size in sectors", "more than 0", "0");
		return -EINVAL;
	}
	if (superblock_nr_regions(sb) > CF_NR_REGIONS_MAX) {
		damage_range(sink, -EINVAL, 0, "number of regions", 1, CF_NR_REGIONS_MAX,
		             superblock_nr_regions(sb));
		return -EINVAL;
	}
	return 0;
}

static int check_nr_blocks(struct superblock *sb, uint64_t device_blocks, struct damage_sink *sink)
{
	uint64_t most = device_blocks < METADATA_BLOCKS_MAX ? device_blocks : METADATA_BLOCKS_MAX;
	int r;

	if (sb->nr_blocks > 0 && sb->nr_blocks <= most)
		return 0;
	r = damage_range(sink, -EINVAL, 0, "number of metadata blocks (the device holds them)", 1,
	                 most, sb->nr_blocks);
	sb->nr_blocks = most;
	return r;
}

int superblock_read(struct block_io *io, struct superblock *ret, bool *ret_zero,
                    struct damage_sink *sink)
{
	union metadata_block block;
	const struct superblock_disk *disk = &block.superblock;
	struct superblock sb;
	char text[128];
	int r;

	r = block_io_pread(io, &block, sizeof(block), 0);
	if (r < 0) {
		damage_text(sink, -EIO, 0, "superblock", "a readable block",
		            r == -ENODATA ? "the end of the device"
		                          : strerror_r(-r, text, sizeof(text)));
		return -EIO;
	}
	*ret_zero = is_zero(block.bytes, sizeof(block.bytes));
	if (*ret_zero)
		return 0;
	r = identify(&block, sink);
	if (r < 0)
		return r;
	sb = (struct superblock){
	        .nr_blocks = le64toh(disk->nr_blocks),
	        .nr_allocated = le64toh(disk->nr_allocated),
	        .index_block = le64toh(disk->index_block),
	        .count_root = le64toh(disk->count_root),
	        .bitset_root = le64toh(disk->bitset_root),
	        .region_sectors = le64toh(disk->region_sectors),
	        .target_sectors = le64toh(disk->target_sectors),
	};
	if (sink->thorough)
		check_unused(disk, sink);
	r = check_geometry(&sb, sink);
	if (r == 0)
		r = check_nr_blocks(&sb, io->size / METADATA_BLOCK_SIZE, sink);
	if (r == 0)
		*ret = sb;
	return r;
}

int superblock_write(struct block_io *io, const struct superblock *sb)
{
	union metadata_block block = {.superblock = {
	                                      .magic = htole64(SUPERBLOCK_MAGIC),
	                                      .version = htole32(SUPERBLOCK_VERSION),
	                                      .nr_blocks = htole64(sb->nr_blocks),
	                                      .nr_allocated = htole64(sb->nr_allocated),
	                                      .index_block = htole64(sb->index_block),
	                                      .count_root = htole64(sb->count_root),
	                                      .region_sectors = htole64(sb->region_sectors),
	                                      .target_sectors = htole64(sb->target_sectors),
	                                      .bitset_root = htole64(sb->bitset_root),
	                              }};

	return block_write(io, BLOCK_SUPERBLOCK, SUPERBLOCK_BLOCK, &block);
}
