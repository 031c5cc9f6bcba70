#include "core/metadata/usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int usage_init(struct usage *usage, uint64_t nr_blocks)
{
	*usage = (struct usage){.nr_blocks = nr_blocks};
	usage->roles = calloc(nr_blocks, sizeof(*usage->roles));
	return usage->roles ? 0 : -ENOMEM;
}

void usage_fini(struct usage *usage)
{
	free(usage->roles);
	usage->roles = NULL;
}

const char *usage_role_name(enum usage_role role)
{
	static const char *const names[] = {
	        [USAGE_NONE] = "nothing",
	        [USAGE_SUPERBLOCK] = "the superblock",
	        [USAGE_INDEX] = "the space map index",
	        [USAGE_BITMAP] = "a space map bitmap",
	        [USAGE_COUNT_NODE] = "a ref count node",
	        [USAGE_BITSET_NODE] = "a bitset node",
	        [USAGE_ARRAY] = "an array block",
	};

	return names[role];
}

int usage_claim(struct usage *usage, uint64_t blocknr, enum usage_role role, uint64_t parent,
                struct damage_sink *sink)
{
	char text[96];

	if (blocknr >= usage->nr_blocks) {
		(void)snprintf(text, sizeof(text), "block number of %s", usage_role_name(role));
		damage_range(sink, -EIO, parent, text, 0, usage->nr_blocks - 1, blocknr);
		return -EIO;
	}
	if (usage->roles[blocknr] != USAGE_NONE) {
		(void)snprintf(text, sizeof(text), "a second use, as %s named by block %" PRIu64,
		               usage_role_name(role), parent);
		damage_text(sink, -EINVAL, blocknr, "number of uses",
		            usage_role_name(usage->roles[blocknr]), text);
		return -EINVAL;
	}
	usage->roles[blocknr] = (uint8_t)role;
	return 0;
}

int usage_skip(struct usage *usage, const struct damage_sink *sink, int r)
{
	usage->incomplete = true;
	return damage_skip(sink, r);
}
