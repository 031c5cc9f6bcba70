/*
 * Drives the metadata library from a shell:
 *
 *     metadata_driver FILE TARGET_SECTORS REGION_SECTORS WORD...
 *
 * WORD: format (must be the first; else the file is opened as it is), mark:A[-B], commit, reopen,
 * die:N (commits, and ends with exit status 9 instead of the N-th write, from 0),
 * dump (the hydrated set as JSON on stdout), check (damage on stderr, exit status 1),
 * status:THRESHOLD,BATCH[,WORD...] (the line of `clonectl dmsetup` for a clone with these settings;
 * WORD: no_hydration, no_discard_passdown, ro, fail).
 * Exit status: 0 done, 1 an operation failed, 2 usage, 9 died as told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/base/geometry.h"
#include "core/control/dmsetup_line.h"
#include "core/metadata/check.h"
#include "core/metadata/metadata.h"

struct driver {
	struct block_io *io;
	struct metadata_params params;
	struct metadata *md;
	struct cf_error err;
};

/* ---- dying ---- */

static struct block_io_ops dying_ops;
static const struct block_io_ops *living_ops;
static unsigned long writes_left;

static int die_or_write(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	if (!writes_left--)
		_exit(9);
	return living_ops->pwritev(io, iov, nr_iov, offset);
}

static void die_at_write(struct block_io *io, unsigned long nr)
{
	living_ops = io->ops;
	dying_ops = *living_ops;
	dying_ops.pwritev = die_or_write;
	io->ops = &dying_ops;
	writes_left = nr;
}

/* ---- words ---- */

static int dump(const struct driver *driver)
{
	uint64_t nr = metadata_nr_regions(driver->md), end, first;
	const char *separator = "";

	printf("{\"nr_regions\": %" PRIu64 ", \"hydrated\": %" PRIu64 ", \"hydrated_ranges\": [",
	       nr, metadata_nr_hydrated(driver->md));
	for (first = metadata_find_next_hydrated(driver->md, 0); first < nr;
	     first = metadata_find_next_hydrated(driver->md, end)) {
		end = metadata_find_next_unhydrated(driver->md, first);
		printf("%s[%" PRIu64 ", %" PRIu64 "]", separator, first, end - 1);
		separator = ", ";
	}
	printf("]}\n");
	return 0;
}

static int check(struct driver *driver)
{
	struct metadata_findings findings;
	int r = metadata_check(driver->io, &findings, &driver->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < findings.nr; i++)
		fprintf(stderr, "block %" PRIu64 ": %s: expected %s, found %s\n",
		        findings.list[i].block, findings.list[i].what, findings.list[i].expected,
		        findings.list[i].found);
	if (findings.nr)
		r = cf_error_set(&driver->err, -EUCLEAN, "%zu findings", findings.nr);
	metadata_findings_fini(&findings);
	return r;
}

static int mark(struct driver *driver, const char *range)
{
	char *rest;
	uint64_t first = strtoull(range, &rest, 10);
	uint64_t last = *rest == '-' ? strtoull(rest + 1, &rest, 10) : first;
	int r = last < first || *rest ? -EINVAL
	                              : metadata_set_range(driver->md, first, last - first + 1);

	return r < 0 ? cf_error_errno(&driver->err, r, "%s cannot be marked", range) : 0;
}

static int commit(struct driver *driver)
{
	int r = metadata_pre_commit(driver->md, NULL, NULL);

	return r < 0 ? cf_error_errno(&driver->err, r, "pre_commit")
	             : metadata_commit(driver->md, &driver->err);
}

static int reopen(struct driver *driver)
{
	metadata_close(driver->md);
	driver->md = NULL;
	return metadata_open(driver->io, &driver->params, &driver->md, &driver->err);
}

static int print_status(const struct driver *driver, const char *words)
{
	struct control_status status = {
	        .mode = strstr(words, ",fail") ? "fail"
	                : strstr(words, ",ro") ? "ro"
	                                       : "rw",
	        .size = driver->params.target_sectors << CF_SECTOR_SHIFT,
	        .region_size = driver->params.region_sectors << CF_SECTOR_SHIFT,
	        .regions_total = metadata_nr_regions(driver->md),
	        .regions_hydrated = metadata_nr_hydrated(driver->md),
	        .no_hydration = strstr(words, ",no_hydration") != NULL,
	        .no_discard_passdown = strstr(words, ",no_discard_passdown") != NULL,
	};
	char line[DMSETUP_LINE_MAX];

	if (sscanf(words, "%" SCNu64 ",%" SCNu64, &status.settings.hydration_threshold,
	           &status.settings.hydration_batch_size) != 2)
		return -EINVAL;
	metadata_usage(driver->md, &status.metadata_blocks_used, &status.metadata_blocks_total);
	puts(dmsetup_line(&status, line));
	return 0;
}

static int do_word(struct driver *driver, const char *word)
{
	if (strncmp(word, "mark:", 5) == 0)
		return mark(driver, word + 5);
	if (strcmp(word, "commit") == 0)
		return commit(driver);
	if (strncmp(word, "die:", 4) == 0) {
		die_at_write(driver->io, strtoul(word + 4, NULL, 10));
		return commit(driver);
	}
	if (strcmp(word, "dump") == 0)
		return dump(driver);
	if (strcmp(word, "check") == 0)
		return check(driver);
	if (strncmp(word, "status:", 7) == 0)
		return print_status(driver, word + 7);
	if (strcmp(word, "reopen") == 0 || strcmp(word, "format") == 0)
		return reopen(driver);
	return cf_error_set(&driver->err, -EINVAL, "unknown word %s", word);
}

int main(int argc, char **argv)
{
	struct driver driver = {0};
	int r;

	if (argc < 5) {
		fprintf(stderr, "usage: %s FILE TARGET_SECTORS REGION_SECTORS WORD...\n", argv[0]);
		return 2;
	}
	driver.params = (struct metadata_params){
	        .target_sectors = strtoull(argv[2], NULL, 10),
	        .region_sectors = strtoull(argv[3], NULL, 10),
	        .mode = strcmp(argv[4], "format") == 0 ? METADATA_FORMAT_IF_ZERO
	                                               : METADATA_EXISTING,
	};
	r = block_io_open(argv[1], 0, &driver.io, &driver.err);
	if (r == 0)
		r = reopen(&driver);
	for (int i = 4; i < argc && r == 0; i++)
		r = do_word(&driver, argv[i]);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], driver.err.text);
	metadata_close(driver.md);
	block_io_close(driver.io);
	return r < 0;
}
