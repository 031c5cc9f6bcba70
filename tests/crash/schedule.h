/*
 * Threads that run one at a time, in an order that depends on a seed and nothing else, on a clock
 * that moves only when it is looked at or when everybody waits. A run can be repeated exactly, and
 * waiting costs nothing: the second until a timer's commit is over as soon as nobody has work.
 *
 * The linker puts this file between the product and pthread (CMakeLists.txt, --wrap): from
 * schedule_begin() to schedule_end() threads are coroutines on the caller's thread, and mutexes,
 * condition variables, usleep(), getrandom() and clock_monotonic_ns() are the scheduler's. Outside
 * they are the real ones. When everybody waits for each other, the program says so and aborts.
 */
#ifndef CLONEFS_TESTS_SCHEDULE_H
#define CLONEFS_TESTS_SCHEDULE_H

#include <stdint.h>

/* The calling thread becomes the first of the scheduled ones. */
void schedule_begin(uint64_t seed);
/* All other threads have been joined. */
void schedule_end(void);

/* Somebody else may run now; and one in @n times. */
void schedule_yield(void);
void schedule_yield_one_in(uint64_t n);
/* Others run for so long. */
void schedule_sleep_ns(uint64_t ns);

#endif
