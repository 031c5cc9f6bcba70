/*
 * Numbers in brackets are those of the invariants in section 13 of the format's description. Most
 * of them are tested by the readers of the parts, with a thorough sink; here is what takes all
 * parts together: (4) the ref count tree against the counts, (6) the total, (7) each count against
 * the references to its block.
 */
#include "core/metadata/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/metadata/bitset.h"
#include "core/metadata/space_map.h"
#include "core/metadata/superblock.h"

#define MANY 3u /* the 2-bit count that sends a reader to the ref count tree */

struct checker {
	struct damage_sink sink; /* first: a sink is one of these */
	struct metadata_findings *findings;
	int error; /* -ENOMEM while a finding was to be kept */

	struct block_io *io;
	struct superblock superblock;
	struct usage usage;
	struct space_map space;
	struct bitset bitset;
	bool bitmaps_complete;
	uint64_t nr_many; /* entries of the ref count tree that belong there */
};

void metadata_findings_fini(struct metadata_findings *findings)
{
	free(findings->list);
	*findings = (struct metadata_findings){0};
}

static void take_finding(struct damage_sink *sink, const struct damage *damage)
{
	struct checker *checker = (struct checker *)sink;
	struct metadata_findings *findings = checker->findings;
	struct metadata_finding *finding;

	findings->nr_total++;
	if (findings->nr == METADATA_FINDINGS_MAX)
		return;
	/* Room for 1, 2, 4, ... : grown whenever the number kept is a power of two. */
	if ((findings->nr & (findings->nr - 1)) == 0) {
		size_t room = findings->nr ? 2 * findings->nr : 1;
		struct metadata_finding *list = reallocarray(findings->list, room, sizeof(*list));

		if (!list) {
			checker->error = -ENOMEM;
			return;
		}
		findings->list = list;
	}
	finding = &findings->list[findings->nr++];
	finding->block = damage->block;
	(void)snprintf(finding->what, sizeof(finding->what), "%s", damage->what);
	(void)snprintf(finding->expected, sizeof(finding->expected), "%s", damage->expected);
	(void)snprintf(finding->found, sizeof(finding->found), "%s", damage->found);
}

static void ignore_words(void *user, uint64_t first, const uint64_t *words, uint32_t nr)
{
	(void)user;
	(void)first;
	(void)words;
	(void)nr;
}

/* (4): an entry only for blocks whose 2-bit count says so, and with a count that needs one. */
static int check_count_entry(void *user, uint64_t key, uint64_t value)
{
	struct checker *checker = user;
	uint64_t root = checker->superblock.count_root;
	unsigned int count = space_map_count(&checker->space, key);

	if (!checker->bitmaps_complete)
		return 0;
	if (count != MANY)
		return damage_number(&checker->sink, -EINVAL, root,
		                     "count of a block in the ref count tree", MANY, count);
	checker->nr_many++;
	if (value < MANY)
		return damage_range(&checker->sink, -EINVAL, root, "value in the ref count tree",
		                    MANY, UINT32_MAX, value);
	return 0;
}

static int check_count_tree(struct checker *checker)
{
	const struct btree_kind kind = {
	        .role = USAGE_COUNT_NODE,
	        .value_size = COUNT_VALUE_SIZE,
	        .end_key = checker->space.nr_blocks,
	};
	uint64_t nr_many = 0;
	struct btree tree;
	int r = btree_load(&tree, checker->io, checker->superblock.count_root, &kind,
	                   &checker->usage, &checker->sink, check_count_entry, checker);

	btree_fini(&tree);
	if (r < 0 || !checker->bitmaps_complete)
		return r;
	for (uint64_t block = 0; block < checker->space.nr_blocks; block++)
		nr_many += space_map_count(&checker->space, block) == MANY;
	return nr_many == checker->nr_many
	               ? 0
	               : damage_number(&checker->sink, -EINVAL, checker->superblock.count_root,
	                               "entries of the ref count tree", nr_many, checker->nr_many);
}

/* (7). Without all references known, only a count that is too low is certain. */
static void check_counts(struct checker *checker)
{
	for (uint64_t block = 0; block < checker->space.nr_blocks; block++) {
		unsigned int references = checker->usage.roles[block] != USAGE_NONE;
		unsigned int count = space_map_count(&checker->space, block);

		if (count < references || (count > references && !checker->usage.incomplete))
			damage_number(&checker->sink, -EINVAL, block, "count of references",
			              references, count);
	}
}

static int check_space(struct checker *checker)
{
	bool incomplete = checker->usage.incomplete;
	int r;

	checker->usage.incomplete = false;
	r = space_map_load_bitmaps(&checker->space, checker->io, &checker->usage, &checker->sink);
	checker->bitmaps_complete = !checker->usage.incomplete;
	checker->usage.incomplete |= incomplete;
	if (r == 0)
		r = check_count_tree(checker);
	if (r < 0 || !checker->bitmaps_complete)
		return r;
	if (checker->space.nr_allocated != checker->superblock.nr_allocated)
		damage_number(&checker->sink, -EINVAL, SUPERBLOCK_BLOCK, "metadata blocks in use",
		              checker->space.nr_allocated, checker->superblock.nr_allocated);
	check_counts(checker);
	return 0;
}

static int check_parts(struct checker *checker)
{
	bool have_index;
	int r;

	r = usage_claim(&checker->usage, SUPERBLOCK_BLOCK, USAGE_SUPERBLOCK, SUPERBLOCK_BLOCK,
	                &checker->sink);
	if (r == 0)
		r = space_map_load_index(&checker->space, checker->io,
		                         checker->superblock.index_block, &checker->usage,
		                         &checker->sink);
	have_index = r == 0;
	if (r < 0)
		r = usage_skip(&checker->usage, &checker->sink, r);
	if (r == 0)
		r = bitset_load(&checker->bitset, checker->io, checker->superblock.bitset_root,
		                &checker->usage, &checker->sink);
	if (r == 0)
		r = bitset_read_words(&checker->bitset, checker->io, &checker->usage,
		                      &checker->sink, ignore_words, NULL);
	if (r == 0 && have_index)
		r = check_space(checker);
	return r;
}

static int check_formatted(struct checker *checker)
{
	int r;

	r = usage_init(&checker->usage, checker->superblock.nr_blocks);
	if (r == 0)
		r = space_map_init(&checker->space, checker->superblock.nr_blocks);
	if (r == 0)
		r = bitset_init(&checker->bitset, superblock_nr_regions(&checker->superblock));
	if (r == 0)
		r = check_parts(checker);
	bitset_fini(&checker->bitset);
	space_map_fini(&checker->space);
	usage_fini(&checker->usage);
	return r;
}

int metadata_check(struct block_io *io, struct metadata_findings *ret, struct cf_error *err)
{
	struct checker checker = {
	        .sink = {.take = take_finding, .thorough = true},
	        .findings = ret,
	        .io = io,
	};
	bool zero;
	int r;

	*ret = (struct metadata_findings){0};
	r = superblock_read(io, &checker.superblock, &zero, &checker.sink);
	if (r < 0)
		r = damage_skip(&checker.sink, r);
	else if (zero)
		r = damage_text(&checker.sink, -EPERM, SUPERBLOCK_BLOCK, "superblock",
		                "a formatted device", "zeros");
	else
		r = check_formatted(&checker);
	if (r == 0)
		r = checker.error;
	if (r < 0) {
		metadata_findings_fini(ret);
		return cf_error_errno(err, r, "the metadata cannot be checked");
	}
	return 0;
}
