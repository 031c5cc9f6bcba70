#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

struct server *http_server;

int fixture_start_server(void **state)
{
	(void)state;
	http_server = server_start(NULL);
	return 0;
}

int fixture_stop_server(void **state)
{
	(void)state;
	server_stop(http_server);
	return 0;
}

void fixture_image(const struct server *on, const char *name, uint64_t size)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", server_folder(on), name);
	pattern_write(path, size, 1);
}

struct source *fixture_open(const char *url, const struct source_options *options)
{
	const struct source_options patient = {.stall_ms = PATIENT_MS};
	struct cf_error err = {0};
	struct source *source;

	if (source_open(url, options ? options : &patient, &source, &err) < 0)
		fail_msg("%s", err.text);
	return source;
}

struct source_identity fixture_pin(struct source *source)
{
	struct cf_error err = {0};
	struct source_probe probe;

	if (source->ops->probe(source, PATIENT_MS, &probe, &err) < 0)
		fail_msg("%s", err.text);
	free(probe.head);
	source->ops->pin(source, &probe.identity);
	return probe.identity;
}

struct source *fixture_pinned(const struct server *on, const char *name,
                              const struct source_options *options)
{
	char url[256];
	struct source *source = fixture_open(server_url(on, name, url), options);

	(void)fixture_pin(source);
	return source;
}

struct source *fixture_serve(const char *name, uint64_t size, const struct source_options *options)
{
	fixture_image(http_server, name, size);
	return fixture_pinned(http_server, name, options);
}

void fixture_close(struct source *source)
{
	source->ops->close(source);
}

void fixture_expect_range(struct source *source, uint64_t offset, uint64_t length)
{
	struct collector *c = collector_new(source, offset, length);

	if (collector_run(c) != SOURCE_OK)
		fail_msg("range at %llu: %s", (unsigned long long)offset, c->outcome.error.text);
	assert_int_equal(c->length, length);
	collector_assert_pattern(c, 1);
	collector_free(c);
}
