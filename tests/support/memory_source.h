/*
 * A source in memory that does what a test tells it: serves in several threads, stops in the middle
 * of a request until let go, delays, breaks, changes; and remembers what it was asked for.
 * Functions that wait give up (abort) after a minute, so that a broken test ends.
 */
#ifndef CLONEFS_TESTS_MEMORY_SOURCE_H
#define CLONEFS_TESTS_MEMORY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine/source.h"

struct memory_source;

/* Serves @size bytes at @data (borrowed), @nr_threads requests at a time. */
struct memory_source *memory_source_new(const void *data, uint64_t size, unsigned int nr_threads);
/* Cancels what is left, ends the threads. */
void memory_source_free(struct memory_source *ms);
struct source *memory_source_base(struct memory_source *ms);

/* Each request stops after @bytes of it, until the gate is moved. 0: before its first byte;
 * UINT64_MAX (the beginning): does not stop. */
void memory_source_gate(struct memory_source *ms, uint64_t bytes);
/* Requests for less than @length bytes do not stop at it; 0 at first. */
void memory_source_gate_from(struct memory_source *ms, uint64_t length);
/* It is behind connections from now on. Before use. */
void memory_source_connect(struct memory_source *ms);
/* Requests for @length bytes or more get no byte from now on, and those that are open none more,
 * also later, until they are cancelled: packets are lost. UINT64_MAX: new ones are served again. */
void memory_source_swallow(struct memory_source *ms, uint64_t length);
/* Bytes for one data() call; 128 KiB at first. */
void memory_source_set_chunk(struct memory_source *ms, size_t bytes);
/* Before each data() call something between 0 and @max_us passes, from @seed; and requests are not
 * served in their order. */
void memory_source_set_delay(struct memory_source *ms, unsigned int max_us, uint64_t seed);

/* The next @count requests that are served end with @result after @bytes of theirs. */
void memory_source_plan(struct memory_source *ms, unsigned int count, enum source_result result,
                        uint64_t bytes, uint64_t retry_after_ms);
/* It serves so many at a time, and refuses what is more as too much, at once and without a word of
 * how long to wait. */
void memory_source_refuse_above(struct memory_source *ms, unsigned int nr);
uint64_t memory_source_nr_refused(struct memory_source *ms);
/* All of them do so from now on, without a byte; SOURCE_OK: it works again. */
void memory_source_break(struct memory_source *ms, enum source_result result);

/* It can share its blocks with a destination from now on (which costs a write here). Before use. */
void memory_source_let_share(struct memory_source *ms);
/* The next @count attempts fail with @error (negative errno), half done. */
void memory_source_fail_shares(struct memory_source *ms, unsigned int count, int error);
/* Attempts so far, and bytes that those which succeeded have shared. */
uint64_t memory_source_nr_shares(struct memory_source *ms);
uint64_t memory_source_nr_shared(struct memory_source *ms);

struct memory_source_asked {
	uint64_t offset, length;
	enum source_class class;
	bool fresh_connection;
};

/* Requests submitted so far, and what the @i-th (from 0) asked for. */
size_t memory_source_nr_asked(struct memory_source *ms);
struct memory_source_asked memory_source_asked(struct memory_source *ms, size_t i);
/* Waits until so many were submitted. */
void memory_source_wait_asked(struct memory_source *ms, size_t nr);
/* Waits until a request stands at the gate, or waits for room. */
void memory_source_wait_held(struct memory_source *ms, unsigned int nr);
/* Submitted and not done. */
size_t memory_source_nr_open(struct memory_source *ms);
/* The most there ever were. */
size_t memory_source_most_open(struct memory_source *ms);
uint64_t memory_source_nr_bytes(struct memory_source *ms);
uint64_t memory_source_nr_cancelled(struct memory_source *ms);
struct source_limits memory_source_limits(struct memory_source *ms);

#endif
