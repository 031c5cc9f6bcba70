/*
 * Damaged metadata. Two attacks on several devices, small and large, fresh and used:
 *
 *  - single bytes of the blocks in use are changed, all of the small devices and a sample of the
 *    large ones. The checker must find each, and name the block, what it expected and what it
 *    found; an open must refuse it or show the right set;
 *  - random bytes and fields of one or two blocks are changed, and the checksums made right again,
 *    so that the code behind them is reached. Nothing may crash; what the checker calls clean must
 *    open; and a commit on a clean device leaves a clean one.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/metadata/block.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"
#include "tests/crash/random.h"
#include "tests/support/memory_io.h"

#define REGION_SECTORS 8u
#define MAX_USED       2048u

struct device {
	const char *name;
	uint64_t nr_regions, nr_blocks;
	unsigned int nr_commits;
	uint64_t nr_flips;  /* sampled; 0: all bytes */
	unsigned int share; /* of 100 corruptions */

	struct block_io *io;
	uint8_t *good; /* owned: what it holds undamaged */
	uint64_t nr_hydrated;
	uint64_t print; /* fingerprint of the set */
	struct {
		uint64_t block;
		enum block_type type;
	} used[MAX_USED];
	unsigned int nr_used;
};

static struct device devices[] = {
        {"fresh", .nr_regions = 1000, .nr_blocks = 24, .share = 26},
        {"used", .nr_regions = 1000, .nr_blocks = 14, .nr_commits = 9, .share = 35},
        {"three array blocks", 70000, 24, 12, .nr_flips = 4000, .share = 32},
        {"a tree of two levels", 32576 * 300, 400, 3, .nr_flips = 300, .share = 6},
        {"two bitmaps", 500, 16400, 4, .nr_flips = 60, .share = 1},
};

#define NR_DEVICES (sizeof(devices) / sizeof(devices[0]))

static uint64_t seed_now;

_Noreturn static void found(const struct device *device, const char *what, uint64_t a, uint64_t b)
{
	(void)printf("FOUND: device \"%s\", seed %" PRIu64 ": %s (%" PRIu64 ", %" PRIu64 ")\n",
	             device->name, seed_now, what, a, b);
	exit(1);
}

static struct metadata_params params_of(const struct device *device, enum metadata_mode mode)
{
	return (struct metadata_params){
	        .target_sectors = device->nr_regions * REGION_SECTORS,
	        .region_sectors = REGION_SECTORS,
	        .mode = mode,
	};
}

static uint64_t print_of(const struct device *device, const struct metadata *metadata)
{
	struct random mix = {1};

	for (uint64_t region = metadata_find_next_hydrated(metadata, 0);
	     region < device->nr_regions;
	     region = metadata_find_next_hydrated(metadata, region + 1)) {
		mix.state ^= region;
		mix.state = random_next(&mix);
	}
	return mix.state;
}

/* ---- making a device ---- */

static union metadata_block *block_at(struct device *device, uint64_t number)
{
	return (union metadata_block *)(memory_io_data(device->io) + number * METADATA_BLOCK_SIZE);
}

static void use(struct device *device, uint64_t block, enum block_type type)
{
	if (device->nr_used == MAX_USED)
		abort();
	device->used[device->nr_used].block = block;
	device->used[device->nr_used++].type = type;
}

static void use_tree(struct device *device, uint64_t root, bool leads_to_arrays)
{
	const struct node_disk *node = &block_at(device, root)->node;
	uint32_t nr = le32toh(node->nr_entries);
	const uint8_t *values = node->entries + (size_t)le32toh(node->max_entries) * 8;
	bool is_leaf = le32toh(node->flags) == NODE_LEAF;

	use(device, root, BLOCK_NODE);
	for (uint32_t i = 0; i < nr && (leads_to_arrays || !is_leaf); i++) {
		uint64_t value;

		memcpy(&value, values + (size_t)i * 8, sizeof(value));
		value = le64toh(value);
		if (is_leaf)
			use(device, value, BLOCK_ARRAY);
		else
			use_tree(device, value, leads_to_arrays);
	}
}

static void find_used(struct device *device)
{
	const struct superblock_disk *superblock = &block_at(device, 0)->superblock;
	uint64_t index = le64toh(superblock->index_block);

	use(device, 0, BLOCK_SUPERBLOCK);
	use(device, index, BLOCK_INDEX);
	for (uint64_t i = 0; i * BITMAP_ENTRIES < device->nr_blocks; i++)
		use(device, le64toh(block_at(device, index)->index.entries[i].blocknr),
		    BLOCK_BITMAP);
	use_tree(device, le64toh(superblock->count_root), false);
	use_tree(device, le64toh(superblock->bitset_root), true);
}

static void make(struct device *device)
{
	struct metadata_params params = params_of(device, METADATA_FORMAT_IF_ZERO);
	struct random random = random_from(device->nr_regions, device->nr_blocks);
	struct metadata *metadata;
	struct cf_error err = {0};

	device->io = memory_io_new(device->nr_blocks * METADATA_BLOCK_SIZE, NULL);
	if (metadata_open(device->io, &params, &metadata, &err) < 0)
		found(device, err.text, 0, 0);
	for (unsigned int i = 0; i < device->nr_commits; i++) {
		for (int j = 0; j < 20; j++)
			(void)metadata_set_region(metadata,
			                          random_below(&random, device->nr_regions));
		if (metadata_pre_commit(metadata, NULL, NULL) < 0 ||
		    metadata_commit(metadata, &err) < 0)
			found(device, err.text, 1, 0);
	}
	device->nr_hydrated = metadata_nr_hydrated(metadata);
	device->print = print_of(device, metadata);
	metadata_close(metadata);
	device->good = malloc(device->io->size);
	if (!device->good)
		abort();
	memcpy(device->good, memory_io_data(device->io), device->io->size);
	find_used(device);
}

/* ---- single bytes ---- */

static uint64_t check(struct device *device, struct metadata_finding *ret_first)
{
	struct metadata_findings findings;
	struct cf_error err = {0};
	uint64_t nr;

	if (metadata_check(device->io, &findings, &err) < 0)
		found(device, err.text, 0, 0);
	nr = findings.nr_total;
	for (size_t i = 0; i < findings.nr; i++) {
		const struct metadata_finding *finding = &findings.list[i];

		if (!finding->what[0] || !finding->expected[0] || !finding->found[0])
			found(device, "a finding does not say what, expected and found", i,
			      finding->block);
	}
	if (nr && ret_first)
		*ret_first = findings.list[0];
	metadata_findings_fini(&findings);
	return nr;
}

static void flip(struct device *device, unsigned int used, uint64_t byte, uint8_t mask)
{
	struct metadata_params params = params_of(device, METADATA_EXISTING);
	uint64_t block = device->used[used].block;
	uint8_t *at = block_at(device, block)->bytes + byte;
	struct metadata_finding first = {0};
	struct metadata *metadata;
	struct cf_error err = {0};
	int r;

	*at ^= mask;
	if (!check(device, &first))
		found(device, "a changed byte was not found by the check", block, byte);
	if (first.block != block)
		found(device, "the check names another block", block, first.block);
	r = metadata_open(device->io, &params, &metadata, &err);
	if (r == 0) {
		if (print_of(device, metadata) != device->print)
			found(device, "a changed byte gives a wrong set", block, byte);
		metadata_close(metadata);
	} else if (!err.text[0]) {
		found(device, "an open was refused without a word", block, byte);
	}
	*at ^= mask;
}

static uint64_t flip_all(struct device *device, struct random *random)
{
	uint64_t nr = (uint64_t)device->nr_used * METADATA_BLOCK_SIZE;
	uint64_t nr_flips = device->nr_flips && device->nr_flips < nr ? device->nr_flips : nr;

	for (uint64_t i = 0; i < nr_flips; i++) {
		uint64_t at = nr_flips == nr ? i : random_below(random, nr);

		flip(device, (unsigned int)(at / METADATA_BLOCK_SIZE), at % METADATA_BLOCK_SIZE,
		     (uint8_t)(1 + random_below(random, 255)));
	}
	return nr_flips;
}

/* ---- damage behind good checksums ---- */

static uint64_t nasty_value(const struct device *device, struct random *random)
{
	static const uint64_t values[] = {0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF, UINT64_MAX, 255, 256};
	uint64_t dice = random_below(random, 4);

	if (dice == 0)
		return values[random_below(random, sizeof(values) / sizeof(values[0]))];
	if (dice == 1)
		return random_below(random, device->nr_blocks + 2);
	if (dice == 2)
		return device->used[random_below(random, device->nr_used)].block;
	return random_next(random) >> random_below(random, 64);
}

/* Most of what means something is at the beginning of a block. */
static uint64_t nasty_offset(struct random *random, uint64_t length)
{
	uint64_t most = random_one_in(random, 3) ? METADATA_BLOCK_SIZE : 256;

	return 4 + random_below(random, (most - 4 - length) / 4 + 1) * 4;
}

static void corrupt_block(struct device *device, struct random *random)
{
	unsigned int used = (unsigned int)random_below(random, device->nr_used);
	union metadata_block *block;
	uint64_t nr = 1 + random_below(random, 4);

	/* The few blocks at the top are as likely as all the others. */
	if (random_one_in(random, 2))
		used = (unsigned int)random_below(random,
		                                  device->nr_used < 6 ? device->nr_used : 6);
	block = block_at(device, device->used[used].block);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t value = htole64(nasty_value(device, random));
		size_t length = random_one_in(random, 2) ? 8 : 4;

		if (random_one_in(random, 3))
			block->bytes[4 + random_below(random, METADATA_BLOCK_SIZE - 4)] ^=
			        (uint8_t)(1 + random_below(random, 255));
		else
			memcpy(block->bytes + nasty_offset(random, length), &value, length);
	}
	block_seal(device->used[used].type, device->used[used].block, block);
}

static void work_on(struct device *device, struct metadata *metadata, struct random *random,
                    bool was_clean)
{
	int r = 0;

	for (int round = 0; round < 2 && r == 0; round++) {
		for (int i = 0; i < 5; i++)
			(void)metadata_set_region(metadata,
			                          random_below(random, device->nr_regions));
		(void)metadata_pre_commit(metadata, NULL, NULL);
		r = metadata_commit(metadata, NULL);
	}
	(void)metadata_abort(metadata, NULL);
	(void)metadata_reload(metadata, NULL);
	metadata_close(metadata);
	if (was_clean && check(device, NULL))
		found(device, "a commit on a clean device left damage", (uint64_t)-r, 0);
}

/* True: it opened. */
static bool corrupt(struct device *device, uint64_t seed)
{
	struct metadata_params params = params_of(device, METADATA_EXISTING);
	struct random random = random_from(seed, 0xBAD);
	uint64_t nr_blocks = 1 + random_below(&random, 2);
	struct metadata *metadata;
	struct cf_error err = {0};
	bool clean;
	int r;

	seed_now = seed;
	memcpy(memory_io_data(device->io), device->good, device->io->size);
	for (uint64_t i = 0; i < nr_blocks; i++)
		corrupt_block(device, &random);
	clean = check(device, NULL) == 0;
	r = metadata_open(device->io, &params, &metadata, &err);
	/* The sizes in the superblock are sound, but they may not be ours. */
	if (r < 0 && clean && r != -EINVAL)
		found(device, err.text, 0, 0);
	if (r < 0 && !err.text[0])
		found(device, "an open was refused without a word", (uint64_t)-r, 0);
	if (r == 0)
		work_on(device, metadata, &random, clean);
	return r == 0;
}

static struct device *device_for(uint64_t seed)
{
	uint64_t dice = random_from(seed, 0xDE).state % 100;
	size_t i = 0;

	while (i + 1 < NR_DEVICES && dice >= devices[i].share)
		dice -= devices[i++].share;
	return &devices[i];
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
	        {"corruptions", required_argument, NULL, 'n'},
	        {"first", required_argument, NULL, 'f'},
	        {"no-flips", no_argument, NULL, 'x'},
	        {NULL, 0, NULL, 0},
	};
	struct random random = random_from(1, 0xF11);
	uint64_t nr_corruptions = 10000;
	uint64_t first = 1;
	uint64_t nr_flips = 0;
	uint64_t nr_opened = 0;
	bool flips = true;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'n')
			nr_corruptions = strtoull(optarg, NULL, 10);
		else if (c == 'f')
			first = strtoull(optarg, NULL, 10);
		else if (c == 'x')
			flips = false;
		else
			return 2;
	}
	for (size_t i = 0; i < NR_DEVICES; i++) {
		make(&devices[i]);
		if (flips)
			nr_flips += flip_all(&devices[i], &random);
	}
	for (uint64_t seed = first; seed < first + nr_corruptions; seed++)
		nr_opened += corrupt(device_for(seed), seed);
	for (size_t i = 0; i < NR_DEVICES; i++) {
		block_io_close(devices[i].io);
		free(devices[i].good);
	}
	(void)printf("%" PRIu64 " changed bytes, all found; %" PRIu64
	             " damages behind good checksums, %" PRIu64 " of them opened; %.1f s of CPU\n",
	             nr_flips, nr_corruptions, nr_opened, (double)clock() / CLOCKS_PER_SEC);
	return 0;
}
