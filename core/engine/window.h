/*
 * How far ahead of a sequential reader is asked for, and in requests of what length. Pure: bytes
 * in, bytes out, no state, no lock.
 *
 * Requests bring their bytes side by side, and he wants them in order. Each of sixteen has a
 * sixteenth of the rate at which he goes on, so a request that is a sixteenth as long as it is away
 * from him is there when he comes, and any longer one would make him wait. Towards the image's end
 * they become shorter, so that all connections have something to do until it is there.
 */
#ifndef CLONEFS_ENGINE_WINDOW_H
#define CLONEFS_ENGINE_WINDOW_H

#include <stdint.h>

/* The longest request. */
#define WINDOW_REQUEST_MAX (UINT64_C(16) << 20)

/* The reader has consumed @consumed; @two_seconds: what the source brings in two seconds, at its
 * best of late. Four times what he consumed, sixteen times behind the first MiB while no more than
 * half a second's. At the most what eight seconds bring, but not less than 8 MiB (or a region), and
 * 128 MiB, or up to 256 of a source that brings as much in half a second. */
uint64_t window_length(uint64_t consumed, uint64_t two_seconds, uint64_t region_size);

/* One that begins @distance ahead of him, of @rest that are left to ask for until the image's end.
 */
uint64_t window_request(uint64_t window, uint64_t distance, uint64_t rest);

#endif
