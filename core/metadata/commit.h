/*
 * Makes the frozen regions part of the committed state, in as few transactions as the free blocks
 * allow: each is complete in itself.
 */
#ifndef CLONEFS_METADATA_COMMIT_H
#define CLONEFS_METADATA_COMMIT_H

#include "core/metadata/transaction.h"

/*
 * Writes the frozen set of @map and empties it array block by array block, as their transactions
 * are through; *@nr_committed grows by the regions that were not hydrated on disk before. An empty
 * set writes nothing. Errors: -ENOSPC a single array block does not fit; -EIO and others of the
 * device or of committed blocks found damaged. What is still frozen was not committed then.
 */
int commit_frozen(struct disk_state *state, struct region_map *map, uint64_t *nr_committed,
                  struct cf_error *err);

#endif
