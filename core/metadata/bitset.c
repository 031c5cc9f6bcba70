#include "core/metadata/bitset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/base/min_max.h"
#include "core/metadata/array.h"

#define READ_BATCH 64u

uint32_t bitset_nr_arrays(uint64_t nr_regions)
{
	return (uint32_t)((nr_regions + REGIONS_PER_ARRAY - 1) / REGIONS_PER_ARRAY);
}

/* Ones for the bits of the last word that stand for regions. */
static uint64_t last_word_mask(uint64_t nr_regions)
{
	unsigned int rest = (unsigned int)(nr_regions % REGIONS_PER_WORD);

	return rest ? (UINT64_C(1) << rest) - 1 : UINT64_MAX;
}

int bitset_init(struct bitset *bitset, uint64_t nr_regions)
{
	*bitset = (struct bitset){
	        .nr_regions = nr_regions,
	        .nr_words = (nr_regions + REGIONS_PER_WORD - 1) / REGIONS_PER_WORD,
	        .nr_arrays = bitset_nr_arrays(nr_regions),
	};
	bitset->arrays = calloc(bitset->nr_arrays, sizeof(*bitset->arrays));
	return bitset->arrays ? 0 : -ENOMEM;
}

void bitset_fini(struct bitset *bitset)
{
	free(bitset->arrays);
	bitset->arrays = NULL;
	btree_fini(&bitset->tree);
}

struct loading {
	struct bitset *bitset;
	struct usage *usage;
	struct damage_sink *sink;
	uint64_t root;
};

/* Place 0 (the superblock) is "unknown" in a thorough check: no array block can be there. */
static int take_array(void *user, uint64_t key, uint64_t value)
{
	struct loading *loading = user;
	int r = usage_claim(loading->usage, value, USAGE_ARRAY, loading->root, loading->sink);

	if (r < 0)
		return usage_skip(loading->usage, loading->sink, r);
	loading->bitset->arrays[key] = value;
	return 0;
}

int bitset_load(struct bitset *bitset, struct block_io *io, uint64_t root, struct usage *usage,
                struct damage_sink *sink)
{
	struct loading loading = {bitset, usage, sink, root};
	const struct btree_kind kind = {
	        .role = USAGE_BITSET_NODE,
	        .value_size = BITSET_VALUE_SIZE,
	        .end_key = bitset->nr_arrays,
	        .dense = true,
	};

	return btree_load(&bitset->tree, io, root, &kind, usage, sink, take_array, &loading);
}

/* Array blocks from @index on that are neighbours on disk. */
static uint32_t neighbours(const struct bitset *bitset, uint32_t index)
{
	uint32_t nr = 1;

	while (nr < READ_BATCH && index + nr < bitset->nr_arrays &&
	       bitset->arrays[index + nr] == bitset->arrays[index] + nr)
		nr++;
	return nr;
}

/* One pass over all array blocks. */
struct reading {
	const struct bitset *bitset;
	struct block_io *io;
	struct usage *usage;
	struct damage_sink *sink;
	bitset_words_fn *take;
	void *user;
};

static void hand_out(const struct reading *reading, uint32_t index,
                     const union metadata_block *block)
{
	const struct bitset *bitset = reading->bitset;
	uint32_t nr = array_nr_words(bitset->nr_words, index);
	uint64_t words[ARRAY_WORDS];

	assert(nr > 0 && nr <= ARRAY_WORDS);
	for (uint32_t i = 0; i < nr; i++)
		words[i] = array_word(block, i);
	if (index + 1 == bitset->nr_arrays) {
		uint64_t mask = last_word_mask(bitset->nr_regions);

		if ((words[nr - 1] & ~mask) && reading->sink->thorough)
			damage_text(reading->sink, -EINVAL, bitset->arrays[index],
			            "bits behind the last region", "zeros", "ones");
		words[nr - 1] &= mask;
	}
	reading->take(reading->user, (uint64_t)index * ARRAY_WORDS, words, nr);
}

/* Array block @index, which is in @block already unless the read of its batch failed. */
static int take_one(const struct reading *reading, uint32_t index, union metadata_block *block,
                    bool is_read)
{
	const struct bitset *bitset = reading->bitset;
	uint64_t place = bitset->arrays[index];
	int r;

	if (is_read)
		r = block_verify(BLOCK_ARRAY, place, block, reading->sink);
	else
		r = block_read(reading->io, BLOCK_ARRAY, place, block, reading->sink);
	if (r == 0)
		r = array_check(place, block, array_nr_words(bitset->nr_words, index),
		                reading->sink);
	if (r == 0)
		hand_out(reading, index, block);
	else if (reading->usage)
		r = usage_skip(reading->usage, reading->sink, r);
	return r;
}

static int take_batch(const struct reading *reading, uint32_t index, uint32_t nr,
                      union metadata_block *batch)
{
	uint64_t offset = reading->bitset->arrays[index] * METADATA_BLOCK_SIZE;
	bool is_read = block_io_pread(reading->io, batch, nr * sizeof(*batch), offset) == 0;

	for (uint32_t i = 0; i < nr; i++) {
		int r = take_one(reading, index + i, &batch[i], is_read);

		if (r < 0)
			return r;
	}
	return 0;
}

int bitset_read_words(const struct bitset *bitset, struct block_io *io, struct usage *usage,
                      struct damage_sink *sink, bitset_words_fn *take, void *user)
{
	const struct reading reading = {bitset, io, usage, sink, take, user};
	union metadata_block *batch =
	        malloc(min_u64(READ_BATCH, bitset->nr_arrays) * sizeof(*batch));
	uint32_t nr;
	int r = 0;

	if (!batch)
		return -ENOMEM;
	for (uint32_t index = 0; index < bitset->nr_arrays && r == 0; index += nr) {
		nr = 1;
		if (bitset->arrays[index] == SUPERBLOCK_BLOCK)
			continue;
		nr = neighbours(bitset, index);
		r = take_batch(&reading, index, nr, batch);
	}
	free(batch);
	return r;
}
