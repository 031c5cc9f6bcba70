/*
 * What the engine's tests share: an image on a memory source, a memory destination that begins full
 * of garbage, and memory metadata; and calls that wait for their answer.
 */
#ifndef CLONEFS_TESTS_ENGINE_FIXTURE_H
#define CLONEFS_TESTS_ENGINE_FIXTURE_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/engine/image.h"
#include "core/metadata/metadata.h"
#include "tests/support/memory_io.h"
#include "tests/support/memory_source.h"

#define KIB          UINT64_C(1024)
#define MIB          (1024 * KIB)
#define GARBAGE      0xA5
#define MAX_EVENTS   512
#define FIXTURE_WAIT (60 * CF_NS_PER_S)

struct told {
	enum image_event_kind kind;
	uint64_t value;
	char text[256];
};

struct fixture {
	uint64_t size, region_size;
	unsigned char *source_data; /* owned: what the source holds */
	struct memory_source *source;
	struct block_io *destination;
	struct block_io *metadata_io;
	struct metadata *metadata;
	struct image_params params; /* for the next fixture_open() */
	struct image *img;

	struct cf_mutex lock; /* protects: told, nr_told, nr_invalidate, nr_first_modify */
	struct cf_cond changed;
	struct told told[MAX_EVENTS];
	size_t nr_told;
	unsigned int nr_invalidate;
	unsigned int nr_first_modify;
	int first_modify_error;
};

/* An image of @size bytes, not open yet: params may be changed. Background is off (threshold 0),
 * max_connections 8, timeout 30 s. Every fifth region of the source is zeros. */
struct fixture *fixture_new(uint64_t size, uint64_t region_size);
/* The same on given devices (borrowed until freed: owned from then on). */
void fixture_open(struct fixture *fx);
/* The same, and background begins as if all of the source had come before: its requests are as long
 * as the settings allow (core/engine/background.c). */
void fixture_open_with_long_requests(struct fixture *fx);
/* Closes the image; returns what image_close() said. */
int fixture_close(struct fixture *fx);
/* fixture_new() and fixture_open(). */
struct fixture *fixture_opened(uint64_t size, uint64_t region_size);
void fixture_free(struct fixture *fx);
/* timeout= of an open image. */
void set_timeout(struct fixture *fx, uint64_t timeout_ms);

/* One answer that is waited for. Give it back with answer_free(). */
struct answer {
	struct cf_mutex lock;
	struct cf_cond changed;
	bool done;
	int error;
	unsigned char *data; /* owned copy of a read's bytes */
	size_t length;
	struct image *img;
	struct image_request *req;
	pthread_t thread;
	bool has_thread;
};

struct answer *start_read(struct fixture *fx, uint64_t offset, size_t length);
struct answer *start_write(struct fixture *fx, uint64_t offset, const void *data, size_t length);
struct answer *start_range(struct fixture *fx, enum image_range_op op, uint64_t offset,
                           uint64_t length);
struct answer *start_flush(struct fixture *fx);
/* image_flush_here() */
struct answer *start_flush_here(struct fixture *fx);
/* The same on a thread of its own: for destinations that hang. It cannot be cancelled. */
struct answer *start_flush_elsewhere(struct fixture *fx);
struct answer *start_pause(struct fixture *fx);
bool answer_is_done(struct answer *answer);
/* Waits; the error. */
int answer_wait(struct answer *answer);
void answer_cancel(struct answer *answer, int error);
/* Waits as well. */
int answer_free(struct answer *answer);

/* Reads as the daemon does: hydrated first. 0 or the error. */
int do_read(struct fixture *fx, void *buf, uint64_t offset, size_t length);
int do_write(struct fixture *fx, uint64_t offset, const void *data, size_t length);
int do_range(struct fixture *fx, enum image_range_op op, uint64_t offset, uint64_t length);
int do_flush(struct fixture *fx);
int do_pause(struct fixture *fx);

/* The range reads as the source has it. */
void assert_reads_source(struct fixture *fx, uint64_t offset, size_t length);
void assert_reads(struct fixture *fx, uint64_t offset, size_t length, const void *expected);
void assert_answer_is_source(struct fixture *fx, struct answer *answer, uint64_t offset);

/* A buffer of @length bytes @value; free it. */
void *filled(size_t length, int value);

struct image_status status_of(struct fixture *fx);
/* Waits until the condition holds, looking every millisecond; fails after a minute. */
#define wait_until(condition)                                                   \
	do {                                                                    \
		uint64_t give_up_ = clock_monotonic_ns() + FIXTURE_WAIT;        \
		while (!(condition)) {                                          \
			if (clock_monotonic_ns() > give_up_)                    \
				fail_msg("waited a minute for %s", #condition); \
			fixture_sleep_ms(1);                                    \
		}                                                               \
	} while (0)
void fixture_sleep_ms(unsigned int ms);

size_t nr_events(struct fixture *fx, enum image_event_kind kind);
unsigned int nr_invalidations(struct fixture *fx);
/* Waits for the first event of the kind. */
struct told wait_event(struct fixture *fx, enum image_event_kind kind);

#endif
