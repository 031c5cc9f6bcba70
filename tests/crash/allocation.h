/*
 * Lets allocations of the product fail: the linker puts this file between it and malloc, calloc,
 * reallocarray, realloc and mmap (--wrap). The harness itself is compiled to call other names
 * (CMakeLists.txt), so it is not counted.
 */
#ifndef CLONEFS_TESTS_ALLOCATION_H
#define CLONEFS_TESTS_ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>

struct allocation_fault {
	uint64_t in;  /* the in-th allocation fails (1: the next); 0: none */
	bool forever; /* and all that follow */
	uint64_t nr_failed;
};

extern struct allocation_fault allocation_fault;

#endif
