/*
 * One clone and its surroundings, all from a seed: sizes, source, disks, model, workload. It goes
 * through lives: the real metadata and image are opened on the disks, users work, and the life ends
 * by a close or a kill. Several lives share one record of the disks; after it was looked at (cut.h)
 * a power cut may leave one of its states for further lives.
 */
#ifndef CLONEFS_TESTS_WORLD_H
#define CLONEFS_TESTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/geometry.h"
#include "core/metadata/metadata.h"
#include "tests/crash/disk.h"
#include "tests/crash/model.h"
#include "tests/crash/random.h"

struct image;
struct user_range;

/* What the seed decided about the clone. */
struct plan {
	uint64_t size, region_size;
	struct window windows[MAX_WINDOWS]; /* where users work */
	unsigned int nr_windows;
	uint64_t nr_metadata_blocks;
	uint64_t hydration_threshold; /* 0: windows do not hold all of the image, or for a change */
	bool no_discard_passdown;
	bool cannot_punch, cannot_zero;
	unsigned int nr_users, nr_operations;
	bool kills;
};

struct world {
	uint64_t seed;
	struct random random;
	struct plan plan;
	struct geometry geo;
	uint8_t *source;       /* owned, mapped: all of the image */
	uint8_t *source_bytes; /* owned: what of it is in windows */
	uint32_t *region_of;   /* owned: of each sector in windows */
	struct disks disks;
	struct model model;
	unsigned int
	        part; /* counts records: 0 from the garbage on, 1 after the first power cut.. */
	unsigned int life; /* counts opens */

	/*
	 * For lives in which something fails (all NULL or false otherwise). May this call end with
	 * this error (@kind: enum call_kind)? May an open? What is to be looked at before the end?
	 */
	bool whole_sectors; /* users change whole sectors only: what half a write left is known */
	bool (*tolerates)(const struct world *world, struct image *img, int kind,
	                  const struct user_range *range, int error);
	bool (*tolerates_open)(const struct world *world);
	void (*examine)(struct world *world, struct image *img);
	struct {
		unsigned int nr_read_only, nr_failed, nr_lost, nr_invalidated;
		uint64_t nr_lost_regions;
	} told; /* in this life */

	uint64_t nr_changes, nr_reads, nr_flushes; /* acknowledged, for people */
};

struct world *world_new(uint64_t seed);
/* A small one, in which killing is left to others. */
struct world *world_new_small(uint64_t seed);
void world_free(struct world *world);

/* Opens, works, and ends: closed, or killed in the middle. False: it could not be opened. */
bool world_live(struct world *world);

/* The power was cut: the disks hold @destination and @metadata (windows only), and nothing else is
 * known any more. */
void world_cut(struct world *world, const uint8_t *destination, const uint8_t *metadata);

struct metadata_params world_metadata_params(const struct world *world);

/* Looks at what the metadata says (@hydrated) and the destination holds (@destination, windows
 * only): sector @sector as a reader sees it. */
const uint8_t *world_sector(const struct world *world, const struct metadata *metadata,
                            const uint8_t *destination, uint64_t sector);

/* For a program with a mistake built in: a finding is what it is there for, and has to come within
 * a minute of CPU time, whatever else the machine does. Else SIGXCPU ends it. */
void world_expect_finding(void);
bool world_expects_finding(void);

/* A finding: says what and how to see it again, and ends the program. */
_Noreturn void world_finding(const struct world *world, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* Which of the versions of @sector, or what else, is @bytes? For people. */
void world_describe(const struct world *world, uint64_t sector, const uint8_t *bytes);

#endif
