/*
 * What the image may hold, sector by sector: all versions that users ever wrote, in the order in
 * which they wrote them, and when each was begun and acknowledged; and when fsyncs were begun and
 * acknowledged. Two changes of one sector are never under way at the same time (the workload sees
 * to that), so that the order is known.
 *
 * After a power cut a sector must hold the last version that a completed fsync promised, or a newer
 * one, acknowledged or begun. What a read sees must be the last version acknowledged before it
 * began, or one begun before it ended. Everything else is a finding: garbage, another sector's
 * data, something older.
 */
#ifndef CLONEFS_TESTS_MODEL_H
#define CLONEFS_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOT_YET UINT64_MAX

struct version {
	uint64_t begun, acked; /* moments, see disks_tick(); NOT_YET */
	uint8_t *data;         /* owned: a whole sector */
};

struct sector {
	struct version *versions; /* owned; at least one */
	uint32_t nr, room;
	bool busy; /* a change of it is under way */
};

struct flush {
	uint64_t begun, acked;
};

struct model {
	struct sector *sectors; /* owned */
	uint64_t nr_sectors;
	uint64_t nr_bytes;
	struct flush *flushes; /* owned; those that were acknowledged */
	size_t nr_flushes, flush_room;
};

/* An image of @nr_bytes that holds @data. */
void model_init(struct model *model, const uint8_t *data, uint64_t nr_bytes);
void model_fini(struct model *model);

/* Takes the sectors of [at, at + length) for one change; false: one of them is busy. */
bool model_take(struct model *model, uint64_t at, uint64_t length);
void model_give_back(struct model *model, uint64_t at, uint64_t length);

/* A change of these bytes begins; @data: NULL for zeros. */
void model_begin(struct model *model, uint64_t at, uint64_t length, const uint8_t *data,
                 uint64_t now);
/* The last one that was begun there has been acknowledged. */
void model_ack(struct model *model, uint64_t at, uint64_t length, uint64_t now);
/* Sector @sector holds @data now, whatever was thought before. */
void model_observe(struct model *model, uint64_t sector, const uint8_t *data, uint64_t now);

void model_flushed(struct model *model, uint64_t begun, uint64_t acked);

/* All that was acknowledged by this moment is promised at the moment @now. */
uint64_t model_promised(const struct model *model, uint64_t now);

/* Versions [*ret_low, *ret_high] of @sector are right for who sees what is acknowledged by
 * @promised at least, and what is begun by @now at most. */
void model_allowed(const struct model *model, uint64_t sector, uint64_t promised, uint64_t now,
                   uint32_t *ret_low, uint32_t *ret_high);

/* Which of the versions low to high has @length bytes from @skip on as @bytes; -1: none. */
int64_t model_match(const struct model *model, uint64_t sector, uint32_t low, uint32_t high,
                    const uint8_t *bytes, uint64_t skip, uint64_t length);

uint64_t model_sector_length(const struct model *model, uint64_t sector);

#endif
