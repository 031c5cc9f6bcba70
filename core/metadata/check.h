/*
 * The offline checker: reads everything that a metadata device's superblock leads to and collects
 * what is wrong, where an open would stop at the first damage or not look at all. It wants what the
 * format promises and not only what a kernel needs to open the file: unused bytes that are zero,
 * counts that equal the references, free counts and hints that are right.
 */
#ifndef CLONEFS_METADATA_CHECK_H
#define CLONEFS_METADATA_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "core/base/error.h"

/* More findings than this are counted, not kept. */
#define METADATA_FINDINGS_MAX 1000u

struct metadata_finding {
	uint64_t block; /* where it is, or what it is about */
	char what[80];
	char expected[64];
	char found[96];
};

struct metadata_findings {
	struct metadata_finding *list; /* owned; the first METADATA_FINDINGS_MAX */
	size_t nr;                     /* kept in the list */
	uint64_t nr_total;
};

/*
 * Checks the device on @io, which nobody may change meanwhile; writes nothing. 0: checked, *@ret
 * has the findings, none if the device is clean. An unformatted device is a finding, and so are
 * blocks that cannot be read. -ENOMEM. Free with metadata_findings_fini().
 */
int metadata_check(struct block_io *io, struct metadata_findings *ret, struct cf_error *err);

void metadata_findings_fini(struct metadata_findings *findings);

#endif
