/*
 * Metadata devices: open, check, commit. The input says how a sound device is changed, in records
 * of six bytes: block, offset (two), kind of change, value (two); the checksum of a block is made
 * right again when all records are done, unless its last one says not to. So inputs are small and
 * most reach deep code.
 *
 * One device serves all executions, of which each puts the blocks right that the last one changed.
 * A cheap sum stands in for the CRC, which unit.checksum and the kernel tests hold against the real
 * one: otherwise an execution computes little else.
 */
#include <endian.h>
#include <errno.h>
#include <sys/uio.h>

#include "core/base/block_io.h"
#include "core/base/checksum.h"
#include "core/metadata/block.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"
#include "tests/fuzz/fuzz.h"

#define NR_BLOCKS  20u
#define NR_REGIONS 33000u /* two array blocks */
#define RECORD     6u

static int device_pread(struct block_io *io, void *buf, size_t length, uint64_t offset);
static int device_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov,
                          uint64_t offset);
static int device_sync(struct block_io *io);

static const struct block_io_ops device_ops = {
        .pread = device_pread, .pwritev = device_pwritev, .sync = device_sync};
static struct block_io device = {.ops = &device_ops, .size = NR_BLOCKS * METADATA_BLOCK_SIZE};
static union metadata_block blocks[NR_BLOCKS]; /* the device's */
static bool changed[NR_BLOCKS];                /* since they were sound */
static union metadata_block *sound;            /* NR_BLOCKS; made once */
static const enum block_type fresh_types[] = {BLOCK_SUPERBLOCK, BLOCK_INDEX, BLOCK_NODE,
                                              BLOCK_BITMAP,     BLOCK_NODE,  BLOCK_ARRAY,
                                              BLOCK_ARRAY};

#if defined(__clang__)
#define NOT_INSTRUMENTED __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define NOT_INSTRUMENTED __attribute__((no_sanitize("address", "undefined")))
#endif

/* Instead of the library's, which is not linked then. Tells any single changed word. */
NOT_INSTRUMENTED uint32_t crc32c_update(uint32_t crc, const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint64_t sum = crc, word;
	size_t at = 0;

	for (; at + sizeof(word) <= length; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		sum += word * (2 * at + 1);
	}
	for (; at < length; at++)
		sum += (uint64_t)bytes[at] * (2 * at + 1);
	return (uint32_t)(sum ^ sum >> 32);
}

static bool is_inside(uint64_t offset, size_t length)
{
	return offset <= sizeof(blocks) && length <= sizeof(blocks) - offset;
}

static int device_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	(void)io;
	if (!is_inside(offset, length))
		return -ENODATA;
	memcpy(buf, (const uint8_t *)blocks + offset, length);
	return 0;
}

static int device_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	(void)io;
	for (int i = 0; i < nr_iov; i++) {
		/* Nothing writes less than blocks, or elsewhere. */
		MUST(is_inside(offset, iov[i].iov_len));
		MUST((offset | iov[i].iov_len) % METADATA_BLOCK_SIZE == 0);
		memcpy((uint8_t *)blocks + offset, iov[i].iov_base, iov[i].iov_len);
		for (size_t at = 0; at < iov[i].iov_len; at += METADATA_BLOCK_SIZE)
			changed[(offset + at) / METADATA_BLOCK_SIZE] = true;
		offset += iov[i].iov_len;
	}
	return 0;
}

static int device_sync(struct block_io *io)
{
	(void)io;
	return 0;
}

static struct metadata_params params_of(enum metadata_mode mode)
{
	return (struct metadata_params){
	        .target_sectors = NR_REGIONS * UINT64_C(8), .region_sectors = 8, .mode = mode};
}

static void make_sound(void)
{
	struct metadata_params params = params_of(METADATA_FORMAT_IF_ZERO);
	struct metadata *metadata;

	MUST(metadata_open(&device, &params, &metadata, NULL) == 0);
	metadata_close(metadata);
	sound = malloc(sizeof(blocks));
	MUST(sound);
	memcpy(sound, blocks, sizeof(blocks));
}

static void make_all_sound(void)
{
	for (size_t block = 0; block < NR_BLOCKS; block++) {
		if (changed[block])
			blocks[block] = sound[block];
		changed[block] = false;
	}
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

/* The last record of a block decides whether it @ret_seals. */
static void change(const uint8_t *record, bool *ret_seals)
{
	uint64_t block = record[0] % NR_BLOCKS;
	size_t length = (size_t)1 << (record[3] & 3);
	size_t offset = (size_t)(record[1] | record[2] << 8) % (METADATA_BLOCK_SIZE - length + 1);
	uint64_t value = htole64(value_of(record[3], (uint16_t)(record[4] | record[5] << 8)));

	memcpy(blocks[block].bytes + offset, &value, length);
	changed[block] = true;
	ret_seals[block] = !(record[3] & 0x80);
}

static void change_all(const uint8_t *data, size_t size)
{
	bool seals[NR_BLOCKS] = {false};

	make_all_sound();
	for (size_t at = 0; at + RECORD <= size && at < 64 * RECORD; at += RECORD)
		change(data + at, seals);
	for (uint64_t block = 0; block < sizeof(fresh_types) / sizeof(fresh_types[0]); block++)
		if (seals[block])
			block_seal(fresh_types[block], block, &blocks[block]);
}

static bool is_clean(void)
{
	struct metadata_findings findings;
	bool clean;

	MUST(metadata_check(&device, &findings, NULL) == 0);
	clean = findings.nr_total == 0;
	metadata_findings_fini(&findings);
	return clean;
}

static void work(struct metadata *metadata, bool was_clean)
{
	(void)metadata_set_range(metadata, 100, 50);
	(void)metadata_set_region(metadata, NR_REGIONS - 1);
	(void)metadata_pre_commit(metadata, NULL, NULL);
	(void)metadata_commit(metadata, NULL);
	(void)metadata_abort(metadata, NULL);
	(void)metadata_reload(metadata, NULL);
	metadata_close(metadata);
	MUST(!was_clean || is_clean());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct metadata_params params = params_of(METADATA_EXISTING);
	struct metadata *metadata;
	struct cf_error err = {0};
	bool clean;

	if (!sound)
		make_sound();
	change_all(data, size);
	clean = is_clean();
	if (metadata_open(&device, &params, &metadata, &err) == 0)
		work(metadata, clean);
	else
		MUST(err.text[0]);
	return 0;
}
