/*
 * Metadata devices: open, check, commit. The input says how a sound device is changed, in records
 * of six bytes: block, offset (two), kind of change, value (two); checksums are made right again
 * afterwards, unless a record says not to. So inputs are small and most reach deep code.
 */
#include <endian.h>

#include "core/metadata/block.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/memory_io.h"

#define NR_BLOCKS  20u
#define NR_REGIONS 33000u /* two array blocks */
#define RECORD     6u

static uint8_t *sound; /* made once */
static const enum block_type fresh_types[] = {BLOCK_SUPERBLOCK, BLOCK_INDEX, BLOCK_NODE,
                                              BLOCK_BITMAP,     BLOCK_NODE,  BLOCK_ARRAY,
                                              BLOCK_ARRAY};

static struct metadata_params params_of(enum metadata_mode mode)
{
	return (struct metadata_params){
	        .target_sectors = NR_REGIONS * UINT64_C(8), .region_sectors = 8, .mode = mode};
}

static void make_sound(void)
{
	struct block_io *io = memory_io_new(NR_BLOCKS * METADATA_BLOCK_SIZE, NULL);
	struct metadata_params params = params_of(METADATA_FORMAT_IF_ZERO);
	struct metadata *metadata;

	MUST(metadata_open(io, &params, &metadata, NULL) == 0);
	metadata_close(metadata);
	sound = malloc(NR_BLOCKS * METADATA_BLOCK_SIZE);
	MUST(sound);
	memcpy(sound, memory_io_data(io), NR_BLOCKS * METADATA_BLOCK_SIZE);
	block_io_close(io);
}

static uint64_t value_of(uint8_t kind, uint16_t value)
{
	switch (kind >> 3 & 3) {
	case 0:
		return value;
	case 1:
		return UINT64_MAX - value;
	case 2:
		return (uint64_t)value << 32 | value;
	default:
		return (uint64_t)value << 48;
	}
}

static void change(struct block_io *io, const uint8_t *record)
{
	uint64_t block = record[0] % NR_BLOCKS;
	size_t length = (size_t)1 << (record[3] & 3);
	size_t offset = (size_t)(record[1] | record[2] << 8) % (METADATA_BLOCK_SIZE - length + 1);
	uint64_t value = htole64(value_of(record[3], (uint16_t)(record[4] | record[5] << 8)));
	union metadata_block *at =
	        (union metadata_block *)(memory_io_data(io) + block * METADATA_BLOCK_SIZE);

	memcpy(at->bytes + offset, &value, length);
	if (!(record[3] & 0x80) && block < sizeof(fresh_types) / sizeof(fresh_types[0]))
		block_seal(fresh_types[block], block, at);
}

static bool is_clean(struct block_io *io)
{
	struct metadata_findings findings;
	bool clean;

	MUST(metadata_check(io, &findings, NULL) == 0);
	clean = findings.nr_total == 0;
	metadata_findings_fini(&findings);
	return clean;
}

static void work(struct block_io *io, struct metadata *metadata, bool was_clean)
{
	(void)metadata_set_range(metadata, 100, 50);
	(void)metadata_set_region(metadata, NR_REGIONS - 1);
	(void)metadata_pre_commit(metadata, NULL, NULL);
	(void)metadata_commit(metadata, NULL);
	(void)metadata_abort(metadata, NULL);
	(void)metadata_reload(metadata, NULL);
	metadata_close(metadata);
	MUST(!was_clean || is_clean(io));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct metadata_params params = params_of(METADATA_EXISTING);
	struct metadata *metadata;
	struct block_io *io;
	struct cf_error err = {0};
	bool clean;

	if (!sound)
		make_sound();
	io = memory_io_from(sound, NR_BLOCKS * METADATA_BLOCK_SIZE, NULL);
	for (size_t at = 0; at + RECORD <= size && at < 64 * RECORD; at += RECORD)
		change(io, data + at);
	clean = is_clean(io);
	if (metadata_open(io, &params, &metadata, &err) == 0)
		work(io, metadata, clean);
	else
		MUST(err.text[0]);
	block_io_close(io);
	return 0;
}
