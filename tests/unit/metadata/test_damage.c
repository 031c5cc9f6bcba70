/* Bytes on disk are hostile: whatever they are, an open refuses or works, and the checker finds. */
#include "metadata_fixture.h"

#include <endian.h>
#include <stdlib.h>

#define NR        1000u
#define NR_BLOCKS 24u

/* Fresh layout: 0 superblock, 1 index, 2 ref counts, 3 bitmap, 4 bitset root, 5 array block. */
enum { INDEX = 1, COUNTS = 2, BITMAP = 3, ROOT = 4, ARRAY = 5, USED = 6 };

static int set_up(void **state)
{
	struct block_io *io = memory_io_new(NR_BLOCKS * METADATA_BLOCK_SIZE, NULL);

	metadata_close(fixture_format(io, NR));
	*state = io;
	return 0;
}

static int tear_down(void **state)
{
	block_io_close(*state);
	return 0;
}

static void each_flipped_byte_is_found(void **state)
{
	struct block_io *io = *state;
	uint8_t *data = memory_io_data(io);

	for (uint64_t at = 0; at < USED * METADATA_BLOCK_SIZE; at += FIXTURE_SAMPLE) {
		uint8_t flip = (uint8_t)(1 << at % 8);

		data[at] ^= flip;
		if (fixture_nr_findings(io) == 0)
			fail_msg("byte %" PRIu64 " ^ %02x: not found", at, flip);
		data[at] ^= flip;
	}
	fixture_assert_clean(io);
}

/* Opening reads all used blocks, so it refuses each of them. */
static void each_flipped_byte_is_refused(void **state)
{
	struct block_io *io = *state;
	uint8_t *data = memory_io_data(io);

	for (uint64_t at = 0; at < USED * METADATA_BLOCK_SIZE; at += 3 * FIXTURE_SAMPLE) {
		struct cf_error err = {0};
		int r;

		data[at] ^= 0x40;
		r = fixture_try_open(io, NR, &err);
		if (r != -EILSEQ && r != -ENOTBLK)
			fail_msg("byte %" PRIu64 ": %d", at, r);
		assert_int_equal(err.code, r);
		data[at] ^= 0x40;
	}
	assert_int_equal(fixture_try_open(io, NR, NULL), 0);
}

/*
 * The same with a right checksum. Opens may accept what does no harm; commits after it must not
 * crash, and what they write must be as good as what was there.
 */
static void each_sealed_flip_is_survived(void **state)
{
	static const enum block_type types[USED] = {BLOCK_SUPERBLOCK, BLOCK_INDEX, BLOCK_NODE,
	                                            BLOCK_BITMAP,     BLOCK_NODE,  BLOCK_ARRAY};
	struct block_io *io = *state;
	uint64_t size = io->size;
	uint8_t *original = malloc(size);

	memcpy(original, memory_io_data(io), size);
	for (uint64_t at = 0; at < USED * METADATA_BLOCK_SIZE; at += FIXTURE_SAMPLE) {
		uint64_t block = at / METADATA_BLOCK_SIZE;
		struct metadata_params params = {NR * REGION_SECTORS, REGION_SECTORS,
		                                 METADATA_EXISTING};
		struct metadata *md = NULL;

		/* All of the header, the entries around it, and a sample of the rest. */
		if (at % METADATA_BLOCK_SIZE > 260 && at % 61 != 0)
			continue;
		memcpy(memory_io_data(io), original, size);
		memory_io_data(io)[at] ^= (uint8_t)(1 << at % 8);
		fixture_seal(io, types[block], block);
		(void)fixture_nr_findings(io);
		if (metadata_open(io, &params, &md, NULL) < 0)
			continue;
		(void)metadata_set_range(md, 3, 500);
		(void)fixture_pre_commit_and_commit(md);
		(void)metadata_abort(md, NULL);
		(void)metadata_reload(md, NULL);
		metadata_close(md);
	}
	memcpy(memory_io_data(io), original, size);
	free(original);
}

struct change {
	const char *what;
	uint64_t block;
	enum block_type type;
	size_t offset, length;
	uint64_t value;
	int code; /* of an open; 0: accepted, only the checker finds it */
};

static void put(struct block_io *io, const struct change *change)
{
	uint64_t value = htole64(change->value);

	memcpy(fixture_block(io, change->block)->bytes + change->offset, &value, change->length);
	fixture_seal(io, change->type, change->block);
}

static const struct change changes[] = {
        {"version 2", 0, BLOCK_SUPERBLOCK, 40, 4, 2, -EINVAL},
        {"magic", 0, BLOCK_SUPERBLOCK, 32, 8, 0x8AF27F65, -EILSEQ},
        {"flags", 0, BLOCK_SUPERBLOCK, 4, 4, 1, 0},
        {"uuid", 0, BLOCK_SUPERBLOCK, 20, 1, 1, 0},
        {"unused bytes of the space map root", 0, BLOCK_SUPERBLOCK, 171, 1, 1, 0},
        {"unused bytes", 0, BLOCK_SUPERBLOCK, 4095, 1, 1, 0},
        {"nr_blocks 0", 0, BLOCK_SUPERBLOCK, 44, 8, 0, -EINVAL},
        {"nr_blocks beyond the device", 0, BLOCK_SUPERBLOCK, 44, 8, NR_BLOCKS + 1, -EINVAL},
        {"nr_blocks huge", 0, BLOCK_SUPERBLOCK, 44, 8, UINT64_MAX, -EINVAL},
        {"nr_blocks below blocks in use", 0, BLOCK_SUPERBLOCK, 44, 8, 5, -EIO},
        {"nr_allocated", 0, BLOCK_SUPERBLOCK, 52, 8, 7, 0},
        {"nr_allocated huge", 0, BLOCK_SUPERBLOCK, 52, 8, UINT64_MAX, 0},
        {"index block beyond", 0, BLOCK_SUPERBLOCK, 60, 8, NR_BLOCKS, -EIO},
        {"index block huge", 0, BLOCK_SUPERBLOCK, 60, 8, UINT64_MAX, -EIO},
        {"index block is the superblock", 0, BLOCK_SUPERBLOCK, 60, 8, 0, -EINVAL},
        {"index block is a bitmap", 0, BLOCK_SUPERBLOCK, 60, 8, BITMAP, -EILSEQ},
        {"ref count root beyond", 0, BLOCK_SUPERBLOCK, 68, 8, UINT64_MAX, -EIO},
        {"ref count root is the bitset's", 0, BLOCK_SUPERBLOCK, 68, 8, ROOT, -EINVAL},
        {"region size no power of two", 0, BLOCK_SUPERBLOCK, 172, 8, 24, -EINVAL},
        {"region size 0", 0, BLOCK_SUPERBLOCK, 172, 8, 0, -EINVAL},
        {"region size doubled", 0, BLOCK_SUPERBLOCK, 172, 8, 16, -EINVAL},
        {"target size 0", 0, BLOCK_SUPERBLOCK, 180, 8, 0, -EINVAL},
        {"target size huge", 0, BLOCK_SUPERBLOCK, 180, 8, UINT64_MAX, -EINVAL},
        {"bitset root is the array block", 0, BLOCK_SUPERBLOCK, 188, 8, ARRAY, -ENOTBLK},
        {"bitset root is the index", 0, BLOCK_SUPERBLOCK, 188, 8, INDEX, -EINVAL},
        {"bitset root beyond", 0, BLOCK_SUPERBLOCK, 188, 8, UINT64_C(1) << 60, -EIO},
        {"index padding", INDEX, BLOCK_INDEX, 4, 4, 1, 0},
        {"bitmap beyond", INDEX, BLOCK_INDEX, 16, 8, NR_BLOCKS, -EIO},
        {"bitmap is the index", INDEX, BLOCK_INDEX, 16, 8, INDEX, -EINVAL},
        {"bitmap is the superblock", INDEX, BLOCK_INDEX, 16, 8, 0, -EINVAL},
        {"nr_free", INDEX, BLOCK_INDEX, 24, 4, 16313, 0},
        {"hint too high", INDEX, BLOCK_INDEX, 28, 4, 7, 0},
        {"hint huge", INDEX, BLOCK_INDEX, 28, 4, 0xffffffff, 0},
        {"an index entry too many", INDEX, BLOCK_INDEX, 32, 8, 9, 0},
        {"ref count node with other values", COUNTS, BLOCK_NODE, 24, 4, 8, -EILSEQ},
        {"ref count node with another room", COUNTS, BLOCK_NODE, 20, 4, 335, -EILSEQ},
        {"a stray ref count", COUNTS, BLOCK_NODE, 16, 4, 1, 0},
        {"ref count node padding", COUNTS, BLOCK_NODE, 28, 4, 1, 0},
        {"bitmap padding", BITMAP, BLOCK_BITMAP, 4, 4, 1, 0},
        {"superblock not counted", BITMAP, BLOCK_BITMAP, 16, 1, 0xA8, -EINVAL},
        {"array block not counted", BITMAP, BLOCK_BITMAP, 17, 1, 0x02, -EINVAL},
        {"array block counted twice", BITMAP, BLOCK_BITMAP, 17, 1, 0x06, 0},
        {"array block counted many times", BITMAP, BLOCK_BITMAP, 17, 1, 0x0e, 0},
        {"a leaked block", BITMAP, BLOCK_BITMAP, 17, 1, 0x2a, 0},
        {"a block behind the device counted", BITMAP, BLOCK_BITMAP, 22, 1, 0x02, 0},
        {"node flags", ROOT, BLOCK_NODE, 4, 4, 3, -EILSEQ},
        {"leaf as internal node", ROOT, BLOCK_NODE, 4, 4, 1, -ENOTBLK},
        {"no entries", ROOT, BLOCK_NODE, 16, 4, 0, -ENODATA},
        {"too many entries", ROOT, BLOCK_NODE, 16, 4, 253, -EILSEQ},
        {"an entry too many", ROOT, BLOCK_NODE, 16, 4, 2, -EINVAL},
        {"node room", ROOT, BLOCK_NODE, 20, 4, 249, -EILSEQ},
        {"node values of 4 bytes", ROOT, BLOCK_NODE, 24, 4, 4, -EILSEQ},
        {"node padding", ROOT, BLOCK_NODE, 28, 4, 1, 0},
        {"key", ROOT, BLOCK_NODE, 32, 8, 1, -EINVAL},
        {"array block beyond", ROOT, BLOCK_NODE, 2048, 8, NR_BLOCKS, -EIO},
        {"array block is the root", ROOT, BLOCK_NODE, 2048, 8, ROOT, -EINVAL},
        {"array block is free", ROOT, BLOCK_NODE, 2048, 8, 9, -ENOTBLK},
        {"array room", ARRAY, BLOCK_ARRAY, 4, 4, 508, -EINVAL},
        {"array entries too few", ARRAY, BLOCK_ARRAY, 8, 4, 15, -ENODATA},
        {"array entries too many", ARRAY, BLOCK_ARRAY, 8, 4, 17, -EINVAL},
        {"array value size", ARRAY, BLOCK_ARRAY, 12, 4, 4, -EINVAL},
        {"bytes behind the entries", ARRAY, BLOCK_ARRAY, 152, 8, 1, 0},
        {"a bit behind the last region", ARRAY, BLOCK_ARRAY, 144, 8, UINT64_C(1) << 40, 0},
};

static void wrong_contents_with_right_checksums(void **state)
{
	struct block_io *io = *state;
	uint8_t original[NR_BLOCKS * METADATA_BLOCK_SIZE];

	memcpy(original, memory_io_data(io), sizeof(original));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct cf_error err = {0};
		int r;

		put(io, &changes[i]);
		r = fixture_try_open(io, NR, &err);
		if (r != changes[i].code)
			fail_msg("%s: open gives %d (%s), expected %d", changes[i].what, r,
			         err.text, changes[i].code);
		assert_int_equal(err.code, r);
		if (fixture_nr_findings(io) == 0)
			fail_msg("%s: not found", changes[i].what);
		memcpy(memory_io_data(io), original, sizeof(original));
	}
	fixture_assert_clean(io);
}

/* What an open accepts must not be made worse: a commit repairs totals and hints. */
static void a_commit_after_harmless_damage_is_sound(void **state)
{
	struct block_io *io = *state;
	uint8_t original[NR_BLOCKS * METADATA_BLOCK_SIZE];

	memcpy(original, memory_io_data(io), sizeof(original));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct metadata *md;

		if (changes[i].code)
			continue;
		put(io, &changes[i]);
		md = fixture_open(io, NR);
		for (uint64_t round = 0; round < 10; round++)
			fixture_commit(md, &(uint64_t){round * 99}, 1);
		metadata_close(md);
		md = fixture_open(io, NR);
		assert_int_equal(metadata_nr_committed(md), 10);
		metadata_close(md);
		memcpy(memory_io_data(io), original, sizeof(original));
	}
}

static void findings_name_block_expected_and_found(void **state)
{
	const struct change change = {"", 0, BLOCK_SUPERBLOCK, 52, 8, 9, 0};
	struct metadata_findings findings;
	struct block_io *io = *state;

	put(io, &change);
	assert_int_equal(metadata_check(io, &findings, NULL), 0);
	assert_int_equal(findings.nr, 1);
	assert_int_equal(findings.nr_total, 1);
	assert_int_equal(findings.list[0].block, 0);
	assert_string_equal(findings.list[0].what, "metadata blocks in use");
	assert_string_equal(findings.list[0].expected, "6");
	assert_string_equal(findings.list[0].found, "9");
	metadata_findings_fini(&findings);
}

static void sentences_name_block_expected_and_found(void **state)
{
	const struct change change = {"", ARRAY, BLOCK_ARRAY, 8, 4, 15, 0};
	struct block_io *io = *state;
	struct cf_error err;

	put(io, &change);
	assert_int_equal(fixture_try_open(io, NR, &err), -ENODATA);
	assert_string_equal(err.text,
	                    "metadata block 5: array block entries: expected 16, found 15");
}

static void an_unformatted_device_is_a_finding(void **state)
{
	struct block_io *io = memory_io_new(8 * METADATA_BLOCK_SIZE, NULL);
	struct block_io *empty = memory_io_new(0, NULL);

	(void)state;
	assert_int_equal(fixture_nr_findings(io), 1);
	assert_int_equal(fixture_nr_findings(empty), 1);
	block_io_close(io);
	block_io_close(empty);
}

static void an_unreadable_block_is_a_finding(void **state)
{
	struct block_io *io = *state;

	for (uint64_t nth = 1; nth <= USED; nth++) {
		memory_io_fail(io, MEMORY_IO_READ, nth, -EIO, true);
		assert_true(fixture_nr_findings(io) > 0);
		memory_io_fail(io, 0, 0, 0, false);
	}
}

static void a_cut_file_is_refused(void **state)
{
	struct block_io *io = *state;

	for (uint64_t nr_blocks = 0; nr_blocks < NR_BLOCKS; nr_blocks++) {
		struct block_io *cut =
		        memory_io_from(memory_io_data(io), nr_blocks * METADATA_BLOCK_SIZE, NULL);

		assert_int_equal(fixture_try_open(cut, NR, NULL), nr_blocks ? -EINVAL : -EIO);
		assert_true(fixture_nr_findings(cut) > 0);
		block_io_close(cut);
	}
}

/* Many findings are counted and not all kept. */
static void findings_are_limited(void **state)
{
	struct block_io *io = memory_io_new(3000 * METADATA_BLOCK_SIZE, NULL);
	struct metadata_findings findings;

	(void)state;
	metadata_close(fixture_format(io, NR));
	memset(fixture_block(io, BITMAP)->bytes + 20, 0xAA, 700);
	fixture_seal(io, BLOCK_BITMAP, BITMAP);
	assert_int_equal(metadata_check(io, &findings, NULL), 0);
	assert_int_equal(findings.nr, METADATA_FINDINGS_MAX);
	assert_true(findings.nr_total >= 2800);
	metadata_findings_fini(&findings);
	block_io_close(io);
}

/* Counts of 2 and more, which dm-clone never makes, with the ref count entry they need. */
static void shared_blocks_are_never_handed_out(void **state)
{
	struct block_io *io = *state;
	union metadata_block *counts = fixture_block(io, COUNTS);
	struct metadata *md;

	counts->node.nr_entries = htole32(1);
	counts->node.entries[0] = ARRAY;
	counts->node.entries[8 * COUNT_NODE_MAX] = 3;
	fixture_seal(io, BLOCK_NODE, COUNTS);
	fixture_block(io, BITMAP)->bytes[17] = 0x0e;
	fixture_seal(io, BLOCK_BITMAP, BITMAP);
	assert_int_equal(fixture_nr_findings(io), 1);
	md = fixture_open(io, NR);
	for (uint64_t round = 0; round < 30; round++)
		fixture_commit(md, &(uint64_t){round}, 1);
	assert_int_equal(le32toh(fixture_block(io, ARRAY)->array.nr_entries), 16);
	assert_int_equal(fixture_block(io, ARRAY)->array.words[0], 0);
	metadata_close(md);
}

#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        WITH_DEVICE(each_flipped_byte_is_found),
	        WITH_DEVICE(each_flipped_byte_is_refused),
	        WITH_DEVICE(each_sealed_flip_is_survived),
	        WITH_DEVICE(wrong_contents_with_right_checksums),
	        WITH_DEVICE(a_commit_after_harmless_damage_is_sound),
	        WITH_DEVICE(findings_name_block_expected_and_found),
	        WITH_DEVICE(sentences_name_block_expected_and_found),
	        cmocka_unit_test(an_unformatted_device_is_a_finding),
	        WITH_DEVICE(an_unreadable_block_is_a_finding),
	        WITH_DEVICE(a_cut_file_is_refused),
	        cmocka_unit_test(findings_are_limited),
	        WITH_DEVICE(shared_blocks_are_never_handed_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
