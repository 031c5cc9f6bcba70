#include "tests/crash/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/engine/image.h"
#include "tests/crash/schedule.h"
#include "tests/crash/users.h"
#include "tests/support/memory_source.h"

#define KIB            UINT64_C(1024)
#define METADATA_BLOCK 4096u
#define SOURCE_THREADS 2

static bool expects_finding;

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- what the seed decides ---- */

static void plan_whole(struct plan *plan, struct random *random, uint64_t region_size,
                       uint64_t least, uint64_t most)
{
	uint64_t nr_regions = least + random_below(random, most - least + 1);

	plan->region_size = region_size;
	plan->size = nr_regions * region_size;
	if (random_one_in(random, 2))
		plan->size -= random_below(random, region_size);
	else if (random_one_in(random, 2))
		plan->size -= SECTOR * random_below(random, region_size / SECTOR);
	plan->windows[0] = (struct window){0, plan->size};
	plan->nr_windows = 1;
	plan->hydration_threshold = random_below(random, 3) * 2;
}

/* Three array blocks; little windows around their borders. */
static void plan_large(struct plan *plan, struct random *random)
{
	static const struct window regions[] = {{0, 4}, {32574, 32579}, {65151, 65153}};
	const uint64_t nr_regions = 70000;
	const uint64_t region_size = 4 * KIB;

	plan->region_size = region_size;
	plan->size = nr_regions * region_size - random_below(random, region_size);
	for (unsigned int i = 0; i < 3; i++)
		plan->windows[i] = (struct window){regions[i].begin * region_size,
		                                   regions[i].end * region_size};
	plan->windows[3] = (struct window){(nr_regions - 3) * region_size, plan->size};
	plan->nr_windows = 4;
}

static void make_plan(struct plan *plan, struct random *random)
{
	uint64_t dice = random_below(random, 20);
	uint64_t nr_arrays = 1;

	*plan = (struct plan){0};
	if (dice < 9) {
		plan_whole(plan, random, 4 * KIB, 2, 20);
	} else if (dice < 13) {
		plan_whole(plan, random, 8 * KIB << random_below(random, 2), 2, 9);
	} else if (dice < 15) {
		plan_whole(plan, random, 64 * KIB, 1, 4);
	} else if (dice < 16) {
		plan_whole(plan, random, 256 * KIB, 1, 8);
	} else {
		plan_large(plan, random);
		nr_arrays = 3;
	}
	/* So few blocks that they are reused at once, or plenty. */
	plan->nr_metadata_blocks =
	        random_one_in(random, 4) ? 64 : 9 + nr_arrays + random_below(random, 6);
	plan->no_discard_passdown = random_one_in(random, 4);
	plan->cannot_punch = random_one_in(random, 4);
	plan->cannot_zero = random_one_in(random, 3);
	plan->nr_users = 1 + (unsigned int)random_below(random, 4);
	plan->nr_operations = 10 + (unsigned int)random_below(random, 50) / plan->nr_users;
	plan->kills = true;
}

static void make_small_plan(struct plan *plan, struct random *random)
{
	*plan = (struct plan){0};
	plan_whole(plan, random, 4 * KIB << random_below(random, 2), 5, 12);
	plan->nr_metadata_blocks = 12;
	plan->hydration_threshold = random_below(random, 3);
	plan->cannot_zero = random_one_in(random, 3);
	plan->nr_users = 2;
	plan->nr_operations = 12;
}

/* ---- contents ---- */

static void fill_random(struct random *random, uint8_t *bytes, uint64_t length)
{
	for (uint64_t i = 0; i < length; i += 8) {
		uint64_t word = random_next(random);

		memcpy(bytes + i, &word, length - i < 8 ? length - i : 8);
	}
}

/* Regions of the source are data, zeros, or some of both. */
static void fill_source_region(struct random *random, uint8_t *bytes, uint64_t length)
{
	uint64_t dice = random_below(random, 6);

	fill_random(random, bytes, length);
	if (dice == 0) {
		memset(bytes, 0, length);
	} else if (dice == 1) {
		for (uint64_t i = 0; i + SECTOR <= length; i += SECTOR) {
			if (random_one_in(random, 2))
				memset(bytes + i, 0, SECTOR);
		}
	}
}

static void make_source(struct world *world)
{
	const struct plan *plan = &world->plan;
	struct random random = random_from(world->seed, 0x50);
	uint64_t at = 0;

	world->source = mmap(NULL, plan->size, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (world->source == MAP_FAILED)
		abort();
	world->source_bytes = must(malloc(world->disks.disk[DESTINATION].nr_bytes));
	for (unsigned int i = 0; i < plan->nr_windows; i++) {
		const struct window *window = &plan->windows[i];

		for (uint64_t offset = window->begin; offset < window->end;
		     offset += plan->region_size) {
			uint64_t rest = window->end - offset;

			fill_source_region(&random, world->source + offset,
			                   rest < plan->region_size ? rest : plan->region_size);
		}
		memcpy(world->source_bytes + at, world->source + window->begin,
		       window->end - window->begin);
		at += window->end - window->begin;
	}
}

static void make_disks(struct world *world)
{
	const struct plan *plan = &world->plan;
	const struct window all = {0, plan->nr_metadata_blocks * METADATA_BLOCK};
	struct random random = random_from(world->seed, 0x6A);
	struct disk *destination = &world->disks.disk[DESTINATION];

	disks_init(&world->disks, world->seed);
	disks_make(&world->disks, DESTINATION, plan->size, plan->windows, plan->nr_windows);
	disks_make(&world->disks, METADATA, all.end, &all, 1);
	world->disks.cannot_punch = plan->cannot_punch;
	world->disks.cannot_zero = plan->cannot_zero;
	fill_random(&random, destination->cache, destination->nr_bytes);
	world->region_of = must(calloc(destination->nr_bytes / SECTOR + 1, sizeof(uint32_t)));
	for (uint64_t at = 0; at < destination->nr_bytes; at += SECTOR)
		world->region_of[at / SECTOR] =
		        (uint32_t)geometry_region_of(&world->geo, disk_offset(destination, at));
}

struct metadata_params world_metadata_params(const struct world *world)
{
	return (struct metadata_params){
	        .target_sectors = geometry_target_sectors(world->plan.size),
	        .region_sectors = world->plan.region_size / SECTOR,
	        .mode = METADATA_EXISTING,
	};
}

/* The clone was created, and all of it is on the disks. */
static void format(struct world *world)
{
	struct metadata_params params = world_metadata_params(world);
	struct block_io *io = disks_open(&world->disks, METADATA);
	struct cf_error err = {0};
	struct metadata *metadata;

	params.mode = METADATA_FORMAT_IF_ZERO;
	if (metadata_open(io, &params, &metadata, &err) < 0)
		world_finding(world, "formatting failed: %s", err.text);
	metadata_close(metadata);
	block_io_close(io);
	disks_settle(&world->disks);
}

static struct world *make_world(uint64_t seed,
                                void (*plan)(struct plan *plan, struct random *random))
{
	struct world *world = must(calloc(1, sizeof(*world)));

	world->seed = seed;
	world->random = random_from(seed, 0x301D);
	plan(&world->plan, &world->random);
	world->geo = geometry_make(world->plan.size, world->plan.region_size);
	make_disks(world);
	make_source(world);
	model_init(&world->model, world->source_bytes, world->disks.disk[DESTINATION].nr_bytes);
	format(world);
	return world;
}

struct world *world_new(uint64_t seed)
{
	return make_world(seed, make_plan);
}

struct world *world_new_small(uint64_t seed)
{
	return make_world(seed, make_small_plan);
}

void world_free(struct world *world)
{
	model_fini(&world->model);
	disks_fini(&world->disks);
	(void)munmap(world->source, world->plan.size);
	free(world->source_bytes);
	free(world->region_of);
	free(world);
}

/* ---- looking ---- */

const uint8_t *world_sector(const struct world *world, const struct metadata *metadata,
                            const uint8_t *destination, uint64_t sector)
{
	const uint8_t *bytes = metadata_is_region_hydrated(metadata, world->region_of[sector])
	                               ? destination
	                               : world->source_bytes;

	return bytes + sector * SECTOR;
}

/* What the next opener finds becomes what is known; with @check it must be right, too. */
static void observe(struct world *world, bool check)
{
	struct metadata_params params = world_metadata_params(world);
	const struct disk *disk = &world->disks.disk[METADATA];
	struct block_io *io = disk_view(disk->cache, disk->size);
	uint64_t now = disks_tick(&world->disks);
	uint64_t promised = model_promised(&world->model, now);
	struct cf_error err = {0};
	struct metadata *metadata;

	if (metadata_open(io, &params, &metadata, &err) < 0)
		world_finding(world, "the metadata does not open: %s", err.text);
	for (uint64_t i = 0; i < world->model.nr_sectors; i++) {
		const uint8_t *bytes =
		        world_sector(world, metadata, world->disks.disk[DESTINATION].cache, i);
		uint32_t low, high;

		model_allowed(&world->model, i, promised, now, &low, &high);
		if (check && model_match(&world->model, i, low, high, bytes, 0,
		                         model_sector_length(&world->model, i)) < 0) {
			world_describe(world, i, bytes);
			world_finding(world,
			              "after the kill sector %" PRIu64
			              " is wrong, expected version %u to %u",
			              i, low, high);
		}
		model_observe(&world->model, i, bytes, now);
	}
	metadata_close(metadata);
	block_io_close(io);
}

/* ---- lives ---- */

struct opened {
	struct block_io *destination, *metadata_io;
	struct metadata *metadata;
	struct memory_source *source;
	struct image *img;
};

static void on_event(void *user, const struct image_event *event)
{
	struct world *world = user;

	if (event->kind == IMAGE_EVENT_MODE && event->value == IMAGE_RO)
		world->told.nr_read_only++;
	else if (event->kind == IMAGE_EVENT_MODE)
		world->told.nr_failed++;
	else if (event->kind == IMAGE_EVENT_LOST)
		world->told.nr_lost++;
	if (event->kind == IMAGE_EVENT_LOST)
		world->told.nr_lost_regions = event->value;
}

static void on_invalidate(void *user)
{
	((struct world *)user)->told.nr_invalidated++;
}

static int open_image(struct world *world, struct opened *opened, struct cf_error *err)
{
	struct image_params params = {
	        .size = world->plan.size,
	        .region_size = world->plan.region_size,
	        .metadata = opened->metadata,
	        .destination = opened->destination,
	        .source = memory_source_base(opened->source),
	        .source_state = SOURCE_STATE_OK,
	        .settings =
	                {
	                        .hydration_threshold = world->plan.hydration_threshold,
	                        .hydration_batch_size = 2,
	                        .max_connections = 3,
	                        .timeout_ms = 30000,
	                        .on_source_error = ON_ERROR_EIO,
	                },
	        .no_discard_passdown = world->plan.no_discard_passdown,
	        .callbacks = {.event = on_event, .invalidate = on_invalidate},
	        .callbacks_user = world,
	};

	return image_open(&params, &opened->img, err);
}

/* False: it did not open, which something explains. */
static bool open_all(struct world *world, struct opened *opened)
{
	struct metadata_params params = world_metadata_params(world);
	struct cf_error err = {0};
	int r;

	*opened = (struct opened){
	        .source = memory_source_new(world->source, world->plan.size, SOURCE_THREADS),
	        .destination = disks_open(&world->disks, DESTINATION),
	        .metadata_io = disks_open(&world->disks, METADATA),
	};
	/* By the seed, so that nothing else of the world depends on it. */
	if (world->seed % 3 == 0)
		memory_source_let_share(opened->source);
	r = metadata_open(opened->metadata_io, &params, &opened->metadata, &err);
	if (r == 0)
		r = open_image(world, opened, &err);
	if (r == 0)
		return true;
	if (!world->tolerates_open || !world->tolerates_open(world))
		world_finding(world, "the clone does not open: %s", err.text);
	if (!err.text[0])
		world_finding(world, "the clone does not open, and does not say why");
	return false;
}

static void close_all(struct world *world, struct opened *opened)
{
	uint64_t begun = disks_tick(&world->disks);
	struct cf_error err = {0};
	int r;

	/* As the daemon does: what is partial becomes whole before the end. */
	if (opened->img && !world->disks.killed)
		(void)users_flush(world, opened->img);
	r = image_close(opened->img, &err);
	if (!world->disks.killed && opened->img) {
		if (r < 0 && !(world->tolerates_open && world->tolerates_open(world)))
			world_finding(world, "the image does not close: %s", err.text);
		if (r == 0)
			model_flushed(&world->model, begun, disks_tick(&world->disks));
	}
	metadata_close(opened->metadata);
	memory_source_free(opened->source);
	block_io_close(opened->destination);
	block_io_close(opened->metadata_io);
}

static void work(struct world *world, const struct opened *opened)
{
	/* What the life before left is looked at, or relied on. */
	if (random_one_in(&world->random, 4))
		users_read_all(world, opened->img);
	if (random_one_in(&world->random, 3))
		(void)users_flush(world, opened->img);
	users_work(world, opened->img, opened->source);
	if (world->examine)
		world->examine(world, opened->img);
}

bool world_live(struct world *world)
{
	struct opened opened;
	bool is_open;

	memset(&world->told, 0, sizeof(world->told));
	schedule_begin(random_next(&world->random));
	if (world->plan.kills && random_one_in(&world->random, 3))
		world->disks.kill_superblock = 1 + random_below(&world->random, 4);
	else if (world->plan.kills && random_one_in(&world->random, 2))
		world->disks.kill_in = 1 + random_below(&world->random, 150);
	is_open = open_all(world, &opened);
	if (is_open)
		work(world, &opened);
	close_all(world, &opened);
	schedule_end();
	if (world->disks.killed)
		observe(world, true);
	disks_revive(&world->disks);
	world->life++;
	return is_open;
}

void world_cut(struct world *world, const uint8_t *destination, const uint8_t *metadata)
{
	struct disk *disks = world->disks.disk;
	uint64_t now;

	memcpy(disks[DESTINATION].cache, destination, disks[DESTINATION].nr_bytes);
	memcpy(disks[METADATA].cache, metadata, disks[METADATA].nr_bytes);
	disks_settle(&world->disks);
	model_fini(&world->model);
	model_init(&world->model, world->source_bytes, disks[DESTINATION].nr_bytes);
	observe(world, false);
	/* It is on the disks: promised from the beginning. */
	now = disks_tick(&world->disks);
	model_flushed(&world->model, now, now);
	world->part++;
}

/* ---- findings ---- */

void world_describe(const struct world *world, uint64_t sector, const uint8_t *bytes)
{
	uint64_t length = model_sector_length(&world->model, sector);
	const struct sector *s = &world->model.sectors[sector];
	int64_t version = model_match(&world->model, sector, 0, s->nr - 1, bytes, 0, length);
	const char *other = "neither the source nor zeros";
	static const uint8_t zeros[SECTOR];

	if (memcmp(bytes, world->source_bytes + sector * SECTOR, length) == 0)
		other = "the source";
	else if (memcmp(bytes, zeros, length) == 0)
		other = "zeros";
	(void)printf("sector %" PRIu64 " of region %u: found version %" PRId64 " of %u, %s\n",
	             sector, world->region_of[sector], version, s->nr, other);
	for (uint32_t i = 0; i < s->nr; i++)
		(void)printf("  version %u: begun at %" PRIu64 ", acknowledged at %" PRId64 "\n", i,
		             s->versions[i].begun, (int64_t)s->versions[i].acked);
}

void world_expect_finding(void)
{
	const struct rlimit minute = {.rlim_cur = 60, .rlim_max = 60};

	expects_finding = true;
	if (setrlimit(RLIMIT_CPU, &minute) < 0)
		abort();
}

bool world_expects_finding(void)
{
	return expects_finding;
}

void world_finding(const struct world *world, const char *format, ...)
{
	va_list args;

	(void)printf("FOUND: seed %" PRIu64 ", part %u, life %u: ", world->seed, world->part,
	             world->life);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("\n%" PRIu64 " bytes in regions of %" PRIu64 ", %" PRIu64
	             " metadata blocks, %u users; again: --seed %" PRIu64 "; after %.1f s of CPU\n",
	             world->plan.size, world->plan.region_size, world->plan.nr_metadata_blocks,
	             world->plan.nr_users, world->seed, (double)clock() / CLOCKS_PER_SEC);
	(void)fflush(stdout);
	_exit(expects_finding ? 0 : 1);
}

void __wrap_log_line(int level, const char *format, ...);
/* What the engine tells people about commits that a kill ended. */
void __wrap_log_line(int level, const char *format, ...)
{
	(void)level;
	(void)format;
}
