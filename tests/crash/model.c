#include "tests/crash/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/disk.h"

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

uint64_t model_sector_length(const struct model *model, uint64_t sector)
{
	uint64_t rest = model->nr_bytes - sector * SECTOR;

	return rest < SECTOR ? rest : SECTOR;
}

static struct version *add_version(struct model *model, uint64_t number)
{
	struct sector *sector = &model->sectors[number];
	struct version *version;

	if (sector->nr == sector->room) {
		sector->room = sector->room ? 2 * sector->room : 4;
		sector->versions = must(
		        reallocarray(sector->versions, sector->room, sizeof(*sector->versions)));
	}
	version = &sector->versions[sector->nr++];
	*version = (struct version){.acked = NOT_YET, .data = must(calloc(1, SECTOR))};
	return version;
}

void model_init(struct model *model, const uint8_t *data, uint64_t nr_bytes)
{
	*model = (struct model){
	        .nr_sectors = (nr_bytes - 1) / SECTOR + 1,
	        .nr_bytes = nr_bytes,
	};
	model->sectors = must(calloc(model->nr_sectors, sizeof(*model->sectors)));
	for (uint64_t i = 0; i < model->nr_sectors; i++)
		model_observe(model, i, data + i * SECTOR, 0);
}

void model_fini(struct model *model)
{
	for (uint64_t i = 0; i < model->nr_sectors; i++) {
		for (uint32_t j = 0; j < model->sectors[i].nr; j++)
			free(model->sectors[i].versions[j].data);
		free(model->sectors[i].versions);
	}
	free(model->sectors);
	free(model->flushes);
}

static uint64_t first_of(uint64_t at)
{
	return at / SECTOR;
}

static uint64_t last_of(uint64_t at, uint64_t length)
{
	return (at + length - 1) / SECTOR;
}

bool model_take(struct model *model, uint64_t at, uint64_t length)
{
	assert(length && at + length <= model->nr_bytes);
	for (uint64_t i = first_of(at); i <= last_of(at, length); i++) {
		if (model->sectors[i].busy)
			return false;
	}
	for (uint64_t i = first_of(at); i <= last_of(at, length); i++)
		model->sectors[i].busy = true;
	return true;
}

void model_give_back(struct model *model, uint64_t at, uint64_t length)
{
	for (uint64_t i = first_of(at); i <= last_of(at, length); i++)
		model->sectors[i].busy = false;
}

void model_begin(struct model *model, uint64_t at, uint64_t length, const uint8_t *data,
                 uint64_t now)
{
	for (uint64_t i = first_of(at); i <= last_of(at, length); i++) {
		struct version *version = add_version(model, i);
		uint64_t from = i * SECTOR < at ? at - i * SECTOR : 0;
		uint64_t to = at + length < (i + 1) * SECTOR ? at + length - i * SECTOR : SECTOR;

		memcpy(version->data, version[-1].data, SECTOR);
		version->begun = now;
		if (data)
			memcpy(version->data + from, data + (i * SECTOR + from - at), to - from);
		else
			memset(version->data + from, 0, to - from);
	}
}

void model_ack(struct model *model, uint64_t at, uint64_t length, uint64_t now)
{
	for (uint64_t i = first_of(at); i <= last_of(at, length); i++) {
		struct sector *sector = &model->sectors[i];

		sector->versions[sector->nr - 1].acked = now;
	}
}

void model_observe(struct model *model, uint64_t sector, const uint8_t *data, uint64_t now)
{
	struct version *version = add_version(model, sector);

	version->begun = version->acked = now;
	memcpy(version->data, data, model_sector_length(model, sector));
}

void model_flushed(struct model *model, uint64_t begun, uint64_t acked)
{
	if (model->nr_flushes == model->flush_room) {
		model->flush_room = model->flush_room ? 2 * model->flush_room : 64;
		model->flushes = must(
		        reallocarray(model->flushes, model->flush_room, sizeof(*model->flushes)));
	}
	model->flushes[model->nr_flushes++] = (struct flush){begun, acked};
}

uint64_t model_promised(const struct model *model, uint64_t now)
{
	uint64_t promised = 0;

	for (size_t i = 0; i < model->nr_flushes; i++) {
		const struct flush *flush = &model->flushes[i];

		if (flush->acked <= now && flush->begun > promised)
			promised = flush->begun;
	}
	return promised;
}

void model_allowed(const struct model *model, uint64_t sector, uint64_t promised, uint64_t now,
                   uint32_t *ret_low, uint32_t *ret_high)
{
	const struct sector *s = &model->sectors[sector];

	*ret_low = *ret_high = 0;
	for (uint32_t i = 0; i < s->nr; i++) {
		if (s->versions[i].acked <= promised)
			*ret_low = i;
		if (s->versions[i].begun <= now)
			*ret_high = i;
	}
}

int64_t model_match(const struct model *model, uint64_t sector, uint32_t low, uint32_t high,
                    const uint8_t *bytes, uint64_t skip, uint64_t length)
{
	const struct sector *s = &model->sectors[sector];

	/* The newest is the likeliest. */
	for (uint32_t i = high + 1; i-- > low;) {
		if (memcmp(s->versions[i].data + skip, bytes, length) == 0)
			return i;
	}
	return -1;
}
