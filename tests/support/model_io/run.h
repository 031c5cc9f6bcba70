/* The threads, the crashes between their operations, and the last look at everything. */
#ifndef CLONEFS_TESTS_MODEL_IO_RUN_H
#define CLONEFS_TESTS_MODEL_IO_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/model_io/operations.h"

struct run_options {
	const char *image, *begin, *kill, *mount, *save;
	bool compare_all; /* after each crash */
	uint64_t region_size;
	uint64_t operations;
	uint64_t crash_every;
	uint64_t seed;
	unsigned int threads;
	unsigned int weights[NR_OPERATIONS];
};

/* The program's exit status. */
int run(const struct run_options *options);

#endif
