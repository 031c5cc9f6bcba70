/* The workload: users who read, write, punch, zero, fsync, pause, cancel and sleep, each in a
 * thread of his own, until they have done enough or the process is killed. */
#ifndef CLONEFS_TESTS_USERS_H
#define CLONEFS_TESTS_USERS_H

#include "tests/crash/world.h"

struct image;
struct memory_source;

enum call_kind { CALL_READ, CALL_CHANGE, CALL_FLUSH };

/* Bytes of the image, within one window. */
struct user_range {
	uint64_t offset; /* in the image */
	uint64_t at;     /* in the windows */
	uint64_t length;
};

void users_work(struct world *world, struct image *img, struct memory_source *source);
/* Reads all windows through the image. */
void users_read_all(struct world *world, struct image *img);
/* Single calls, checked like those of a user. 0, or an error that world.tolerates() let pass. */
int users_flush(struct world *world, struct image *img);
int users_read(struct world *world, struct image *img, const struct user_range *range);
int users_change(struct world *world, struct image *img, const struct user_range *range,
                 bool punch);

#endif
