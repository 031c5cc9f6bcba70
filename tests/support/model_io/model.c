#include "tests/support/model_io/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mutex.h"

/* Before all others: what ended then is covered by every sync. */
#define FIRST_EVENT 1

/* A write that no fsync has made durable. */
struct model_write {
	uint64_t offset;
	size_t length;
	uint64_t ended; /* number of the event of its acknowledgement; 0: none yet */
	struct model_write *next;
	uint8_t bytes[];
};

struct model {
	uint64_t size;
	uint8_t *current; /* owned; each byte is protected by the callers' byte locks */
	uint8_t *durable; /* owned */
	uint64_t newer, pending_bytes;
	struct cf_mutex lock;        /* protects: durable, pending and last with the list, event */
	struct model_write *pending; /* owned, in the order of their beginning */
	struct model_write **last;
	uint64_t event;
};

static bool load(struct model *model, const char *path)
{
	FILE *file = fopen(path, "re");
	long size = -1;
	bool loaded = false;

	if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 &&
	    fseek(file, 0, SEEK_SET) == 0) {
		model->size = (uint64_t)size;
		model->current = malloc(model->size);
		model->durable = malloc(model->size);
		loaded = model->current && model->durable &&
		         fread(model->current, 1, model->size, file) == model->size;
	}
	if (loaded)
		memcpy(model->durable, model->current, model->size);
	else
		perror(path);
	if (file)
		(void)fclose(file);
	return loaded;
}

struct model *model_new(const char *path)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	cf_mutex_init(&model->lock);
	model->last = &model->pending;
	model->event = FIRST_EVENT;
	if (!load(model, path)) {
		model_free(model);
		return NULL;
	}
	return model;
}

static void drop_pending(struct model *model)
{
	while (model->pending) {
		struct model_write *write = model->pending;

		model->pending = write->next;
		free(write);
	}
	model->last = &model->pending;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	drop_pending(model);
	cf_mutex_fini(&model->lock);
	free(model->current);
	free(model->durable);
	free(model);
}

uint64_t model_size(const struct model *model)
{
	return model->size;
}

struct model_write *model_write_begin(struct model *model, uint64_t offset, const uint8_t *bytes,
                                      size_t length)
{
	struct model_write *write = malloc(sizeof(*write) + length);

	if (!write) {
		(void)fprintf(stderr, "no memory for the model\n");
		exit(2);
	}
	*write = (struct model_write){.offset = offset, .length = length};
	if (bytes)
		memcpy(write->bytes, bytes, length);
	else
		memset(write->bytes, 0, length);
	cf_lock(&model->lock);
	*model->last = write;
	model->last = &write->next;
	cf_unlock(&model->lock);
	return write;
}

static void end_write(struct model *model, struct model_write *write, bool synced)
{
	memcpy(model->current + write->offset, write->bytes, write->length);
	cf_lock(&model->lock);
	write->ended = synced ? FIRST_EVENT : ++model->event;
	cf_unlock(&model->lock);
}

void model_write_end(struct model *model, struct model_write *write)
{
	end_write(model, write, false);
}

void model_write_end_synced(struct model *model, struct model_write *write, uint64_t begun)
{
	end_write(model, write, true);
	model_sync_end(model, begun);
}

uint64_t model_sync_begin(struct model *model)
{
	uint64_t event;

	cf_lock(&model->lock);
	event = model->event;
	cf_unlock(&model->lock);
	return event;
}

void model_sync_end(struct model *model, uint64_t begun)
{
	struct model_write **place = &model->pending;

	cf_lock(&model->lock);
	while (*place) {
		struct model_write *write = *place;

		if (write->ended == 0 || write->ended > begun) {
			place = &write->next;
			continue;
		}
		memcpy(model->durable + write->offset, write->bytes, write->length);
		*place = write->next;
		free(write);
	}
	model->last = place;
	cf_unlock(&model->lock);
}

static void describe(const char *what, uint64_t offset, size_t length, size_t first, uint8_t found,
                     uint8_t expected)
{
	(void)fprintf(stderr,
	              "%s of %zu bytes at %" PRIu64 ": byte %" PRIu64
	              " is 0x%02x, expected 0x%02x\n",
	              what, length, offset, offset + first, found, expected);
}

/* Is byte @at what a write wanted that failed? The page cache of a dead mount may still have it. */
static bool is_of_failed_write(const struct model *model, uint64_t at, uint8_t byte)
{
	const struct model_write *write;

	for (write = model->pending; write; write = write->next)
		if (!write->ended && at >= write->offset && at - write->offset < write->length &&
		    write->bytes[at - write->offset] == byte)
			return true;
	return false;
}

bool model_check(struct model *model, const char *what, uint64_t offset, const uint8_t *bytes,
                 size_t length)
{
	const uint8_t *expected = model->current + offset;
	size_t first = 0, wrong = 0;

	if (memcmp(bytes, expected, length) == 0)
		return true;
	cf_lock(&model->lock);
	for (size_t i = length; i > 0; i--)
		if (bytes[i - 1] != expected[i - 1] &&
		    !is_of_failed_write(model, offset + i - 1, bytes[i - 1])) {
			first = i - 1;
			wrong++;
		}
	if (wrong) {
		describe(what, offset, length, first, bytes[first], expected[first]);
		(void)fprintf(stderr, "%zu bytes of it are wrong; the durable one is 0x%02x\n",
		              wrong, model->durable[offset + first]);
	}
	cf_unlock(&model->lock);
	return wrong == 0;
}

/* Marks in @fine the bytes of @write's range, read as @found, that @other may have left there. */
static void allow(const struct model_write *write, const uint8_t *found, uint8_t *fine,
                  const struct model_write *other)
{
	uint64_t start = write->offset > other->offset ? write->offset : other->offset;
	uint64_t write_end = write->offset + write->length;
	uint64_t other_end = other->offset + other->length;
	uint64_t end = write_end < other_end ? write_end : other_end;

	for (uint64_t at = start; at < end; at++)
		fine[at - write->offset] |=
		        found[at - write->offset] == other->bytes[at - other->offset];
}

static bool resolve_write(struct model *model, const struct model_write *write,
                          const uint8_t *found, uint8_t *fine)
{
	const uint8_t *durable = model->durable + write->offset;

	for (size_t i = 0; i < write->length; i++) {
		fine[i] = found[i] == durable[i];
		model->newer += !fine[i];
	}
	model->pending_bytes += write->length;
	for (const struct model_write *other = model->pending; other; other = other->next)
		allow(write, found, fine, other);
	for (size_t i = 0; i < write->length; i++)
		if (!fine[i]) {
			describe("after a crash: a write", write->offset, write->length, i,
			         found[i], durable[i]);
			(void)fprintf(stderr, "nor is it a newer one\n");
			return false;
		}
	memcpy(model->current + write->offset, found, write->length);
	return true;
}

static bool resolve_pending(struct model *model, model_read_fn *read, void *user, uint8_t *found,
                            uint8_t *fine)
{
	const struct model_write *write;

	for (write = model->pending; write; write = write->next)
		if (!read(user, write->offset, found, write->length) ||
		    !resolve_write(model, write, found, fine))
			return false;
	for (write = model->pending; write; write = write->next)
		memcpy(model->durable + write->offset, model->current + write->offset,
		       write->length);
	return true;
}

bool model_resolve(struct model *model, model_read_fn *read, void *user)
{
	size_t room = 1;
	uint8_t *found, *fine;
	bool resolved;

	model->newer = model->pending_bytes = 0;
	for (const struct model_write *write = model->pending; write; write = write->next)
		if (write->length > room)
			room = write->length;
	found = malloc(room);
	fine = malloc(room);
	resolved = found && fine && resolve_pending(model, read, user, found, fine);
	free(found);
	free(fine);
	drop_pending(model);
	return resolved;
}

void model_resolved(const struct model *model, uint64_t *ret_newer, uint64_t *ret_pending)
{
	*ret_newer = model->newer;
	*ret_pending = model->pending_bytes;
}

bool model_save(const struct model *model, const char *path)
{
	FILE *file = fopen(path, "we");
	bool saved = file && fwrite(model->current, 1, model->size, file) == model->size;

	if (file && fclose(file) != 0)
		saved = false;
	if (!saved)
		perror(path);
	return saved;
}
