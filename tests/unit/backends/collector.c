#include "collector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No image of these tests is larger. */
#define PATTERN_MAX ((uint64_t)64 << 20)

static struct collector *collector_of(struct source_request *req)
{
	return (struct collector *)req;
}

static bool on_data(struct source_request *req, const void *bytes, size_t length)
{
	struct collector *c = collector_of(req);
	bool take;

	pthread_mutex_lock(&c->lock);
	take = !c->refuse_at || c->length < c->refuse_at;
	if (take) {
		memcpy(c->bytes + c->length, bytes, length);
		c->length += length;
	} else {
		c->nr_refusals++;
	}
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (c->on_data)
		c->on_data(c);
	return take;
}

static void on_done(struct source_request *req, const struct source_outcome *outcome)
{
	struct collector *c = collector_of(req);

	if (c->on_done)
		c->on_done(c);
	pthread_mutex_lock(&c->lock);
	c->nr_done++;
	c->outcome = *outcome;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static const struct source_sink collector_sink = {.data = on_data, .done = on_done};

struct collector *collector_new(struct source *source, uint64_t offset, uint64_t length)
{
	struct collector *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->source = source;
	c->req.offset = offset;
	c->req.length = length;
	c->req.class = SOURCE_FOREGROUND;
	c->req.sink = &collector_sink;
	c->bytes = malloc(length);
	assert_non_null(c->bytes);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	return c;
}

void collector_free(struct collector *c)
{
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c->bytes);
	free(c);
}

void collector_submit(struct collector *c)
{
	pthread_mutex_lock(&c->lock);
	c->length = 0;
	c->nr_done = 0;
	c->nr_refusals = 0;
	pthread_mutex_unlock(&c->lock);
	c->source->ops->submit(c->source, &c->req);
}

enum source_result collector_wait(struct collector *c)
{
	enum source_result result;

	pthread_mutex_lock(&c->lock);
	while (!c->nr_done)
		pthread_cond_wait(&c->cond, &c->lock);
	result = c->outcome.result;
	assert_int_equal(c->nr_done, 1);
	pthread_mutex_unlock(&c->lock);
	return result;
}

void collector_wait_for_bytes(struct collector *c, uint64_t length)
{
	pthread_mutex_lock(&c->lock);
	while (c->length < length && !c->nr_done)
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void collector_wait_for_refusals(struct collector *c, unsigned int count)
{
	pthread_mutex_lock(&c->lock);
	while (c->nr_refusals < count && !c->nr_done)
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void collector_accept(struct collector *c)
{
	pthread_mutex_lock(&c->lock);
	c->refuse_at = 0;
	pthread_mutex_unlock(&c->lock);
	c->source->ops->resume(c->source, &c->req);
}

enum source_result collector_run(struct collector *c)
{
	collector_submit(c);
	return collector_wait(c);
}

unsigned char pattern_byte(uint64_t offset, unsigned int version)
{
	uint64_t x = (offset >> 3) * UINT64_C(0x9E3779B97F4A7C15) + version * UINT64_C(0xD1B54A33);

	x ^= x >> 29;
	x *= UINT64_C(0xBF58476D1CE4E5B9);
	x ^= x >> 32;
	return (unsigned char)(x >> (8 * (offset & 7)));
}

/* The first @size bytes of version 1 or 2, made once and kept: comparing is then cheap. */
static const unsigned char *pattern(uint64_t size, unsigned int version)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned char *kept[3];
	static uint64_t kept_size[3];
	unsigned char *bytes;

	assert_in_range(version, 1, 2);
	assert_in_range(size, 0, PATTERN_MAX);
	pthread_mutex_lock(&lock);
	if (!kept[version])
		kept[version] = malloc(PATTERN_MAX);
	bytes = kept[version];
	assert_non_null(bytes);
	for (; kept_size[version] < size; kept_size[version]++)
		bytes[kept_size[version]] = pattern_byte(kept_size[version], version);
	pthread_mutex_unlock(&lock);
	return bytes;
}

void collector_assert_pattern(struct collector *c, unsigned int version)
{
	uint64_t offset = c->req.offset;
	const unsigned char *expected = pattern(offset + c->length, version) + offset;

	if (memcmp(c->bytes, expected, c->length) == 0)
		return;
	for (uint64_t i = 0; i < c->length; i++)
		if (c->bytes[i] != expected[i])
			fail_msg("byte %llu of the request at %llu is wrong", (unsigned long long)i,
			         (unsigned long long)offset);
}

void pattern_write(const char *path, uint64_t size, unsigned int version)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, pattern(size, version), size), (ssize_t)size);
	assert_int_equal(close(fd), 0);
}
