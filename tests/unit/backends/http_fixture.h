/* What the tests of the http source share: a server, images on it, sources that are pinned. */
#ifndef CLONEFS_TESTS_BACKENDS_HTTP_FIXTURE_H
#define CLONEFS_TESTS_BACKENDS_HTTP_FIXTURE_H

#include "backends/registry.h"
#include "collector.h"
#include "server.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

/* No attempt of a test fails by this unless it is meant to. */
#define PATIENT_MS 120000

/* The server of a group of tests, between the two. */
extern struct server *http_server;
int fixture_start_server(void **state);
int fixture_stop_server(void **state);

/* Writes version 1 of an image to the server's folder. */
void fixture_image(const struct server *on, const char *name, uint64_t size);

/* Opens or fails the test. NULL options: patient, the rest as by default. */
struct source *fixture_open(const char *url, const struct source_options *options);
/* Probes, pins what was found, and returns it. */
struct source_identity fixture_pin(struct source *source);
/* Both, for an image of the server. */
struct source *fixture_pinned(const struct server *on, const char *name,
                              const struct source_options *options);
/* A new image of the group's server, pinned. */
struct source *fixture_serve(const char *name, uint64_t size, const struct source_options *options);
void fixture_close(struct source *source);

/* Fails the test unless a request for the range ends well, with the bytes of version 1. */
void fixture_expect_range(struct source *source, uint64_t offset, uint64_t length);

#endif
