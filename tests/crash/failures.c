/*
 * Failures by countdown: the same workload runs again and again, and the first, second, third...
 * operation of some kind on a disk fails, or the first, second... allocation, until a run passes
 * untouched. In each run the table of modes and the rule of the lost set must hold
 * (docs/architecture.md, "When something breaks"):
 *
 *  (1) A read that succeeds sees the last acknowledged data, in every mode.
 *  (2) A call fails only if the failure, or the mode that it led to, explains it.
 *  (3) After a failed commit the mode is ro (or fail): changes and fsyncs get EIO. So do reads of
 *      regions that were changed after the destination's last good sync, if its sync failed; reads
 *      of regions without changes that may be lost go on.
 *  (4) The mode, and a lost set, are told once, and the page cache is invalidated.
 *  (5) Then the power is cut, also between the operations of that run, and every promise is kept;
 *      and the clone works again when nothing fails any more.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/engine/image.h"
#include "tests/crash/allocation.h"
#include "tests/crash/cut.h"
#include "tests/crash/schedule.h"
#include "tests/crash/users.h"
#include "tests/crash/world.h"

#define CHANGES   (DISK_WRITE | DISK_PUNCH)
#define CUT_EVERY 16 /* intervals, for one that is looked at */
#define NS_PER_S  UINT64_C(1000000000)

struct scenario {
	const char *name;
	unsigned int destination, metadata; /* enum disk_operation */
	int code;
	bool forever;
	bool allocation;
};

static const struct scenario scenarios[] = {
        /* A write that fails is a short one: half of its sectors are new (disk.h). */
        {"a write of the destination, EIO", CHANGES, 0, -EIO, false, false},
        {"a write of the destination, ENOSPC", CHANGES, 0, -ENOSPC, false, false},
        {"all writes of the destination, ENOSPC", CHANGES, 0, -ENOSPC, true, false},
        {"a sync of the destination", DISK_SYNC, 0, -EIO, false, false},
        {"all syncs of the destination, ENOSPC", DISK_SYNC, 0, -ENOSPC, true, false},
        {"a read of the destination", DISK_READ, 0, -EIO, false, false},
        {"a write of the metadata", 0, DISK_WRITE, -EIO, false, false},
        {"all writes of the metadata, ENOSPC", 0, DISK_WRITE, -ENOSPC, true, false},
        {"a sync of the metadata", 0, DISK_SYNC, -EIO, false, false},
        {"a read of the metadata", 0, DISK_READ, -EIO, false, false},
        {"everything of the metadata", 0, DISK_READ | DISK_WRITE | DISK_SYNC, -EIO, true, false},
        {"everything everywhere", CHANGES | DISK_READ | DISK_SYNC,
         DISK_READ | DISK_WRITE | DISK_SYNC, -EIO, true, false},
        {"an allocation", 0, 0, 0, false, true},
        {"all allocations", 0, 0, 0, true, true},
};

static const struct scenario *now; /* what fails in this run */
static uint64_t nr_runs;

static bool has_failed(const struct world *world)
{
	return world->disks.fault.nr_failed || allocation_fault.nr_failed;
}

static enum image_mode mode_of(struct image *img)
{
	struct image_status status;

	image_get_status(img, &status);
	return status.mode;
}

/* ---- which regions may be lost, which must be ---- */

struct changes {
	bool unsure; /* one that no fsync has promised */
	bool gone;   /* one after the last good sync of the destination and before the failed one */
};

static struct changes changes_of(const struct world *world, uint64_t first, uint64_t last)
{
	const struct disk_fault *fault = &world->disks.fault;
	uint64_t promised = model_promised(&world->model, world->disks.time);
	struct changes changes = {0};

	for (uint64_t i = 0; i < world->model.nr_sectors; i++) {
		const struct sector *sector = &world->model.sectors[i];

		if (world->region_of[i] < first || world->region_of[i] > last)
			continue;
		for (uint32_t v = 1; v < sector->nr; v++) {
			const struct version *version = &sector->versions[v];

			if (version->acked > promised)
				changes.unsure = true;
			if (fault->sync_begun && version->begun > fault->sync_was_good &&
			    version->acked < fault->sync_begun)
				changes.gone = true;
		}
	}
	return changes;
}

static struct changes changes_in(const struct world *world, const struct user_range *range)
{
	return changes_of(world, geometry_region_of(&world->geo, range->offset),
	                  geometry_region_of(&world->geo, range->offset + range->length - 1));
}

/* ---- rule (2) ---- */

static bool tolerates_in_rw(int kind, int error)
{
	/* A flush, too: it may need the rest of a region that was written in part. */
	if (kind != CALL_READ && (now->destination & CHANGES))
		return error == now->code;
	return kind == CALL_READ && (now->destination & DISK_READ) && error == -EIO;
}

static bool tolerates(const struct world *world, struct image *img, int kind,
                      const struct user_range *range, int error)
{
	enum image_mode mode = mode_of(img);

	if (!has_failed(world))
		return false;
	if (now->allocation && error == -ENOMEM)
		return true;
	if (mode == IMAGE_RW)
		return tolerates_in_rw(kind, error) || (now->allocation && error == -EIO);
	if (kind == CALL_CHANGE && error == now->code && (now->destination & CHANGES))
		return true;
	if (error != -EIO)
		return false;
	return mode == IMAGE_FAIL || kind != CALL_READ || (now->destination & DISK_READ) ||
	       now->allocation || changes_in(world, range).unsure;
}

/* ---- rules (3) and (4), when the users have gone ---- */

/* A block that cannot be read with its neighbours is read again, alone. */
static bool commit_must_have_failed(const struct world *world)
{
	if (now->metadata == DISK_READ && !now->forever)
		return false;
	return world->disks.fault.metadata_failed || world->disks.fault.sync_begun;
}

static void examine_changes(struct world *world, struct image *img)
{
	const struct window *window = &world->plan.windows[0];
	uint64_t length = window->end - window->begin;
	const struct user_range range = {window->begin, 0, length < SECTOR ? length : SECTOR};

	for (int punch = 0; punch < 2; punch++) {
		int r = users_change(world, img, &range, punch);

		if (r != -EIO && !(now->allocation && r == -ENOMEM))
			world_finding(world, "a change in mode %s was answered with %s",
			              image_mode_name(mode_of(img)), strerror(-r));
	}
	if (users_flush(world, img) == 0)
		world_finding(world, "an fsync in mode %s succeeded",
		              image_mode_name(mode_of(img)));
}

static void examine_reads(struct world *world, struct image *img)
{
	const struct window *window = &world->plan.windows[0];

	for (uint64_t region = 0; region < world->geo.nr_regions; region++) {
		uint64_t start = geometry_region_start(&world->geo, region);
		const struct user_range range = {window->begin + start, start,
		                                 geometry_region_length(&world->geo, region)};
		struct changes changes = changes_of(world, region, region);
		int r = users_read(world, img, &range);

		if (mode_of(img) == IMAGE_FAIL && r != -EIO && !now->allocation)
			world_finding(world, "a read in mode fail was answered with %s",
			              strerror(-r));
		if (mode_of(img) == IMAGE_RO && changes.gone && r == 0)
			world_finding(world,
			              "region %" PRIu64 " was changed before the failed sync, and "
			              "can be read",
			              region);
	}
}

static void examine_told(struct world *world, struct image *img)
{
	bool gone = changes_of(world, 0, UINT32_MAX).gone;
	enum image_mode mode;

	/* An event wants memory, too. */
	if (now->allocation && now->forever)
		return;
	/* Events come from another thread. */
	schedule_sleep_ns(NS_PER_S);
	mode = mode_of(img);
	if (mode != IMAGE_RW && (world->told.nr_read_only > 1 || world->told.nr_failed > 1 ||
	                         world->told.nr_read_only + world->told.nr_failed == 0))
		world_finding(world, "mode ro was told %u times, fail %u times",
		              world->told.nr_read_only, world->told.nr_failed);
	if (mode != IMAGE_RW && world->told.nr_read_only && !world->told.nr_invalidated)
		world_finding(world, "the page cache was not invalidated");
	if (mode != IMAGE_RW && gone && world->told.nr_lost != 1)
		world_finding(world, "a lost set was told %u times", world->told.nr_lost);
	if (mode == IMAGE_RW && (world->told.nr_read_only || world->told.nr_failed))
		world_finding(world, "a mode was told, but it is rw");
}

/* What was only fetched since the last commit counts as missing again. */
static void examine_bits(struct world *world, struct image *img)
{
	struct image_status status;

	image_get_status(img, &status);
	if (status.mode == IMAGE_RO && status.regions_hydrated != status.regions_committed)
		world_finding(world,
		              "the mode is ro, %" PRIu64 " regions count as hydrated and %" PRIu64
		              " as committed",
		              status.regions_hydrated, status.regions_committed);
}

static void examine(struct world *world, struct image *img)
{
	enum image_mode mode = mode_of(img);

	if (commit_must_have_failed(world) && mode == IMAGE_RW)
		world_finding(world, "a commit has failed and the mode is still rw");
	if (!has_failed(world) && mode != IMAGE_RW)
		world_finding(world, "nothing has failed and the mode is %s",
		              image_mode_name(mode));
	if (mode == IMAGE_RW) {
		/* Where the destination was full, one region is tried every 5 s. */
		schedule_sleep_ns(6 * NS_PER_S);
		examine_reads(world, img);
	} else {
		examine_changes(world, img);
		examine_reads(world, img);
		examine_bits(world, img);
	}
	examine_told(world, img);
}

/* ---- runs ---- */

static bool tolerates_open(const struct world *world)
{
	return has_failed(world);
}

static void arm(struct world *world, uint64_t nth)
{
	allocation_fault = (struct allocation_fault){0};
	world->disks.fault = (struct disk_fault){0};
	if (now->allocation) {
		allocation_fault.in = nth;
		allocation_fault.forever = now->forever;
	} else {
		world->disks.fault.operations[DESTINATION] = now->destination;
		world->disks.fault.operations[METADATA] = now->metadata;
		world->disks.fault.in = nth;
		world->disks.fault.code = now->code;
		world->disks.fault.forever = now->forever;
	}
	world->whole_sectors = true;
	world->tolerates = tolerates;
	world->tolerates_open = tolerates_open;
	world->examine = examine;
}

static void disarm(struct world *world)
{
	allocation_fault = (struct allocation_fault){0};
	world->disks.fault = (struct disk_fault){0};
	world->tolerates = NULL;
	world->tolerates_open = NULL;
	world->examine = NULL;
}

/* What came of a scenario's runs. */
struct outcome {
	uint64_t nr_closed_rw, nr_told_ro, nr_told_fail, nr_not_opened;
	uint64_t nr_lost; /* runs that told of a lost set */
};

/* The @nth one fails; false: there were not so many. */
static bool run(uint64_t seed, uint64_t nth, struct outcome *outcome, struct cut_figures *figures)
{
	struct world *world = world_new_small(seed);
	bool failed;

	arm(world, nth);
	if (!world_live(world))
		outcome->nr_not_opened++;
	else if (world->told.nr_failed)
		outcome->nr_told_fail++;
	else if (world->told.nr_read_only)
		outcome->nr_told_ro++;
	else
		outcome->nr_closed_rw++;
	outcome->nr_lost += world->told.nr_lost;
	nr_runs++;
	failed = has_failed(world);
	disarm(world);
	cut_here_and_there(world, CUT_EVERY, figures);
	(void)world_live(world);
	world_free(world);
	return failed;
}

static void one_seed(uint64_t seed, struct cut_figures *figures, bool verbose)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		struct outcome outcome = {0};
		uint64_t nth = 1;

		now = &scenarios[i];
		while (run(seed, nth, &outcome, figures))
			nth++;
		if (verbose)
			(void)printf(
			        "seed %" PRIu64 ": %s: %" PRIu64 " points; at the end rw %" PRIu64
			        ", ro %" PRIu64 ", fail %" PRIu64 ", not opened %" PRIu64
			        "; lost sets %" PRIu64 "\n",
			        seed, now->name, nth - 1, outcome.nr_closed_rw, outcome.nr_told_ro,
			        outcome.nr_told_fail, outcome.nr_not_opened, outcome.nr_lost);
	}
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
	        {"first", required_argument, NULL, 'f'},
	        {"seeds", required_argument, NULL, 'n'},
	        {"expect-finding", no_argument, NULL, 'x'},
	        {"verbose", no_argument, NULL, 'v'},
	        {NULL, 0, NULL, 0},
	};
	struct cut_figures figures = {0};
	uint64_t first = 1;
	uint64_t nr = 1;
	bool verbose = false;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'f') {
			first = number(optarg);
		} else if (c == 'n') {
			nr = number(optarg);
		} else if (c == 'x') {
			world_expect_finding();
		} else if (c == 'v') {
			verbose = true;
		} else {
			(void)fprintf(stderr, "usage: crash_failures [--first SEED] [--seeds N] "
			                      "[--expect-finding] [--verbose]\n");
			return 2;
		}
	}
	for (uint64_t seed = first; seed < first + nr; seed++)
		one_seed(seed, &figures, verbose);
	(void)printf("%" PRIu64 " seeds, %" PRIu64 " runs with failures, %" PRIu64
	             " states after power cuts: nothing found; %.1f s of CPU\n",
	             nr, nr_runs, figures.nr_states, (double)clock() / CLOCKS_PER_SEC);
	return world_expects_finding();
}
