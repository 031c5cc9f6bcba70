/* The workload: users who read, write, punch, zero, fsync, pause, cancel and sleep, each in a
 * thread of his own, until they have done enough or the process is killed. */
#ifndef CLONEFS_TESTS_USERS_H
#define CLONEFS_TESTS_USERS_H

#include "tests/crash/world.h"

struct image;
struct memory_source;

void users_work(struct world *world, struct image *img, struct memory_source *source);
/* Reads all windows through the image. */
void users_read_all(struct world *world, struct image *img);
/* An fsync. */
void users_flush(struct world *world, struct image *img);

#endif
