/*
 * What each metadata block was found to be used for, while a device is read. A well-formed device
 * refers to each of its blocks once; a block met twice would be changed behind somebody's back.
 */
#ifndef CLONEFS_METADATA_USAGE_H
#define CLONEFS_METADATA_USAGE_H

#include "core/metadata/damage.h"

enum usage_role {
	USAGE_NONE,
	USAGE_SUPERBLOCK,
	USAGE_INDEX,
	USAGE_BITMAP,
	USAGE_COUNT_NODE,
	USAGE_BITSET_NODE,
	USAGE_ARRAY
};

struct usage {
	uint8_t *roles; /* owned; one enum usage_role per metadata block */
	uint64_t nr_blocks;
	/* A thorough check had to leave something out: blocks without a role may be in use. */
	bool incomplete;
};

int usage_init(struct usage *usage, uint64_t nr_blocks);
void usage_fini(struct usage *usage);

/*
 * Notes that @blocknr, named by block @parent, is used as @role. 0, or a code (reported, returned
 * in a thorough check too): -EIO beyond the last block, -EINVAL met before.
 */
int usage_claim(struct usage *usage, uint64_t blocknr, enum usage_role role, uint64_t parent,
                struct damage_sink *sink);

/* damage_skip(), and remembers that something was left out. */
int usage_skip(struct usage *usage, const struct damage_sink *sink, int r);

const char *usage_role_name(enum usage_role role);

#endif
