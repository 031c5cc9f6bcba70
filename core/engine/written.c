#include "core/engine/written.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_WORDS   512u
#define CHUNK_REGIONS (CHUNK_WORDS * 64u)

static uint64_t nr_chunks_of(const struct written *written)
{
	return (written->nr_regions - 1) / CHUNK_REGIONS + 1;
}

static int marks_init(struct region_marks *marks, uint64_t nr_chunks)
{
	/* calloc() of something large reserves address space; pages come when they are touched. */
	*marks = (struct region_marks){
	        .words = calloc(nr_chunks, CHUNK_WORDS * sizeof(marks->words[0])),
	        .touched = calloc(nr_chunks, sizeof(marks->touched[0])),
	        .used = calloc(nr_chunks, sizeof(marks->used[0])),
	};
	return marks->words && marks->touched && marks->used ? 0 : -ENOMEM;
}

static void marks_fini(struct region_marks *marks)
{
	free(marks->words);
	free(marks->touched);
	free(marks->used);
	*marks = (struct region_marks){0};
}

static void marks_clear(struct region_marks *marks)
{
	for (uint32_t i = 0; i < marks->nr_used; i++) {
		uint32_t chunk = marks->used[i];

		memset(marks->words + (size_t)chunk * CHUNK_WORDS, 0,
		       CHUNK_WORDS * sizeof(marks->words[0]));
		marks->touched[chunk] = false;
	}
	marks->nr_used = 0;
}

static void marks_set(struct region_marks *marks, uint64_t region)
{
	uint64_t chunk = region / CHUNK_REGIONS;

	if (!marks->touched[chunk]) {
		marks->touched[chunk] = true;
		marks->used[marks->nr_used++] = (uint32_t)chunk;
	}
	marks->words[region / 64] |= UINT64_C(1) << (region % 64);
}

int written_init(struct written *written, uint64_t nr_regions)
{
	*written = (struct written){.nr_regions = nr_regions};
	if (marks_init(&written->current, nr_chunks_of(written)) < 0 ||
	    marks_init(&written->frozen, nr_chunks_of(written)) < 0) {
		written_fini(written);
		return -ENOMEM;
	}
	return 0;
}

void written_fini(struct written *written)
{
	marks_fini(&written->current);
	marks_fini(&written->frozen);
}

void written_mark(struct written *written, uint64_t first, uint64_t nr)
{
	assert(first + nr <= written->nr_regions);
	for (uint64_t region = first; region < first + nr; region++)
		marks_set(&written->current, region);
}

bool written_is_empty(const struct written *written)
{
	return !written->current.nr_used && !written->frozen.nr_used;
}

void written_freeze(struct written *written)
{
	struct region_marks empty = written->frozen;

	assert(!empty.nr_used);
	written->frozen = written->current;
	written->current = empty;
}

void written_forget_frozen(struct written *written)
{
	marks_clear(&written->frozen);
}

static uint64_t union_word(const struct written *written, uint64_t word)
{
	return written->current.words[word] | written->frozen.words[word];
}

static bool is_touched(const struct written *written, uint64_t chunk)
{
	return written->current.touched[chunk] || written->frozen.touched[chunk];
}

bool written_test(const struct written *written, uint64_t first, uint64_t nr)
{
	for (uint64_t region = first; region < first + nr; region++) {
		if (union_word(written, region / 64) >> (region % 64) & 1)
			return true;
	}
	return false;
}

uint64_t written_count(const struct written *written)
{
	uint64_t count = 0;

	for (uint64_t chunk = 0; chunk < nr_chunks_of(written); chunk++) {
		if (!is_touched(written, chunk))
			continue;
		for (uint64_t word = 0; word < CHUNK_WORDS; word++)
			count += (unsigned int)__builtin_popcountll(
			        union_word(written, chunk * CHUNK_WORDS + word));
	}
	return count;
}

/* The first region >= @start in one of the sets; nr_regions when there is none. */
static uint64_t find_marked(const struct written *written, uint64_t start)
{
	uint64_t region = start;

	while (region < written->nr_regions) {
		if (!is_touched(written, region / CHUNK_REGIONS))
			region = (region / CHUNK_REGIONS + 1) * CHUNK_REGIONS;
		else if (written_test(written, region, 1))
			return region;
		else
			region++;
	}
	return written->nr_regions;
}

void written_forget_if(struct written *written, bool (*is_safe)(void *user, uint64_t region),
                       void *user)
{
	uint64_t region = find_marked(written, 0);

	while (region < written->nr_regions) {
		if (is_safe(user, region)) {
			uint64_t mask = ~(UINT64_C(1) << (region % 64));

			written->current.words[region / 64] &= mask;
			written->frozen.words[region / 64] &= mask;
		}
		region = find_marked(written, region + 1);
	}
}

char *written_describe(const struct written *written, char *buf, size_t buf_size)
{
	uint64_t first = find_marked(written, 0);
	size_t length = 0;

	assert(buf_size >= 8);
	buf[0] = '\0';
	while (first < written->nr_regions) {
		uint64_t last = first;
		char range[64];
		int n;

		while (last + 1 < written->nr_regions && written_test(written, last + 1, 1))
			last++;
		n = last > first ? snprintf(range, sizeof(range), "%s%" PRIu64 "-%" PRIu64,
		                            length ? ", " : "", first, last)
		                 : snprintf(range, sizeof(range), "%s%" PRIu64, length ? ", " : "",
		                            first);
		/* Room for this range, and behind it for ", ..." and the end. */
		if (length + (size_t)n + 6 > buf_size) {
			memcpy(buf + length, length ? ", ..." : "...", length ? 6 : 4);
			break;
		}
		memcpy(buf + length, range, (size_t)n + 1);
		length += (size_t)n;
		first = find_marked(written, last + 1);
	}
	return buf;
}
