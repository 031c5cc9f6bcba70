/*
 * All ways in which the power can fail during what a world's disks have recorded. In each interval
 * between two syncs there is a cut right before the second one and one at a random moment. At a cut
 * the writes that no sync has made durable are there or not: none, all, those of one disk, each
 * single one, all but one, random ones, and random sectors of them. As sectors of older and newer
 * writes persist independently of each other, this contains every order.
 *
 * Each state is opened by the real code and held against the model.
 */
#ifndef CLONEFS_TESTS_CUT_H
#define CLONEFS_TESTS_CUT_H

#include "tests/crash/world.h"

struct cut_figures {
	uint64_t nr_states; /* opened and checked; equal ones of one cut count once */
	uint64_t nr_cuts;
};

/*
 * Checks what a power cut can leave, and counts it. Then the power really fails: one of the states
 * is what the world goes on with.
 */
void cut_everywhere(struct world *world, struct cut_figures *figures);
/* The same for the last interval and for one in @every of the others. */
void cut_here_and_there(struct world *world, uint64_t every, struct cut_figures *figures);

#endif
