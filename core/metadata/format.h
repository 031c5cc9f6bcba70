/*
 * The on-disk structures of dm-clone's metadata, format version 1: blocks of 4096 bytes,
 * little-endian, packed. Fields hold the bytes as on disk; le32toh() and friends read them.
 */
#ifndef CLONEFS_METADATA_FORMAT_H
#define CLONEFS_METADATA_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define METADATA_BLOCK_SIZE 4096u

#define SUPERBLOCK_BLOCK   0u /* the only block with a fixed place */
#define SUPERBLOCK_MAGIC   UINT64_C(0x8AF27F64)
#define SUPERBLOCK_VERSION 1u

#define BITMAP_ENTRIES      16320u /* metadata blocks that one bitmap block counts */
#define INDEX_ENTRIES       255u
#define METADATA_BLOCKS_MAX (UINT64_C(255) * BITMAP_ENTRIES)

#define NODE_INTERNAL     1u
#define NODE_LEAF         2u
#define NODE_DEPTH_MAX    15u
#define BITSET_VALUE_SIZE 8u
#define BITSET_NODE_MAX   252u /* entries of a node with values of 8 bytes */
#define COUNT_VALUE_SIZE  4u
#define COUNT_NODE_MAX    336u /* entries of a leaf with values of 4 bytes */

#define ARRAY_WORDS       509u /* 64-bit words in one array block */
#define ARRAY_VALUE_SIZE  8u
#define REGIONS_PER_WORD  64u
#define REGIONS_PER_ARRAY UINT64_C(32576)

struct superblock_disk {
	uint32_t checksum;
	uint32_t flags;
	uint64_t blocknr;
	uint8_t uuid[16];
	uint64_t magic;
	uint32_t version;
	/* the 128 bytes of the space map's root */
	uint64_t nr_blocks;
	uint64_t nr_allocated;
	uint64_t index_block;
	uint64_t count_root;
	uint8_t space_map_unused[96];
	uint64_t region_sectors;
	uint64_t target_sectors;
	uint64_t bitset_root;
	uint8_t unused[3900];
} __attribute__((packed));

struct index_entry_disk {
	uint64_t blocknr;
	uint32_t nr_free;
	uint32_t none_free_before;
} __attribute__((packed));

struct index_disk {
	uint32_t checksum;
	uint32_t padding;
	uint64_t blocknr;
	struct index_entry_disk entries[INDEX_ENTRIES];
} __attribute__((packed));

struct bitmap_disk {
	uint32_t checksum;
	uint32_t padding;
	uint64_t blocknr;
	uint8_t counts[BITMAP_ENTRIES / 4];
} __attribute__((packed));

struct node_disk {
	uint32_t checksum;
	uint32_t flags;
	uint64_t blocknr;
	uint32_t nr_entries;
	uint32_t max_entries;
	uint32_t value_size;
	uint32_t padding;
	/* max_entries keys of 8 bytes, then max_entries values */
	uint8_t entries[METADATA_BLOCK_SIZE - 32];
} __attribute__((packed));

struct array_disk {
	uint32_t checksum;
	uint32_t max_entries;
	uint32_t nr_entries;
	uint32_t value_size;
	uint64_t blocknr;
	uint64_t words[ARRAY_WORDS];
} __attribute__((packed));

union metadata_block {
	uint8_t bytes[METADATA_BLOCK_SIZE];
	struct superblock_disk superblock;
	struct index_disk index;
	struct bitmap_disk bitmap;
	struct node_disk node;
	struct array_disk array;
};

static_assert(offsetof(struct superblock_disk, blocknr) == 8, "superblock");
static_assert(offsetof(struct superblock_disk, magic) == 32, "superblock");
static_assert(offsetof(struct superblock_disk, version) == 40, "superblock");
static_assert(offsetof(struct superblock_disk, nr_blocks) == 44, "superblock");
static_assert(offsetof(struct superblock_disk, nr_allocated) == 52, "superblock");
static_assert(offsetof(struct superblock_disk, index_block) == 60, "superblock");
static_assert(offsetof(struct superblock_disk, count_root) == 68, "superblock");
static_assert(offsetof(struct superblock_disk, region_sectors) == 172, "superblock");
static_assert(offsetof(struct superblock_disk, target_sectors) == 180, "superblock");
static_assert(offsetof(struct superblock_disk, bitset_root) == 188, "superblock");
static_assert(offsetof(struct superblock_disk, unused) == 196, "superblock");
static_assert(sizeof(struct superblock_disk) == METADATA_BLOCK_SIZE, "superblock");
static_assert(offsetof(struct index_disk, entries) == 16, "index");
static_assert(sizeof(struct index_entry_disk) == 16, "index entry");
static_assert(sizeof(struct index_disk) == METADATA_BLOCK_SIZE, "index");
static_assert(offsetof(struct bitmap_disk, counts) == 16, "bitmap");
static_assert(sizeof(struct bitmap_disk) == METADATA_BLOCK_SIZE, "bitmap");
static_assert(offsetof(struct node_disk, nr_entries) == 16, "node");
static_assert(offsetof(struct node_disk, entries) == 32, "node");
static_assert(sizeof(struct node_disk) == METADATA_BLOCK_SIZE, "node");
static_assert(offsetof(struct array_disk, blocknr) == 16, "array");
static_assert(offsetof(struct array_disk, words) == 24, "array");
static_assert(sizeof(struct array_disk) == METADATA_BLOCK_SIZE, "array");
static_assert(REGIONS_PER_ARRAY == (uint64_t)ARRAY_WORDS * REGIONS_PER_WORD, "array");
static_assert(sizeof(union metadata_block) == METADATA_BLOCK_SIZE, "block");

#endif
