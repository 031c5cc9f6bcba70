/*
 * What metadata costs for a large image: time and resident memory of an open, time and bytes of
 * commits.
 *
 *     metadata_scale FOLDER [TARGET_GIB [REGION_KIB]]     (default: 16384 GiB in regions of 64 KiB)
 *
 * Makes a metadata file in FOLDER, opens it fresh, half full and full, and removes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/metadata/metadata.h"

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Resident memory in KiB now, and bytes this process has written so far. */
static uint64_t proc_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	uint64_t value = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 10);
	if (file)
		(void)fclose(file);
	return value;
}

static void fail(const char *what, int r, const struct cf_error *err)
{
	fprintf(stderr, "metadata_scale: %s: %s\n", what, err ? err->text : strerror(-r));
	exit(1);
}

static struct metadata *timed_open(struct block_io *io, const struct metadata_params *params,
                                   const char *what)
{
	struct cf_error err = {0};
	struct metadata *md = NULL;
	double start = now_ms();
	int r = metadata_open(io, params, &md, &err);

	if (r < 0)
		fail(what, r, &err);
	printf("%-24s %8.1f ms  resident %7.1f MiB\n", what, now_ms() - start,
	       (double)proc_number("/proc/self/status", "VmRSS:") / 1024);
	return md;
}

static void timed_commit(struct metadata *md, const char *what)
{
	uint64_t written = proc_number("/proc/self/io", "wchar:");
	struct cf_error err = {0};
	double start = now_ms();
	int r = metadata_pre_commit(md, NULL, NULL);

	if (r == 0)
		r = metadata_commit(md, &err);
	if (r < 0)
		fail(what, r, &err);
	printf("%-24s %8.1f ms  resident %7.1f MiB  written %8" PRIu64 " KiB\n", what,
	       now_ms() - start, (double)proc_number("/proc/self/status", "VmRSS:") / 1024,
	       (proc_number("/proc/self/io", "wchar:") - written) / 1024);
}

static void run(struct block_io *io, struct metadata_params params)
{
	struct metadata *md = timed_open(io, &params, "format and open");
	uint64_t nr = metadata_nr_regions(md);

	params.mode = METADATA_EXISTING;
	(void)metadata_set_region(md, nr / 3);
	timed_commit(md, "commit one region");
	metadata_close(md);
	md = timed_open(io, &params, "open, one region");
	for (uint64_t region = 0; region < nr; region += 2000)
		(void)metadata_set_range(md, region, nr - region < 1000 ? nr - region : 1000);
	timed_commit(md, "commit half");
	metadata_close(md);
	md = timed_open(io, &params, "open, half");
	(void)metadata_set_range(md, 0, nr);
	timed_commit(md, "commit the other half");
	metadata_close(md);
	md = timed_open(io, &params, "open, all");
	metadata_close(md);
}

int main(int argc, char **argv)
{
	uint64_t gib = argc > 2 ? strtoull(argv[2], NULL, 10) : 16384;
	uint64_t kib = argc > 3 ? strtoull(argv[3], NULL, 10) : 64;
	struct metadata_params params = {
	        .target_sectors = gib << 21,
	        .region_sectors = kib * 2,
	        .mode = METADATA_FORMAT_IF_ZERO,
	};
	struct cf_error err = {0};
	struct block_io *io;
	uint64_t nr_regions, nr_blocks;
	char path[4096];
	int fd, r;

	if (argc < 2 || gib == 0 || kib < 4) {
		fprintf(stderr, "usage: metadata_scale FOLDER [TARGET_GIB [REGION_KIB]]\n");
		return 2;
	}
	nr_regions = (params.target_sectors - 1) / params.region_sectors + 1;
	nr_blocks = metadata_blocks_to_be_safe(nr_regions);
	(void)snprintf(path, sizeof(path), "%s/metadata_scale.XXXXXX", argv[1]);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(nr_blocks * 4096)) < 0)
		fail(path, -errno, NULL);
	(void)close(fd);
	r = block_io_open(path, 0, &io, &err);
	(void)unlink(path);
	if (r < 0)
		fail(path, r, &err);
	printf("%" PRIu64 " regions, %" PRIu64 " metadata blocks (%.1f MiB)\n", nr_regions,
	       nr_blocks, (double)nr_blocks / 256);
	run(io, params);
	block_io_close(io);
	return 0;
}
