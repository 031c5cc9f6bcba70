#include "tests/crash/cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metadata/check.h"

#define MAX_SINGLES 12 /* of the unsynced writes; more are sampled */
#define NR_RANDOM   6
#define NR_TORN     8
#define MAX_STATES  256 /* of one cut */

enum cut_kind {
	CUT_NONE,
	CUT_ALL,
	CUT_DESTINATION, /* all of the destination's, none of the metadata's */
	CUT_METADATA,    /* and the reverse */
	CUT_ONE,
	CUT_ALL_BUT_ONE,
	CUT_RANDOM,
	CUT_TORN,
	CUT_METADATA_AND_TORN, /* the metadata's, and random sectors of the destination's */
};

static const char *const kind_names[] = {
        "none of the unsynced writes",
        "all unsynced writes",
        "all unsynced writes of the destination, none of the metadata",
        "all unsynced writes of the metadata, none of the destination",
        "one unsynced write",
        "all unsynced writes but one",
        "random unsynced writes",
        "random sectors of unsynced writes",
        "all unsynced writes of the metadata, random sectors of the destination",
};

struct cut {
	struct world *world;
	struct cut_figures *figures;
	uint8_t *base[NR_DISKS]; /* owned: what is durable */
	uint8_t *work[NR_DISKS]; /* owned: the state; equal to base between two states */
	uint64_t every;          /* one interval in so many is looked at */
	size_t *pending;         /* owned: records that no sync covers, in order */
	size_t nr_pending;

	/* This moment. */
	uint64_t time;
	size_t nr_doubtful;   /* the first of pending are of this moment's past */
	uint32_t *low, *high; /* owned: allowed versions of each sector */
	uint64_t promised;
	uint64_t seen[MAX_STATES]; /* fingerprints of its states */
	unsigned int nr_seen;

	/* This state. */
	enum cut_kind kind;
	uint64_t choice; /* which write, or the seed */

	/* One of all states so far, each with the same chance. */
	struct random lottery;
	uint8_t *chosen[NR_DISKS]; /* owned */
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- making a state ---- */

static const struct record *doubtful(const struct cut *cut, size_t i)
{
	return &cut->world->disks.records[cut->pending[i]];
}

static void apply(uint8_t *const images[NR_DISKS], const struct record *record, uint64_t skip,
                  uint64_t length)
{
	if (length > record->length - skip)
		length = record->length - skip;
	memcpy(images[record->disk] + record->at + skip, record->data + skip, length);
}

/* Is sector @sector of write @i there? */
static bool is_there(const struct cut *cut, size_t i, uint64_t sector, struct random *random)
{
	switch (cut->kind) {
	case CUT_NONE:
		break;
	case CUT_ALL:
		return true;
	case CUT_DESTINATION:
		return doubtful(cut, i)->disk == DESTINATION;
	case CUT_METADATA:
		return doubtful(cut, i)->disk == METADATA;
	case CUT_ONE:
		return i == cut->choice;
	case CUT_ALL_BUT_ONE:
		return i != cut->choice;
	case CUT_RANDOM:
		return random_from(cut->choice, i).state >> 40 & 1;
	case CUT_TORN:
		return random_next(random) & 1;
	case CUT_METADATA_AND_TORN:
		return doubtful(cut, i)->disk == METADATA || (random_next(random) & 1);
	}
	(void)sector;
	return false;
}

/* Puts what is there into work. Returns a fingerprint of the choice. */
static uint64_t make_state(struct cut *cut)
{
	struct random random = random_from(cut->choice, cut->kind);
	uint64_t print = 0;

	for (size_t i = 0; i < cut->nr_doubtful; i++) {
		const struct record *record = doubtful(cut, i);

		for (uint64_t skip = 0; skip < record->length; skip += SECTOR) {
			struct random mix = {print ^ (i << 32) ^ skip};

			if (!is_there(cut, i, skip / SECTOR, &random))
				continue;
			apply(cut->work, record, skip, SECTOR);
			print = random_next(&mix);
		}
	}
	return print;
}

static void undo_state(struct cut *cut)
{
	for (size_t i = 0; i < cut->nr_doubtful; i++) {
		const struct record *record = doubtful(cut, i);

		memcpy(cut->work[record->disk] + record->at, cut->base[record->disk] + record->at,
		       record->length);
	}
}

static bool is_new(struct cut *cut, uint64_t print)
{
	for (unsigned int i = 0; i < cut->nr_seen; i++) {
		if (cut->seen[i] == print)
			return false;
	}
	if (cut->nr_seen < MAX_STATES)
		cut->seen[cut->nr_seen++] = print;
	return true;
}

/* ---- looking at it ---- */

_Noreturn static void found(const struct cut *cut, const char *what)
{
	unsigned int nr_records = 0;

	while (nr_records < cut->world->disks.nr_records &&
	       cut->world->disks.records[nr_records].time <= cut->time)
		nr_records++;
	(void)printf("the power was cut at %" PRIu64 " (%u records before, %zu unsynced writes, "
	             "promised is what was acknowledged by %" PRIu64 "); there: %s (choice %" PRIu64
	             ")\n",
	             cut->time, nr_records, cut->nr_doubtful, cut->promised, kind_names[cut->kind],
	             cut->choice);
	world_finding(cut->world, "%s", what);
}

static void check_metadata(const struct cut *cut, struct block_io *io)
{
	struct metadata_findings findings;
	struct cf_error err = {0};
	char text[512];

	if (metadata_check(io, &findings, &err) < 0)
		found(cut, err.text);
	if (findings.nr_total) {
		const struct metadata_finding *first = &findings.list[0];

		(void)snprintf(text, sizeof(text),
		               "metadata block %" PRIu64 ": %s: expected %s, found %s",
		               first->block, first->what, first->expected, first->found);
		found(cut, text);
	}
	metadata_findings_fini(&findings);
}

static void check_sectors(const struct cut *cut, const struct metadata *metadata)
{
	const struct world *world = cut->world;

	for (uint64_t i = 0; i < world->model.nr_sectors; i++) {
		const uint8_t *bytes = world_sector(world, metadata, cut->work[DESTINATION], i);
		char text[128];

		if (model_match(&world->model, i, cut->low[i], cut->high[i], bytes, 0,
		                model_sector_length(&world->model, i)) >= 0)
			continue;
		world_describe(world, i, bytes);
		(void)snprintf(text, sizeof(text),
		               "sector %" PRIu64 " is wrong, expected version %u to %u", i,
		               cut->low[i], cut->high[i]);
		found(cut, text);
	}
}

static void check_state(struct cut *cut)
{
	struct metadata_params params = world_metadata_params(cut->world);
	const struct disk *disks = cut->world->disks.disk;
	struct block_io *io = disk_view(cut->work[METADATA], disks[METADATA].size);
	struct metadata *metadata;
	struct cf_error err = {0};

	if (metadata_open(io, &params, &metadata, &err) < 0)
		found(cut, err.text);
	check_metadata(cut, io);
	check_sectors(cut, metadata);
	metadata_close(metadata);
	block_io_close(io);
	if (random_one_in(&cut->lottery, ++cut->figures->nr_states)) {
		for (int i = 0; i < NR_DISKS; i++)
			memcpy(cut->chosen[i], cut->work[i], disks[i].nr_bytes);
	}
}

static void do_state(struct cut *cut, enum cut_kind kind, uint64_t choice)
{
	cut->kind = kind;
	cut->choice = choice;
	if (is_new(cut, make_state(cut)))
		check_state(cut);
	undo_state(cut);
}

/* ---- moments ---- */

static void do_singles(struct cut *cut, enum cut_kind kind)
{
	size_t nr = cut->nr_doubtful < MAX_SINGLES ? cut->nr_doubtful : MAX_SINGLES;

	for (size_t i = 0; i < nr; i++)
		do_state(cut, kind,
		         nr == cut->nr_doubtful
		                 ? i
		                 : random_below(&cut->world->random, cut->nr_doubtful));
}

static void cut_at(struct cut *cut, uint64_t time)
{
	struct random *random = &cut->world->random;
	const struct model *model = &cut->world->model;

	cut->time = time;
	cut->nr_seen = 0;
	cut->figures->nr_cuts++;
	cut->nr_doubtful = 0;
	while (cut->nr_doubtful < cut->nr_pending && doubtful(cut, cut->nr_doubtful)->time <= time)
		cut->nr_doubtful++;
	cut->promised = model_promised(model, time);
	for (uint64_t i = 0; i < model->nr_sectors; i++)
		model_allowed(model, i, cut->promised, time, &cut->low[i], &cut->high[i]);
	for (enum cut_kind kind = CUT_NONE; kind <= CUT_METADATA; kind++)
		do_state(cut, kind, 0);
	do_singles(cut, CUT_ONE);
	do_singles(cut, CUT_ALL_BUT_ONE);
	if (cut->nr_doubtful < 2)
		return;
	for (int i = 0; i < NR_RANDOM; i++)
		do_state(cut, CUT_RANDOM, random_next(random));
	for (int i = 0; i < NR_TORN; i++)
		do_state(cut, i % 2 ? CUT_TORN : CUT_METADATA_AND_TORN, random_next(random));
}

/* A sync has ended: what it covers is durable. */
static void take_sync(struct cut *cut, const struct record *sync)
{
	size_t kept = 0;

	for (size_t i = 0; i < cut->nr_pending; i++) {
		const struct record *record = doubtful(cut, i);

		if (record->disk == sync->disk && cut->pending[i] < sync->nr_before &&
		    !record->doubtful) {
			apply(cut->base, record, 0, record->length);
			apply(cut->work, record, 0, record->length);
		} else {
			cut->pending[kept++] = cut->pending[i];
		}
	}
	cut->nr_pending = kept;
}

static void cut_interval(struct cut *cut, uint64_t begin, uint64_t end)
{
	if (end > begin + 1)
		cut_at(cut, begin + random_below(&cut->world->random, end - begin));
	cut_at(cut, end - 1);
}

static void walk(struct cut *cut)
{
	const struct disks *disks = &cut->world->disks;
	uint64_t begin = disks->nr_records ? disks->records[0].time : disks->time;

	for (size_t i = 0; i < disks->nr_records; i++) {
		const struct record *record = &disks->records[i];

		if (record->kind == RECORD_WRITE) {
			cut->pending[cut->nr_pending++] = i;
			continue;
		}
		if (random_below(&cut->world->random, cut->every) == 0)
			cut_interval(cut, begin, record->time);
		take_sync(cut, record);
		begin = record->time;
	}
	cut_interval(cut, begin, disks->time + 1);
}

void cut_here_and_there(struct world *world, uint64_t every, struct cut_figures *figures)
{
	struct cut_figures own = {0};
	struct cut cut = {.world = world, .figures = &own, .every = every};

	for (int i = 0; i < NR_DISKS; i++) {
		const struct disk *disk = &world->disks.disk[i];

		cut.base[i] = must(malloc(disk->nr_bytes));
		cut.work[i] = must(malloc(disk->nr_bytes));
		cut.chosen[i] = must(malloc(disk->nr_bytes));
		memcpy(cut.base[i], disk->durable, disk->nr_bytes);
		memcpy(cut.work[i], disk->durable, disk->nr_bytes);
	}
	cut.pending = must(calloc(world->disks.nr_records + 1, sizeof(*cut.pending)));
	cut.low = must(calloc(world->model.nr_sectors, sizeof(*cut.low)));
	cut.high = must(calloc(world->model.nr_sectors, sizeof(*cut.high)));
	cut.lottery = random_from(random_next(&world->random), 0x107);
	walk(&cut);
	world_cut(world, cut.chosen[DESTINATION], cut.chosen[METADATA]);
	for (int i = 0; i < NR_DISKS; i++) {
		free(cut.base[i]);
		free(cut.work[i]);
		free(cut.chosen[i]);
	}
	free(cut.pending);
	free(cut.low);
	free(cut.high);
	figures->nr_states += own.nr_states;
	figures->nr_cuts += own.nr_cuts;
}

void cut_everywhere(struct world *world, struct cut_figures *figures)
{
	cut_here_and_there(world, 1, figures);
}
