/*
 * What metadata costs for large images: time and resident memory of an open, time and bytes of
 * commits, time of a check.
 *
 *     metadata_scale [--json FILE] FOLDER [TARGET_GIB REGION_KIB]
 *
 * Without sizes: 1 TiB and 16 TiB in regions of 64 KiB, 1 TiB in regions of 4 KiB. Makes a sparse
 * metadata file in FOLDER, which goes when it is done. Prints Markdown tables; ends with 1 when a
 * commit wrote more than its array blocks justify.
 *
 * Figures are medians of ROUNDS. Opens and checks run in a process of their own each, so that
 * nothing but the open is resident, and read what was just written: from the page cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/block_io.h"
#include "core/metadata/check.h"
#include "core/metadata/format.h"
#include "core/metadata/metadata.h"

#define ROUNDS 5u

struct opened {
	double open_ms, check_ms;
	double resident_mib;
};

struct committed {
	uint64_t nr_new;
	bool scattered;
	double ms;
	uint64_t nr_arrays; /* array blocks touched */
	uint64_t bytes;
};

enum { FRESH, PART, ALL, NR_STATES };
static const char *const state_names[] = {"nothing hydrated", "after the commits", "all hydrated"};
static const uint64_t sizes[] = {1, 1000, 100000};
#define NR_COMMITS (2 * sizeof(sizes) / sizeof(sizes[0]))

struct image {
	uint64_t gib, region_kib;
	uint64_t nr_regions, nr_blocks;
	struct opened opened[NR_STATES];
	struct committed committed[NR_COMMITS];
};

/* Counts what goes through it to a file. */
struct counting_io {
	struct block_io io;
	struct block_io *below;
	uint64_t bytes_written;
};

static int counting_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	return block_io_pread(((struct counting_io *)io)->below, buf, length, offset);
}

static int counting_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov,
                            uint64_t offset)
{
	struct counting_io *counting = (struct counting_io *)io;

	for (int i = 0; i < nr_iov; i++)
		counting->bytes_written += iov[i].iov_len;
	return block_io_pwritev(counting->below, iov, nr_iov, offset);
}

static int counting_sync(struct block_io *io)
{
	return block_io_sync(((struct counting_io *)io)->below);
}

static const struct block_io_ops counting_ops = {
        .pread = counting_pread, .pwritev = counting_pwritev, .sync = counting_sync};

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double resident_mib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	double kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtod(line + 6, NULL);
	if (file)
		(void)fclose(file);
	return kib / 1024;
}

static void fail(const char *what, int r, const struct cf_error *err)
{
	fprintf(stderr, "metadata_scale: %s: %s\n", what,
	        err && err->text[0] ? err->text : strerror(-r));
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double values[static ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static struct metadata *open_image(const struct image *image, struct block_io *io,
                                   enum metadata_mode mode)
{
	const struct metadata_params params = {
	        .target_sectors = image->gib << 21,
	        .region_sectors = image->region_kib * 2,
	        .mode = mode,
	};
	struct cf_error err = {0};
	struct metadata *md = NULL;
	int r = metadata_open(io, &params, &md, &err);

	if (r < 0)
		fail("open", r, &err);
	return md;
}

static struct opened open_and_check(const struct image *image, struct block_io *io)
{
	struct metadata_findings findings;
	struct cf_error err = {0};
	struct opened opened;
	double start = now_ms();
	struct metadata *md = open_image(image, io, METADATA_EXISTING);
	int r;

	opened.open_ms = now_ms() - start;
	opened.resident_mib = resident_mib();
	metadata_close(md);
	start = now_ms();
	r = metadata_check(io, &findings, &err);
	opened.check_ms = now_ms() - start;
	if (r < 0 || findings.nr_total)
		fail("check", r, &err);
	return opened;
}

static struct opened in_a_process(const struct image *image, struct block_io *io)
{
	struct opened opened;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		fail("pipe", -errno, NULL);
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		fail("fork", -errno, NULL);
	if (pid == 0) {
		opened = open_and_check(image, io);
		_exit(write(ends[1], &opened, sizeof(opened)) != sizeof(opened));
	}
	if (waitpid(pid, &status, 0) != pid || status != 0 ||
	    read(ends[0], &opened, sizeof(opened)) != sizeof(opened))
		exit(1);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return opened;
}

static struct opened measure_open(const struct image *image, struct block_io *io)
{
	double open_ms[ROUNDS], check_ms[ROUNDS], mib[ROUNDS];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct opened opened = in_a_process(image, io);

		open_ms[round] = opened.open_ms;
		check_ms[round] = opened.check_ms;
		mib[round] = opened.resident_mib;
	}
	return (struct opened){.open_ms = median(open_ms),
	                       .check_ms = median(check_ms),
	                       .resident_mib = median(mib)};
}

/*
 * Marks @nr regions that were not hydrated: one after the other from the first such region on, or
 * spread over the image behind its first sixteenth. Returns the number of their array blocks.
 */
static uint64_t mark(struct metadata *md, uint64_t nr, bool scattered)
{
	uint64_t nr_regions = metadata_nr_regions(md);
	uint64_t region = scattered ? nr_regions / 16 : 0;
	uint64_t stride = scattered ? (nr_regions - region) / nr : 1;
	uint64_t nr_arrays = 0, last = UINT64_MAX;

	for (uint64_t i = 0; i < nr; i++, region += stride) {
		uint64_t found = metadata_find_next_unhydrated(md, region);

		if (stride == 1)
			region = found;
		if (metadata_set_region(md, found) < 0)
			exit(1);
		nr_arrays += found / REGIONS_PER_ARRAY != last;
		last = found / REGIONS_PER_ARRAY;
	}
	return nr_arrays;
}

static void commit(struct metadata *md)
{
	struct cf_error err = {0};
	int r = metadata_pre_commit(md, NULL, NULL);

	if (r == 0)
		r = metadata_commit(md, &err);
	if (r < 0)
		fail("commit", r, &err);
}

/* Few array blocks bring nodes, bitmaps, index and superblock with them; many not even a fourth. */
static void check_proportion(const struct committed *committed)
{
	uint64_t nr_blocks = committed->bytes / METADATA_BLOCK_SIZE;

	if (nr_blocks <= committed->nr_arrays + committed->nr_arrays / 4 + 8)
		return;
	fprintf(stderr,
	        "metadata_scale: a commit of %" PRIu64 " new regions in %" PRIu64
	        " array blocks wrote %" PRIu64 " blocks\n",
	        committed->nr_new, committed->nr_arrays, nr_blocks);
	exit(1);
}

static struct committed measure_commit(struct metadata *md, struct counting_io *counting,
                                       uint64_t nr, bool scattered)
{
	struct committed committed = {.nr_new = nr, .scattered = scattered};
	double ms[ROUNDS];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t before = counting->bytes_written;
		double start;

		committed.nr_arrays = mark(md, nr, scattered);
		start = now_ms();
		commit(md);
		ms[round] = now_ms() - start;
		committed.bytes = counting->bytes_written - before;
		check_proportion(&committed);
	}
	committed.ms = median(ms);
	return committed;
}

static void measure_image(struct image *image, struct block_io *file)
{
	struct counting_io counting = {.io = {.ops = &counting_ops, .size = file->size},
	                               .below = file};
	struct metadata *md = open_image(image, &counting.io, METADATA_FORMAT_IF_ZERO);

	metadata_close(md);
	image->opened[FRESH] = measure_open(image, file);
	md = open_image(image, &counting.io, METADATA_EXISTING);
	commit(md); /* settles the superblock, which is not the next one's doing */
	for (size_t i = 0; i < NR_COMMITS; i++)
		image->committed[i] = measure_commit(md, &counting, sizes[i / 2], i % 2);
	metadata_close(md);
	image->opened[PART] = measure_open(image, file);
	md = open_image(image, &counting.io, METADATA_EXISTING);
	if (metadata_set_range(md, 0, image->nr_regions) < 0)
		exit(1);
	commit(md);
	metadata_close(md);
	image->opened[ALL] = measure_open(image, file);
}

static void make_and_measure(struct image *image, const char *folder)
{
	struct cf_error err = {0};
	struct block_io *io;
	char path[4096];
	int fd, r;

	image->nr_regions = ((image->gib << 20) - 1) / image->region_kib + 1;
	image->nr_blocks = metadata_blocks_to_be_safe(image->nr_regions);
	(void)snprintf(path, sizeof(path), "%s/metadata_scale.XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(image->nr_blocks * METADATA_BLOCK_SIZE)) < 0)
		fail(path, -errno, NULL);
	(void)close(fd);
	r = block_io_open(path, 0, &io, &err);
	(void)unlink(path);
	if (r < 0)
		fail(path, r, &err);
	measure_image(image, io);
	block_io_close(io);
}

static void print_tables(const struct image *images, size_t nr)
{
	printf("| image | regions | array blocks | | open | resident | check |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (const struct image *image = images; image < images + nr; image++)
		for (size_t i = 0; i < NR_STATES; i++)
			printf("| %" PRIu64 " GiB in %" PRIu64 " KiB | %" PRIu64 " | %" PRIu64
			       " | %s | %.0f ms | %.0f MiB | %.0f ms |\n",
			       image->gib, image->region_kib, image->nr_regions,
			       (image->nr_regions - 1) / REGIONS_PER_ARRAY + 1, state_names[i],
			       image->opened[i].open_ms, image->opened[i].resident_mib,
			       image->opened[i].check_ms);
	printf("\n| image | new regions | where | array blocks | commit | written | "
	       "in array blocks |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (const struct image *image = images; image < images + nr; image++)
		for (const struct committed *c = image->committed;
		     c < image->committed + NR_COMMITS; c++)
			printf("| %" PRIu64 " GiB in %" PRIu64 " KiB | %" PRIu64 " | %s | %" PRIu64
			       " | %.1f ms | %" PRIu64 " KiB | %.2f |\n",
			       image->gib, image->region_kib, c->nr_new,
			       c->scattered ? "scattered" : "together", c->nr_arrays, c->ms,
			       c->bytes / 1024,
			       (double)c->bytes / METADATA_BLOCK_SIZE / (double)c->nr_arrays);
}

static void write_image(FILE *json, const struct image *image)
{
	fprintf(json,
	        "{\"gib\": %" PRIu64 ", \"region_kib\": %" PRIu64 ", \"regions\": %" PRIu64
	        ", \"metadata_blocks\": %" PRIu64 ",\n \"opens\": [",
	        image->gib, image->region_kib, image->nr_regions, image->nr_blocks);
	for (size_t i = 0; i < NR_STATES; i++)
		fprintf(json,
		        "%s\n  {\"state\": \"%s\", \"open_ms\": %.3f, \"resident_mib\": %.2f, "
		        "\"check_ms\": %.3f}",
		        i ? "," : "", state_names[i], image->opened[i].open_ms,
		        image->opened[i].resident_mib, image->opened[i].check_ms);
	fprintf(json, "],\n \"commits\": [");
	for (const struct committed *c = image->committed; c < image->committed + NR_COMMITS; c++)
		fprintf(json,
		        "%s\n  {\"new_regions\": %" PRIu64 ", \"scattered\": %s, \"array_blocks\": "
		        "%" PRIu64 ", \"ms\": %.3f, \"bytes\": %" PRIu64 "}",
		        c > image->committed ? "," : "", c->nr_new, c->scattered ? "true" : "false",
		        c->nr_arrays, c->ms, c->bytes);
	fprintf(json, "]}");
}

static void write_json(const char *path, const struct image *images, size_t nr)
{
	FILE *json = fopen(path, "we");

	if (!json)
		fail(path, -errno, NULL);
	fprintf(json, "[");
	for (size_t i = 0; i < nr; i++) {
		fprintf(json, "%s", i ? ",\n" : "");
		write_image(json, &images[i]);
	}
	fprintf(json, "]\n");
	if (fclose(json) != 0)
		fail(path, -errno, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", required_argument, NULL, 'j'}, {0}};
	struct image images[] = {{.gib = 1024, .region_kib = 64},
	                         {.gib = 16384, .region_kib = 64},
	                         {.gib = 1024, .region_kib = 4}};
	size_t nr = sizeof(images) / sizeof(images[0]);
	const char *json = NULL;
	bool wrong = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		wrong |= option != 'j';
		json = optarg;
	}
	if (argc - optind == 3) {
		nr = 1;
		images[0].gib = strtoull(argv[optind + 1], NULL, 10);
		images[0].region_kib = strtoull(argv[optind + 2], NULL, 10);
	}
	/* The largest commit must find regions enough. */
	if (wrong || (argc - optind != 1 && argc - optind != 3) || images[0].region_kib < 4 ||
	    (images[0].gib << 20) / images[0].region_kib < 32 * ROUNDS * sizes[2]) {
		fprintf(stderr,
		        "usage: metadata_scale [--json FILE] FOLDER [TARGET_GIB REGION_KIB]\n"
		        "       (an image of %" PRIu64 " regions or more)\n",
		        32 * ROUNDS * sizes[2]);
		return 2;
	}
	for (size_t i = 0; i < nr; i++)
		make_and_measure(&images[i], argv[optind]);
	print_tables(images, nr);
	if (json)
		write_json(json, images, nr);
	return 0;
}
