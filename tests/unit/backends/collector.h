/*
 * The engine's part, for tests: a request whose bytes are collected and whose end can be waited
 * for. Each has its own lock; waiting has no time limit of its own (ctest has one).
 */
#ifndef CLONEFS_TESTS_BACKENDS_COLLECTOR_H
#define CLONEFS_TESTS_BACKENDS_COLLECTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/engine/source.h"

struct collector {
	struct source_request req; /* first */
	struct source *source;
	unsigned char *bytes;
	/* Set before submit; what the sink's functions do besides collecting. */
	uint64_t refuse_at; /* data() returns false once this many bytes are there; 0: never */
	void (*on_data)(struct collector *c);
	void (*on_done)(struct collector *c);
	/* For on_done: */
	unsigned int place;
	struct collector *next;

	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t cond;
	uint64_t length; /* bytes taken */
	unsigned int nr_refusals;
	unsigned int nr_done;
	struct source_outcome outcome;
};

struct collector *collector_new(struct source *source, uint64_t offset, uint64_t length);
void collector_free(struct collector *c);

void collector_submit(struct collector *c);
/* Returns the result. */
enum source_result collector_wait(struct collector *c);
/* Waits until at least @length bytes were taken. */
void collector_wait_for_bytes(struct collector *c, uint64_t length);
void collector_wait_for_refusals(struct collector *c, unsigned int count);
/* From now on everything is taken; resumes. */
void collector_accept(struct collector *c);
/* submit and wait in one. */
enum source_result collector_run(struct collector *c);

/* The bytes of the test images: what stands at @offset in version @version. */
unsigned char pattern_byte(uint64_t offset, unsigned int version);
/* Fails the test unless @c's bytes are those of @version. */
void collector_assert_pattern(struct collector *c, unsigned int version);
/* Writes @size bytes of @version to @path. */
void pattern_write(const char *path, uint64_t size, unsigned int version);

#endif
