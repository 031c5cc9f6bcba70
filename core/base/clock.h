/* Clocks. Monotonic times are for deadlines and rates, wall-clock times for people. */
#ifndef CLONEFS_BASE_CLOCK_H
#define CLONEFS_BASE_CLOCK_H

#include <stdint.h>

#define CF_NS_PER_MS UINT64_C(1000000)
#define CF_NS_PER_S  UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC; never 0. */
uint64_t clock_monotonic_ns(void);

/* Milliseconds since 1970 of the wall clock. */
int64_t clock_wall_ms(void);

#endif
