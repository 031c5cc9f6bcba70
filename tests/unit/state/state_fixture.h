/*
 * A folder of its own for each test, with a source file in it, and short words for what the tests
 * of creating and opening clones do again and again.
 */
#ifndef TESTS_UNIT_STATE_FIXTURE_H
#define TESTS_UNIT_STATE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state/state.h"

/* Not a multiple of a sector; 16 regions of 64 KiB. */
#define IMAGE_SIZE    UINT64_C(1000001)
#define IMAGE_SECTORS UINT64_C(1954)

struct fixture {
	char folder[64];
	struct source_name *source; /* FOLDER/source */
	struct state_request request;
	struct source_identity identity;
};

extern struct fixture fixture;
/* Where the fixtures' folders are: /tmp unless a test says otherwise. */
extern const char *fixture_parent;

int fixture_setup(void **context);
int fixture_teardown(void **context);
/* For the next case of a table: all anew. */
void fixture_again(void);

/* FOLDER/REST, in one of a few buffers that take turns. */
const char *fixture_path(const char *rest);

void fixture_write(const char *path, const void *data, uint64_t length, uint64_t offset);
void fixture_truncate(const char *path, uint64_t size); /* makes it if need be */
uint64_t fixture_size(const char *path);                /* fails if there is none */
unsigned int fixture_mode(const char *path);
bool fixture_exists(const char *path);
/* Formats metadata at @path (1 MiB, made anew) and hydrates the first @nr_hydrated regions. */
void fixture_metadata(const char *path, uint64_t sectors, uint64_t region_size,
                      uint64_t nr_hydrated);
/* A digest of the file, to see that it did not change. */
uint64_t fixture_digest(const char *path);

/* Acquires, creates, opens, releases; each must succeed. */
void fixture_create(void);
/* The same with what is asked for in @request; 0 or the error, in @err. */
int fixture_try_create(const struct state_request *request, struct cf_error *err);
/* Acquires (which must find a clone) and opens. */
int fixture_try_open(const struct state_request *request, struct cf_error *err);

/* @format with each "@" replaced by the fixture's folder equals @text. */
void fixture_assert_sentence(const char *text, const char *expected);

#endif
