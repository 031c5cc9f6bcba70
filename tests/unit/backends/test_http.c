#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/registry.h"
#include "collector.h"
#include "server.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static struct server *server;

static void write_image(const char *name, uint64_t size, unsigned int version)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", server_folder(server), name);
	pattern_write(path, size, version);
}

static struct source *open_url(const char *url, const struct source_options *opts)
{
	struct source_options none = {0};
	struct source *source;
	struct cf_error err = {0};

	if (source_open(url, opts ? opts : &none, &source, &err) < 0)
		fail_msg("%s", err.text);
	return source;
}

static void probe_and_pin(struct source *source)
{
	struct source_probe probe;
	struct cf_error err = {0};

	if (source->ops->probe(source, 60000, &probe, &err) < 0)
		fail_msg("%s", err.text);
	free(probe.head);
	source->ops->pin(source, &probe.identity);
}

static struct source *open_pinned(const char *name, const struct source_options *opts)
{
	char url[256];
	struct source *source = open_url(server_url(server, name, url), opts);

	probe_and_pin(source);
	return source;
}

static void ranges_arrive_whole_and_right(void **state)
{
	struct source *source;
	struct collector *c[3];

	(void)state;
	write_image("ranges", 3 * MIB + 777, 1);
	source = open_pinned("ranges", NULL);
	c[0] = collector_new(source, 0, 64 * KIB);
	c[1] = collector_new(source, 1000001, 2 * MIB);
	c[2] = collector_new(source, 3 * MIB + 776, 1);
	for (int i = 0; i < 3; i++)
		collector_submit(c[i]);
	for (int i = 0; i < 3; i++) {
		if (collector_wait(c[i]) != SOURCE_OK)
			fail_msg("%s", c[i]->outcome.error.text);
		assert_int_equal(c[i]->length, c[i]->req.length);
		collector_assert_pattern(c[i], 1);
		collector_free(c[i]);
	}
	source->ops->close(source);
}

static void the_probe_brings_identity_and_head(void **state)
{
	struct source_probe probe;
	struct cf_error err = {0};
	struct source *source;
	char url[256];

	(void)state;
	write_image("probe", 200000, 1);
	source = open_url(server_url(server, "probe", url), NULL);
	assert_int_equal(source->ops->probe(source, 60000, &probe, &err), 0);
	assert_int_equal(probe.identity.size, 200000);
	assert_true(probe.identity.etag[0] == '"');
	assert_true(probe.identity.last_modified[0] != 0);
	assert_true(probe.identity.mtime_ns > 0);
	assert_false(probe.weak_validators);
	assert_false(probe.is_device);
	assert_int_equal(probe.head_length, SOURCE_HEAD_MAX);
	for (size_t i = 0; i < probe.head_length; i++)
		assert_int_equal(probe.head[i], pattern_byte(i, 1));
	free(probe.head);
	source->ops->close(source);
	assert_int_equal(server_count_requests(server, "probe", ""), 1);
	assert_int_equal(server_count_requests(server, "probe", "\"method\":\"GET\""), 1);
}

static int start(void **state)
{
	(void)state;
	server = server_start(NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_stop(server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ranges_arrive_whole_and_right),
	        cmocka_unit_test(the_probe_brings_identity_and_head),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
