/* Looking at metadata that somebody else made, before it becomes a clone's. Writes nothing. */
#ifndef CLONEFS_STATE_ADOPT_H
#define CLONEFS_STATE_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"

struct adoptable {
	bool formatted;       /* false: block 0 is zero, and the other fields are 0 */
	uint64_t region_size; /* bytes */
	uint64_t target_sectors;
	uint64_t nr_hydrated; /* regions */
};

/* Reads all of it. An error of metadata_open() when it is neither zeroed nor valid. */
int adopt_look(struct block_io *io, struct adoptable *ret, struct cf_error *err);

/*
 * The offline check, which finds what an open does not need to see and the first commit would
 * destroy. -EUCLEAN with the first finding.
 */
int adopt_check(struct block_io *io, const char *path, struct cf_error *err);

#endif
