/*
 * What waits goes on by itself: after a probe that failed, a time that the source asked for, room
 * in the budget, a piece that came back. Each test stops everything else that could set it going by
 * accident: no other reader, no other fetch.
 */
#include "engine_fixture.h"

#include <stdatomic.h>

#include "core/base/block_io.h"
#include "core/engine/image.h"

/* A destination whose writes wait while it is shut. */
struct gated_io {
	struct block_io io; /* first */
	struct block_io *inner;

	struct cf_mutex lock; /* protects: shut, nr_held */
	struct cf_cond changed;
	bool shut;
	unsigned int nr_held;
};

static struct gated_io *gated_of(struct block_io *io)
{
	return (struct gated_io *)io;
}

static int gated_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	return block_io_pread(gated_of(io)->inner, buf, length, offset);
}

static void gated_pass(struct gated_io *gate)
{
	cf_lock(&gate->lock);
	gate->nr_held++;
	cf_cond_broadcast(&gate->changed);
	while (gate->shut)
		cf_cond_wait(&gate->changed, &gate->lock);
	gate->nr_held--;
	cf_unlock(&gate->lock);
}

static int gated_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	gated_pass(gated_of(io));
	return block_io_pwritev(gated_of(io)->inner, iov, nr_iov, offset);
}

static int gated_sync(struct block_io *io)
{
	return block_io_sync(gated_of(io)->inner);
}

static int gated_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	gated_pass(gated_of(io));
	return block_io_punch(gated_of(io)->inner, offset, length);
}

static const struct block_io_ops gated_ops = {
        .pread = gated_pread,
        .pwritev = gated_pwritev,
        .sync = gated_sync,
        .punch = gated_punch,
};

static void gate_init(struct gated_io *gate, struct fixture *fx)
{
	*gate = (struct gated_io){
	        .io = {.ops = &gated_ops, .size = fx->size},
	        .inner = fx->destination,
	        .shut = true,
	};
	cf_mutex_init(&gate->lock);
	cf_cond_init(&gate->changed);
	fx->params.destination = &gate->io;
}

static void gate_fini(struct gated_io *gate)
{
	cf_cond_fini(&gate->changed);
	cf_mutex_fini(&gate->lock);
}

static bool gate_holds(struct gated_io *gate)
{
	unsigned int nr;

	cf_lock(&gate->lock);
	nr = gate->nr_held;
	cf_unlock(&gate->lock);
	return nr > 0;
}

static void gate_open(struct gated_io *gate)
{
	cf_lock(&gate->lock);
	gate->shut = false;
	cf_cond_broadcast(&gate->changed);
	cf_unlock(&gate->lock);
}

static struct fixture *hydrating(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_new(size, region_size);

	fx->params.settings.hydration_threshold = 1;
	fx->params.settings.hydration_batch_size = 1;
	return fx;
}

static void background_asks_an_unreachable_source_until_it_is_back(void **state)
{
	struct fixture *fx = hydrating(256 * KIB, 64 * KIB);

	(void)state;
	fx->params.source_state = SOURCE_STATE_UNREACHABLE;
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	memory_source_wait_asked(fx->source, 3);
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_END);
	fixture_free(fx);
}

static void status_says_why_a_source_cannot_be_reached_from_the_mount_on(void **state)
{
	struct fixture *fx = hydrating(256 * KIB, 64 * KIB);

	(void)state;
	fx->params.source_state = SOURCE_STATE_UNREACHABLE;
	fx->params.source_why = "nobody is at home";
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
	assert_string_equal(status_of(fx).reason, "the source is unreachable: nobody is at home");
	memory_source_gate(fx->source, UINT64_MAX);
	fixture_free(fx);
}

static void a_reader_gets_his_bytes_when_the_time_of_retry_after_is_over(void **state)
{
	struct fixture *fx = fixture_new(256 * KIB, 64 * KIB);

	(void)state;
	memory_source_plan(fx->source, 1, SOURCE_FAILED, 0, 200);
	fixture_open(fx);
	assert_reads_source(fx, 0, 4096);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	fixture_free(fx);
}

static void queued_fetches_go_when_the_destination_makes_room(void **state)
{
	struct fixture *fx = hydrating(40 * MIB, 1024 * MIB);
	struct gated_io gate;

	(void)state;
	gate_init(&gate, fx);
	/* One request at a time for background: 24 MiB, all that it may have, are three of them. */
	fx->params.settings.max_connections = 2;
	fixture_open(fx);
	wait_until(status_of(fx).bytes_from_source == 24 * MIB &&
	           memory_source_nr_open(fx->source) == 0);
	gate_open(&gate);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, fx->size);
	fixture_free(fx);
	gate_fini(&gate);
}

static void a_write_parked_while_a_piece_is_in_a_writers_hands_is_done(void **state)
{
	struct fixture *fx = hydrating(2 * MIB, MIB);
	void *data = filled(4096, 0x77);
	struct answer *pause, *write;
	struct gated_io gate;

	(void)state;
	gate_init(&gate, fx);
	memory_source_gate(fx->source, 256 * KIB);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 1);
	wait_until(gate_holds(&gate));
	/* Background gives the region up; it stays in the table until the piece is back (R8). */
	pause = start_pause(fx);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_int_equal(status_of(fx).regions_hydrating, 1);
	write = start_write(fx, 512, data, 4096);
	assert_int_equal(answer_free(pause), 0);
	memory_source_gate(fx->source, UINT64_MAX);
	gate_open(&gate);
	assert_int_equal(answer_free(write), 0);
	assert_reads(fx, 512, 4096, data);
	assert_reads_source(fx, 8192, MIB - 8192);
	free(data);
	fixture_free(fx);
	gate_fini(&gate);
}

#define NR_HELD 14

static void a_reader_of_a_silent_source_is_not_kept_by_background_that_has_no_room(void **state)
{
	struct fixture *fx = hydrating(64 * MIB, MIB);
	struct image_settings settings;
	struct answer *readers[NR_HELD];

	(void)state;
	fx->params.settings.max_connections = 16;
	memory_source_set_chunk(fx->source, 64 * KIB);
	memory_source_gate(fx->source, 64 * KIB);
	fixture_open(fx);
	/* Background has its first piece: that there is room is certain now and not later. */
	wait_until(status_of(fx).bytes_from_source == 64 * KIB);
	/* 28 MiB of replies, once their first bytes have come: more than background leaves. */
	for (unsigned int i = 0; i < NR_HELD; i++)
		readers[i] = start_read(fx, (4 + 4 * i) * MIB, 2 * MIB);
	wait_until(status_of(fx).bytes_from_source == (1 + NR_HELD) * 64 * KIB);
	memory_source_gate(fx->source, 192 * KIB);
	/* Background's second piece finds no room; everybody else's bytes just do not come. */
	wait_until(status_of(fx).bytes_from_source == 128 * KIB + NR_HELD * 192 * KIB);
	image_get_settings(fx->img, &settings);
	settings.timeout_ms = 500;
	image_configure(fx->img, &settings);
	for (unsigned int i = 0; i < NR_HELD; i++)
		assert_int_equal(answer_free(readers[i]), -EIO);
	memory_source_gate(fx->source, UINT64_MAX);
	fixture_free(fx);
}

static atomic_bool flush_answered;
static atomic_bool answered_before_invalidate;

static void on_flushed(void *user, int error, const void *data, size_t length)
{
	(void)data;
	(void)length;
	*(int *)user = error;
	atomic_store(&flush_answered, true);
}

/* As the kernel: blocks while pages are locked. */
static void on_invalidate(void *user)
{
	uint64_t give_up = clock_monotonic_ns() + 20 * CF_NS_PER_S;

	(void)user;
	while (!atomic_load(&flush_answered) && clock_monotonic_ns() < give_up)
		fixture_sleep_ms(1);
	atomic_store(&answered_before_invalidate, atomic_load(&flush_answered));
}

static void a_flush_that_failed_does_not_wait_for_the_page_cache(void **state)
{
	struct fixture *fx = fixture_new(256 * KIB, 64 * KIB);
	int error = 0;

	(void)state;
	fx->params.callbacks.invalidate = on_invalidate;
	fixture_open(fx);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, true);
	image_request_put(image_flush(fx->img, on_flushed, &error));
	(void)wait_event(fx, IMAGE_EVENT_MODE);
	/* The committer's thread has ended then. */
	assert_int_equal(fixture_close(fx), -EIO);
	assert_true(atomic_load(&answered_before_invalidate));
	assert_int_equal(error, -EIO);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(background_asks_an_unreachable_source_until_it_is_back),
	        cmocka_unit_test(status_says_why_a_source_cannot_be_reached_from_the_mount_on),
	        cmocka_unit_test(a_reader_gets_his_bytes_when_the_time_of_retry_after_is_over),
	        cmocka_unit_test(queued_fetches_go_when_the_destination_makes_room),
	        cmocka_unit_test(a_write_parked_while_a_piece_is_in_a_writers_hands_is_done),
	        cmocka_unit_test(
	                a_reader_of_a_silent_source_is_not_kept_by_background_that_has_no_room),
	        cmocka_unit_test(a_flush_that_failed_does_not_wait_for_the_page_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
