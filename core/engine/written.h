/*
 * Which regions hold acknowledged writes that are not durable yet: two sets, the one that takes
 * marks and the frozen one that a running commit makes durable. When a commit fails, both together
 * are the lost set (docs/architecture.md, "When something breaks") and never change again.
 *
 * A set knows which of its chunks were touched, so that freezing and emptying cost what was
 * written, not what the image holds; memory is reserved at once and used as it is touched, so that
 * marking allocates nothing. No locks: the caller has metadata's bitmap lock.
 */
#ifndef CLONEFS_ENGINE_WRITTEN_H
#define CLONEFS_ENGINE_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region_marks {
	uint64_t *words; /* owned; one bit per region */
	bool *touched;   /* owned; for each chunk of words */
	uint32_t *used;  /* owned; indexes of the chunks that were touched */
	uint32_t nr_used;
};

struct written {
	uint64_t nr_regions;
	struct region_marks current;
	struct region_marks frozen;
};

/* -ENOMEM. */
int written_init(struct written *written, uint64_t nr_regions);
/* Half-built ones too. */
void written_fini(struct written *written);

/* Marks [first, first + nr) as written now. */
void written_mark(struct written *written, uint64_t first, uint64_t nr);

bool written_is_empty(const struct written *written);

/* The current set becomes the frozen one, which must be empty. */
void written_freeze(struct written *written);
/* The frozen set is durable. */
void written_forget_frozen(struct written *written);

/* Takes out the regions for which @is_safe says true. */
void written_forget_if(struct written *written, bool (*is_safe)(void *user, uint64_t region),
                       void *user);

/* Is any region of the range in one of the sets? */
bool written_test(const struct written *written, uint64_t first, uint64_t nr);
/* How many regions are in one of the sets. */
uint64_t written_count(const struct written *written);
/* "3-5, 9" into @buf, cut with "..." where it is full. Returns @buf. */
char *written_describe(const struct written *written, char *buf, size_t buf_size);

#endif
