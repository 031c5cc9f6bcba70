#include "engine_fixture.h"

#include <time.h>

#include "core/base/geometry.h"
#include "core/engine/engine_internal.h"
#include "core/engine/request.h"

void fixture_sleep_ms(unsigned int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&ts, NULL);
}

void *filled(size_t length, int value)
{
	void *buf = malloc(length ? length : 1);

	assert_non_null(buf);
	memset(buf, value, length);
	return buf;
}

/* ---- callbacks ---- */

static void on_event(void *user, const struct image_event *event)
{
	struct fixture *fx = user;

	cf_lock(&fx->lock);
	assert_true(fx->nr_told < MAX_EVENTS);
	fx->told[fx->nr_told].kind = event->kind;
	fx->told[fx->nr_told].value = event->value;
	(void)snprintf(fx->told[fx->nr_told].text, sizeof(fx->told[0].text), "%.255s", event->text);
	fx->nr_told++;
	cf_cond_broadcast(&fx->changed);
	cf_unlock(&fx->lock);
}

static void on_invalidate(void *user)
{
	struct fixture *fx = user;

	cf_lock(&fx->lock);
	fx->nr_invalidate++;
	cf_unlock(&fx->lock);
}

static int on_first_modify(void *user)
{
	struct fixture *fx = user;
	int r;

	cf_lock(&fx->lock);
	fx->nr_first_modify++;
	r = fx->first_modify_error;
	cf_unlock(&fx->lock);
	return r;
}

size_t nr_events(struct fixture *fx, enum image_event_kind kind)
{
	size_t nr = 0;

	cf_lock(&fx->lock);
	for (size_t i = 0; i < fx->nr_told; i++)
		nr += fx->told[i].kind == kind;
	cf_unlock(&fx->lock);
	return nr;
}

unsigned int nr_invalidations(struct fixture *fx)
{
	unsigned int nr;

	cf_lock(&fx->lock);
	nr = fx->nr_invalidate;
	cf_unlock(&fx->lock);
	return nr;
}

struct told wait_event(struct fixture *fx, enum image_event_kind kind)
{
	uint64_t give_up = clock_monotonic_ns() + FIXTURE_WAIT;
	struct told told = {0};
	bool found = false;

	cf_lock(&fx->lock);
	while (!found) {
		for (size_t i = 0; i < fx->nr_told && !found; i++) {
			if (fx->told[i].kind == kind) {
				told = fx->told[i];
				found = true;
			}
		}
		if (!found && !cf_cond_wait_until(&fx->changed, &fx->lock, give_up))
			break;
	}
	cf_unlock(&fx->lock);
	if (!found)
		fail_msg("no event of kind %d within a minute", (int)kind);
	return told;
}

/* ---- the image ---- */

#define FILL_BLOCK  ((size_t)4096)
#define FILL_PERIOD ((size_t)256)

/* No two blocks near each other are alike. Computed for one period and copied from there:
 * sanitizers make a loop over each byte of a large source a quarter of a minute. */
static void fill_block(unsigned char *block, uint64_t at, size_t length)
{
	for (size_t i = 0; i < length && i < FILL_PERIOD; i++)
		block[i] = (unsigned char)(i * 31 + at / FILL_BLOCK * 7 + at / MIB + 1);
	for (size_t i = FILL_PERIOD; i < length; i += FILL_PERIOD)
		memcpy(block + i, block, length - i < FILL_PERIOD ? length - i : FILL_PERIOD);
}

static void fill_source(struct fixture *fx)
{
	for (uint64_t at = 0; at < fx->size; at += FILL_BLOCK) {
		size_t length = fx->size - at < FILL_BLOCK ? (size_t)(fx->size - at) : FILL_BLOCK;

		if (at / fx->region_size % 5 == 4)
			memset(fx->source_data + at, 0, length);
		else
			fill_block(fx->source_data + at, at, length);
	}
}

struct fixture *fixture_new(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	fx->size = size;
	fx->region_size = region_size;
	cf_mutex_init(&fx->lock);
	cf_cond_init(&fx->changed);
	fx->source_data = malloc(size);
	assert_non_null(fx->source_data);
	fill_source(fx);
	fx->source = memory_source_new(fx->source_data, size, 16);
	fx->destination = memory_io_new(size, NULL);
	memset(memory_io_data(fx->destination), GARBAGE, size);
	fx->metadata_io = memory_io_new(MIB, NULL);
	fx->params = (struct image_params){
	        .size = size,
	        .region_size = region_size,
	        .destination = fx->destination,
	        .source = memory_source_base(fx->source),
	        .source_state = SOURCE_STATE_OK,
	        .settings =
	                {
	                        .hydration_threshold = 0,
	                        .hydration_batch_size = 4,
	                        .max_connections = 8,
	                        .timeout_ms = 30000,
	                        .on_source_error = ON_ERROR_EIO,
	                },
	        .callbacks =
	                {
	                        .event = on_event,
	                        .invalidate = on_invalidate,
	                        .first_modify = on_first_modify,
	                },
	        .callbacks_user = fx,
	};
	return fx;
}

void fixture_open(struct fixture *fx)
{
	struct metadata_params params = {
	        .target_sectors = geometry_target_sectors(fx->size),
	        .region_sectors = fx->region_size / CF_SECTOR_SIZE,
	        .mode = METADATA_FORMAT_IF_ZERO,
	};
	struct cf_error err = {0};

	if (metadata_open(fx->metadata_io, &params, &fx->metadata, &err) < 0)
		fail_msg("metadata: %s", err.text);
	fx->params.metadata = fx->metadata;
	if (image_open(&fx->params, &fx->img, &err) < 0)
		fail_msg("image: %s", err.text);
}

int fixture_close(struct fixture *fx)
{
	int r = image_close(fx->img, NULL);

	fx->img = NULL;
	metadata_close(fx->metadata);
	fx->metadata = NULL;
	return r;
}

void set_timeout(struct fixture *fx, uint64_t timeout_ms)
{
	struct image_settings settings;

	image_get_settings(fx->img, &settings);
	settings.timeout_ms = timeout_ms;
	image_configure(fx->img, &settings);
}

struct fixture *fixture_opened(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_new(size, region_size);

	fixture_open(fx);
	return fx;
}

void fixture_open_with_long_requests(struct fixture *fx)
{
	fx->params.no_hydration = true;
	fixture_open(fx);
	image_lock(fx->img);
	fx->img->fetches.nr_bytes = 16 * fx->size;
	image_unlock(fx->img);
	image_resume(fx->img);
}

void fixture_free(struct fixture *fx)
{
	(void)fixture_close(fx);
	memory_source_free(fx->source);
	block_io_close(fx->destination);
	block_io_close(fx->metadata_io);
	free(fx->source_data);
	cf_cond_fini(&fx->changed);
	cf_mutex_fini(&fx->lock);
	free(fx);
}

struct image_status status_of(struct fixture *fx)
{
	struct image_status status;

	image_get_status(fx->img, &status);
	return status;
}

/* ---- answers ---- */

static struct answer *answer_new(struct fixture *fx)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	assert_non_null(answer);
	answer->img = fx->img;
	cf_mutex_init(&answer->lock);
	cf_cond_init(&answer->changed);
	return answer;
}

static void on_done(void *user, int error, const void *data, size_t length)
{
	struct answer *answer = user;

	cf_lock(&answer->lock);
	if (answer->done) {
		(void)fprintf(stderr, "a request was answered twice\n");
		abort();
	}
	answer->done = true;
	answer->error = error;
	answer->length = length;
	if (length) {
		answer->data = malloc(length);
		if (!answer->data)
			abort();
		memcpy(answer->data, data, length);
	}
	cf_cond_broadcast(&answer->changed);
	cf_unlock(&answer->lock);
}

struct answer *start_read(struct fixture *fx, uint64_t offset, size_t length)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_read(fx->img, offset, length, on_done, answer);
	return answer;
}

struct answer *start_write(struct fixture *fx, uint64_t offset, const void *data, size_t length)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_write(fx->img, offset, data, length, on_done, answer);
	return answer;
}

struct answer *start_range(struct fixture *fx, enum image_range_op op, uint64_t offset,
                           uint64_t length)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_range(fx->img, op, offset, length, on_done, answer);
	return answer;
}

struct answer *start_flush(struct fixture *fx)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_flush(fx->img, on_done, answer);
	return answer;
}

static void *flush(void *arg)
{
	struct answer *answer = arg;

	answer->req = image_flush_here(answer->img, on_done, answer);
	return NULL;
}

struct answer *start_flush_here(struct fixture *fx)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_flush_here(fx->img, on_done, answer);
	return answer;
}

struct answer *start_flush_elsewhere(struct fixture *fx)
{
	struct answer *answer = answer_new(fx);

	assert_int_equal(pthread_create(&answer->thread, NULL, flush, answer), 0);
	answer->has_thread = true;
	return answer;
}

struct answer *start_pause(struct fixture *fx)
{
	struct answer *answer = answer_new(fx);

	answer->req = image_pause(fx->img, on_done, answer);
	return answer;
}

bool answer_is_done(struct answer *answer)
{
	bool done;

	cf_lock(&answer->lock);
	done = answer->done;
	cf_unlock(&answer->lock);
	return done;
}

int answer_wait(struct answer *answer)
{
	uint64_t give_up = clock_monotonic_ns() + FIXTURE_WAIT;
	bool done = true;
	int error;

	cf_lock(&answer->lock);
	while (!answer->done && done)
		done = cf_cond_wait_until(&answer->changed, &answer->lock, give_up);
	done = answer->done;
	error = answer->error;
	cf_unlock(&answer->lock);
	if (!done) {
		(void)fprintf(stderr, "a request was not answered within a minute\n");
		abort();
	}
	return error;
}

void answer_cancel(struct answer *answer, int error)
{
	image_request_cancel(answer->img, answer->req, error);
}

int answer_free(struct answer *answer)
{
	int error = answer_wait(answer);

	if (answer->has_thread)
		(void)pthread_join(answer->thread, NULL);
	if (answer->req)
		image_request_put(answer->req);
	free(answer->data);
	cf_cond_fini(&answer->changed);
	cf_mutex_fini(&answer->lock);
	free(answer);
	return error;
}

/* ---- calls that wait ---- */

int do_read(struct fixture *fx, void *buf, uint64_t offset, size_t length)
{
	int r = image_read_hydrated(fx->img, buf, length, offset);
	struct answer *answer;

	if (r != -EAGAIN)
		return r;
	answer = start_read(fx, offset, length);
	r = answer_wait(answer);
	if (r == 0)
		memcpy(buf, answer->data, length);
	(void)answer_free(answer);
	return r;
}

int do_write(struct fixture *fx, uint64_t offset, const void *data, size_t length)
{
	return answer_free(start_write(fx, offset, data, length));
}

int do_range(struct fixture *fx, enum image_range_op op, uint64_t offset, uint64_t length)
{
	return answer_free(start_range(fx, op, offset, length));
}

int do_flush(struct fixture *fx)
{
	return answer_free(start_flush_here(fx));
}

int do_pause(struct fixture *fx)
{
	return answer_free(start_pause(fx));
}

static void assert_same(const unsigned char *got, const unsigned char *expected, uint64_t offset,
                        size_t length)
{
	if (memcmp(got, expected, length) == 0)
		return;
	for (size_t i = 0; i < length; i++) {
		if (got[i] != expected[i])
			fail_msg("byte %" PRIu64 ": %02x instead of %02x", offset + i, got[i],
			         expected[i]);
	}
}

void assert_reads(struct fixture *fx, uint64_t offset, size_t length, const void *expected)
{
	unsigned char *buf = filled(length, 0x11);

	assert_int_equal(do_read(fx, buf, offset, length), 0);
	assert_same(buf, expected, offset, length);
	free(buf);
}

void assert_reads_source(struct fixture *fx, uint64_t offset, size_t length)
{
	assert_reads(fx, offset, length, fx->source_data + offset);
}

void assert_answer_is_source(struct fixture *fx, struct answer *answer, uint64_t offset)
{
	assert_int_equal(answer_wait(answer), 0);
	assert_same(answer->data, fx->source_data + offset, offset, answer->length);
}
