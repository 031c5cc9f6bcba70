/* How long to wait before something that failed is tried again. */
#ifndef CLONEFS_BASE_BACKOFF_H
#define CLONEFS_BASE_BACKOFF_H

#include <stdint.h>

/* Full jitter: something between 0 and min(5 s, 100 ms doubled @attempts times). */
uint64_t backoff_ns(unsigned int attempts);

#endif
