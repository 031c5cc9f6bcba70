#include "metadata_fixture.h"

#include <endian.h>

static int open_with(struct block_io *io, uint64_t nr_regions, enum metadata_mode mode,
                     struct metadata **ret, struct cf_error *err)
{
	const struct metadata_params params = {
	        .target_sectors = nr_regions * REGION_SECTORS,
	        .region_sectors = REGION_SECTORS,
	        .mode = mode,
	};

	return metadata_open(io, &params, ret, err);
}

static struct metadata *open_or_fail(struct block_io *io, uint64_t nr_regions,
                                     enum metadata_mode mode)
{
	struct metadata *md = NULL;
	struct cf_error err = {0};

	if (open_with(io, nr_regions, mode, &md, &err) < 0)
		fail_msg("open: %s", err.text);
	return md;
}

struct metadata *fixture_open(struct block_io *io, uint64_t nr_regions)
{
	return open_or_fail(io, nr_regions, METADATA_EXISTING);
}

struct metadata *fixture_format(struct block_io *io, uint64_t nr_regions)
{
	return open_or_fail(io, nr_regions, METADATA_FORMAT_IF_ZERO);
}

int fixture_try_open(struct block_io *io, uint64_t nr_regions, struct cf_error *err)
{
	struct metadata *md = NULL;
	int r = open_with(io, nr_regions, METADATA_EXISTING, &md, err);

	metadata_close(md);
	return r;
}

int fixture_pre_commit_and_commit(struct metadata *md)
{
	int r = metadata_pre_commit(md, NULL, NULL);

	return r < 0 ? r : metadata_commit(md, NULL);
}

void fixture_commit(struct metadata *md, const uint64_t *regions, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(metadata_set_region(md, regions[i]), 0);
	assert_int_equal(fixture_pre_commit_and_commit(md), 0);
}

static uint64_t findings(struct block_io *io, int print)
{
	struct metadata_findings list;
	uint64_t nr;

	assert_int_equal(metadata_check(io, &list, NULL), 0);
	nr = list.nr_total;
	for (size_t i = 0; i < list.nr && print; i++)
		print_error("block %" PRIu64 ": %s: expected %s, found %s\n", list.list[i].block,
		            list.list[i].what, list.list[i].expected, list.list[i].found);
	metadata_findings_fini(&list);
	return nr;
}

void fixture_assert_clean(struct block_io *io)
{
	assert_int_equal(findings(io, 1), 0);
}

uint64_t fixture_nr_findings(struct block_io *io)
{
	return findings(io, 0);
}

union metadata_block *fixture_block(struct block_io *io, uint64_t number)
{
	return (union metadata_block *)(memory_io_data(io) + number * METADATA_BLOCK_SIZE);
}

void fixture_seal(struct block_io *io, enum block_type type, uint64_t number)
{
	block_seal(type, number, fixture_block(io, number));
}

struct superblock_disk *fixture_superblock(struct block_io *io)
{
	return &fixture_block(io, 0)->superblock;
}
