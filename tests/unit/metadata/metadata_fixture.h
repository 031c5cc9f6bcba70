/* What the metadata tests share: small devices in memory, and questions to them. */
#ifndef CLONEFS_TESTS_METADATA_FIXTURE_H
#define CLONEFS_TESTS_METADATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <inttypes.h>
#include <cmocka.h>

#include "core/metadata/block.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"
#include "tests/support/memory_io.h"

#define REGION_SECTORS 8u

/* Exhaustive loops of one thread take a sample under the thread sanitizer, which is slow. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIXTURE_SAMPLE 16u
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIXTURE_SAMPLE 16u
#endif
#ifndef FIXTURE_SAMPLE
#define FIXTURE_SAMPLE 1u
#endif

/* Opens; the test fails with the sentence if that fails. */
struct metadata *fixture_open(struct block_io *io, uint64_t nr_regions);
/* Formats a zeroed device. */
struct metadata *fixture_format(struct block_io *io, uint64_t nr_regions);
/* The errno of an open that is to fail (0: it does not); its sentence if @text is not NULL. */
int fixture_try_open(struct block_io *io, uint64_t nr_regions, struct cf_error *err);
int fixture_pre_commit_and_commit(struct metadata *md);
/* Marks regions, all below nr_regions, and commits. */
void fixture_commit(struct metadata *md, const uint64_t *regions, size_t nr);
/* The device has no findings; the test fails and prints them if it has. */
void fixture_assert_clean(struct block_io *io);
uint64_t fixture_nr_findings(struct block_io *io);
/* The block at @number, in the memory of @io. */
union metadata_block *fixture_block(struct block_io *io, uint64_t number);
/* Gives a changed block a right checksum again. */
void fixture_seal(struct block_io *io, enum block_type type, uint64_t number);
/* What block 0 says. */
struct superblock_disk *fixture_superblock(struct block_io *io);

#endif
