/*
 * Memory that a burst needed and nobody has needed since goes back to the system: large reply
 * buffers, the engine's buffers, and the holes that were left in malloc()'s heaps. Without it the
 * daemon would stay as large as the worst moment of each of them, and grow with each new one.
 */
#ifndef CLONEFS_DAEMON_TRIM_H
#define CLONEFS_DAEMON_TRIM_H

#include <stdint.h>

struct image;

/* What was not needed for so long is given back, at the latest after twice the time. */
#define TRIM_PERIOD_MS UINT64_C(10000)

/* Zero: as if there had been no call yet. */
struct trim {
	uint64_t due_ns;
};

/* Before there are threads: how malloc() keeps what it has. */
void trim_prepare(void);

/* To be called again and again, by one thread; @now_ns is monotonic. Takes the image lock. */
void trim_keep(struct trim *trim, struct image *image, uint64_t now_ns);

#endif
