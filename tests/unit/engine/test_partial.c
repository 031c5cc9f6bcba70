/* Writes in place: P1 to P9 of core/engine/partial.h. The source stands at its gate unless a test
 * lets it go, so what is answered is answered without it. */
#include "engine_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/engine/partial.h"
#include "gate_io.h"

#define REGION (64 * KIB)

static struct fixture *gated(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_opened(size, region_size);

	memory_source_gate(fx->source, 0);
	return fx;
}

static void write_value(struct fixture *fx, uint64_t offset, size_t length, int value)
{
	void *data = filled(length, value);

	assert_int_equal(do_write(fx, offset, data, length), 0);
	free(data);
}

static void assert_reads_value(struct fixture *fx, uint64_t offset, size_t length, int value)
{
	void *data = filled(length, value);

	assert_reads(fx, offset, length, data);
	free(data);
}

static void let_go(struct fixture *fx)
{
	memory_source_gate(fx->source, UINT64_MAX);
}

/* ---- writes and reads ---- */

static void a_write_is_answered_before_the_source(void **state)
{
	struct fixture *fx = gated(MIB, REGION);

	(void)state;
	write_value(fx, REGION + 4096, 4096, 0x11);
	assert_true(status_of(fx).modified);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	/* Its own bytes are read without the source, too. */
	assert_reads_value(fx, REGION + 4096, 4096, 0x11);
	assert_reads_value(fx, REGION + 5000, 1000, 0x11);
	assert_int_equal(memory_source_nr_bytes(fx->source), 0);
	let_go(fx);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(memory_source_nr_bytes(fx->source), REGION);
	assert_reads_source(fx, REGION, 4096);
	assert_reads_value(fx, REGION + 4096, 4096, 0x11);
	assert_reads_source(fx, REGION + 8192, REGION - 8192);
	fixture_free(fx);
}

static void a_read_across_takes_both(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
	} reads[] = {
	        {0, REGION}, {4000, 200}, {8100, 1000}, {3584, 512 + 4096 + 512}, {4096, 4097}};

	(void)state;
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		struct fixture *fx = gated(MIB, REGION);
		uint64_t offset = reads[i].offset;
		struct answer *reader;

		write_value(fx, 4096, 4096, 0x12);
		memset(fx->source_data + 4096, 0x12, 4096);
		reader = start_read(fx, offset, reads[i].length);
		memory_source_wait_held(fx->source, 1);
		assert_false(answer_is_done(reader));
		let_go(fx);
		assert_int_equal(answer_wait(reader), 0);
		assert_answer_is_source(fx, reader, offset);
		(void)answer_free(reader);
		fixture_free(fx);
	}
}

static void a_read_that_waits_sees_the_write_or_the_source(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *reader;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 8192);
	reader = start_read(fx, 0, REGION);
	memory_source_wait_held(fx->source, 1);
	/* One in what has come already, one in what has not. */
	write_value(fx, 4096, 512, 0x13);
	write_value(fx, 32768, 512, 0x13);
	let_go(fx);
	assert_int_equal(answer_wait(reader), 0);
	memset(fx->source_data + 4096, 0x13, 512);
	memset(fx->source_data + 32768, 0x13, 512);
	assert_answer_is_source(fx, reader, 0);
	(void)answer_free(reader);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, REGION);
	fixture_free(fx);
}

static void a_region_that_users_make_whole_needs_no_source(void **state)
{
	struct fixture *fx = gated(MIB, 256 * KIB);

	(void)state;
	for (uint64_t at = 0; at < 256 * KIB; at += 8192)
		write_value(fx, at, 8192, 0x14);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_int_equal(memory_source_nr_bytes(fx->source), 0);
	assert_reads_value(fx, 0, 256 * KIB, 0x14);
	fixture_free(fx);
}

static void the_image_may_end_inside_a_sector(void **state)
{
	struct fixture *fx = gated(REGION + 777, REGION);

	(void)state;
	write_value(fx, REGION + 512, 265, 0x15);
	assert_reads_value(fx, REGION + 512, 265, 0x15);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	write_value(fx, REGION, 512, 0x16);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_int_equal(memory_source_nr_bytes(fx->source), 0);
	assert_reads_value(fx, REGION, 512, 0x16);
	fixture_free(fx);
}

static void both_edges_of_a_long_write_land_at_once(void **state)
{
	struct fixture *fx = gated(MIB, REGION);

	(void)state;
	write_value(fx, REGION - 4096, REGION + 8192, 0x17);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_reads_value(fx, REGION - 4096, REGION + 8192, 0x17);
	assert_int_equal(memory_source_nr_bytes(fx->source), 0);
	let_go(fx);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 3);
	assert_reads_source(fx, 0, REGION - 4096);
	assert_reads_source(fx, 2 * REGION + 4096, REGION - 4096);
	fixture_free(fx);
}

static void punched_and_zeroed_edges_land_at_once(void **state)
{
	static const enum image_range_op ops[] = {IMAGE_PUNCH, IMAGE_ZERO};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *fx = gated(MIB, REGION);

		assert_int_equal(do_range(fx, ops[i], 4096, 1024), 0);
		assert_reads_value(fx, 4096, 1024, 0);
		let_go(fx);
		assert_int_equal(do_flush(fx), 0);
		assert_reads_source(fx, 0, 4096);
		assert_reads_value(fx, 4096, 1024, 0);
		assert_reads_source(fx, 5120, REGION - 5120);
		fixture_free(fx);
	}
}

static void a_write_inside_a_sector_takes_the_first_form(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
	} writes[] = {{4096, 100}, {4100, 412}, {4000, 1024}};

	(void)state;
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct fixture *fx = gated(MIB, REGION);
		void *data = filled(writes[i].length, 0x18);
		struct answer *write;

		write_value(fx, 4096, 4096, 0x19);
		write = start_write(fx, writes[i].offset, data, writes[i].length);
		memory_source_wait_held(fx->source, 1);
		assert_false(answer_is_done(write));
		let_go(fx);
		assert_int_equal(answer_free(write), 0);
		assert_reads(fx, writes[i].offset, writes[i].length, data);
		free(data);
		fixture_free(fx);
	}
}

/* ---- the bound, and when the first form is taken ---- */

static void no_more_than_the_limit_is_partial(void **state)
{
	uint64_t nr = PARTIAL_LIMIT / (4 * MIB);
	struct fixture *fx = fixture_new((nr + 2) * 4 * MIB, 4 * MIB);
	void *data = filled(4096, 0x1A);
	struct answer *write;

	(void)state;
	fx->params.settings.max_connections = 1;
	fixture_open(fx);
	memory_source_gate(fx->source, 0);
	for (uint64_t i = 0; i < nr; i++)
		assert_int_equal(do_write(fx, i * 4 * MIB + 8192, data, 4096), 0);
	write = start_write(fx, nr * 4 * MIB + 8192, data, 4096);
	fixture_sleep_ms(50);
	assert_false(answer_is_done(write));
	/* What is partial already takes more. */
	assert_int_equal(do_write(fx, 4096, data, 4096), 0);
	let_go(fx);
	assert_int_equal(answer_free(write), 0);
	assert_int_equal(do_flush(fx), 0);
	/* And there is room again. */
	memory_source_gate(fx->source, 0);
	assert_int_equal(do_write(fx, (nr + 1) * 4 * MIB + 8192, data, 4096), 0);
	let_go(fx);
	free(data);
	fixture_free(fx);
}

static void a_source_that_is_not_ok_means_the_first_form(void **state)
{
	struct fixture *fx = fixture_new(MIB, REGION);
	void *data = filled(4096, 0x1B);
	struct answer *write;

	(void)state;
	fx->params.source_state = SOURCE_STATE_UNREACHABLE;
	fx->params.settings.on_source_error = ON_ERROR_WAIT;
	fixture_open(fx);
	memory_source_gate(fx->source, 0);
	write = start_write(fx, 4096, data, 4096);
	memory_source_wait_held(fx->source, 1);
	assert_false(answer_is_done(write));
	let_go(fx);
	assert_int_equal(answer_free(write), 0);
	free(data);
	fixture_free(fx);
}

/* ---- flushes ---- */

static void a_flush_waits_for_what_is_partial_when_it_comes(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *flush, *pause;

	(void)state;
	write_value(fx, 4096, 4096, 0x1C);
	flush = start_flush(fx);
	pause = start_pause(fx);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(memory_source_asked(fx->source, 0).class, SOURCE_FOREGROUND);
	assert_false(answer_is_done(flush));
	assert_false(answer_is_done(pause));
	let_go(fx);
	assert_int_equal(answer_free(flush), 0);
	assert_int_equal(answer_free(pause), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_int_equal(fixture_close(fx), 0);
	fixture_open(fx);
	assert_reads_value(fx, 4096, 4096, 0x1C);
	fixture_free(fx);
}

static void a_flush_does_not_wait_for_what_comes_later(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *flush;

	(void)state;
	write_value(fx, 4096, 4096, 0x1D);
	memory_source_wait_held(fx->source, 1);
	flush = start_flush(fx);
	write_value(fx, 4 * REGION, 4096, 0x1E);
	/* The user himself makes the first one whole. */
	write_value(fx, 0, REGION, 0x1F);
	assert_int_equal(answer_free(flush), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_int_equal(status_of(fx).regions_hydrating, 1);
	let_go(fx);
	fixture_free(fx);
}

/* One request of read-ahead has the only connection it may have; the others wait behind it. */
static void a_flush_does_not_wait_behind_read_ahead(void **state)
{
	struct fixture *fx = fixture_new(MIB, REGION);
	struct answer *flush;
	size_t nr_asked;

	(void)state;
	fx->params.settings.max_connections = 2;
	/* A reader's own requests are shorter than those of read-ahead. */
	memory_source_gate(fx->source, REGION);
	memory_source_gate_from(fx->source, 4 * REGION);
	fixture_open(fx);
	assert_reads_source(fx, 0, 2 * REGION);
	assert_reads_source(fx, 2 * REGION, 2 * REGION);
	memory_source_wait_held(fx->source, 1);
	nr_asked = memory_source_nr_asked(fx->source);
	assert_int_equal(memory_source_asked(fx->source, nr_asked - 1).class, SOURCE_READAHEAD);
	write_value(fx, 12 * REGION, 4096, 0x22);
	flush = start_flush(fx);
	memory_source_wait_asked(fx->source, nr_asked + 1);
	assert_int_equal(memory_source_asked(fx->source, nr_asked).class, SOURCE_FOREGROUND);
	assert_int_equal(memory_source_asked(fx->source, nr_asked).offset, 12 * REGION);
	assert_int_equal(memory_source_nr_cancelled(fx->source), 0);
	let_go(fx);
	assert_int_equal(answer_free(flush), 0);
	assert_reads_value(fx, 12 * REGION, 4096, 0x22);
	fixture_free(fx);
}

static void a_flush_fails_after_the_timeout_and_the_next_tries_again(void **state)
{
	struct fixture *fx = gated(MIB, REGION);

	(void)state;
	set_timeout(fx, 200);
	write_value(fx, 4096, 4096, 0x20);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(status_of(fx).source_state, SOURCE_STATE_UNREACHABLE);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	assert_reads_value(fx, 4096, 4096, 0x20);
	assert_int_equal(do_flush(fx), -EIO);
	set_timeout(fx, 60000);
	let_go(fx);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_reads_value(fx, 4096, 4096, 0x20);
	assert_reads_source(fx, 0, 4096);
	fixture_free(fx);
}

static void a_cancelled_flush_is_over(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *flush;

	(void)state;
	write_value(fx, 4096, 4096, 0x21);
	flush = start_flush(fx);
	answer_cancel(flush, -EINTR);
	assert_int_equal(answer_free(flush), -EINTR);
	let_go(fx);
	assert_int_equal(do_flush(fx), 0);
	fixture_free(fx);
}

/* ---- what partial regions live through: P4 ---- */

static void an_outage_keeps_what_was_written(void **state)
{
	struct fixture *fx = gated(MIB, REGION);

	(void)state;
	set_timeout(fx, 300);
	write_value(fx, 4096, 4096, 0x22);
	memory_source_break(fx->source, SOURCE_FAILED);
	let_go(fx);
	/* Nobody waits, no background runs: it is noticed all the same. */
	(void)wait_event(fx, IMAGE_EVENT_OUTAGE_BEGIN);
	assert_reads_value(fx, 4096, 4096, 0x22);
	memory_source_break(fx->source, SOURCE_OK);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_reads_value(fx, 4096, 4096, 0x22);
	assert_reads_source(fx, 8192, 4096);
	fixture_free(fx);
}

static void a_changed_source_keeps_what_was_written(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	char buf[512];

	(void)state;
	write_value(fx, 4096, 4096, 0x23);
	memory_source_break(fx->source, SOURCE_CHANGED);
	let_go(fx);
	(void)wait_event(fx, IMAGE_EVENT_SOURCE_CHANGED);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(do_read(fx, buf, 0, sizeof(buf)), -ESTALE);
	assert_reads_value(fx, 4096, 4096, 0x23);
	memory_source_break(fx->source, SOURCE_OK);
	image_resume(fx->img);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(do_flush(fx), 0);
	assert_reads_value(fx, 4096, 4096, 0x23);
	fixture_free(fx);
}

static void a_full_destination_keeps_what_was_written(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	char buf[512];

	(void)state;
	write_value(fx, 4096, 4096, 0x24);
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, true);
	let_go(fx);
	assert_int_equal(do_flush(fx), -ENOSPC);
	assert_reads_value(fx, 4096, 4096, 0x24);
	assert_int_equal(do_read(fx, buf, 3800, sizeof(buf)), 0);
	assert_memory_equal(buf, fx->source_data + 3800, 4096 - 3800);
	assert_int_equal(buf[511], 0x24);
	memory_io_fail(fx->destination, 0, 0, 0, false);
	/* What the destination has refused just before may be told to the first one still. */
	wait_until(do_flush(fx) == 0);
	assert_reads_value(fx, 4096, 4096, 0x24);
	assert_reads_source(fx, 8192, REGION - 8192);
	fixture_free(fx);
}

static void a_paused_clone_fills_what_was_written(void **state)
{
	struct fixture *fx = fixture_opened(MIB, REGION);

	(void)state;
	assert_int_equal(do_pause(fx), 0);
	write_value(fx, 4096, 4096, 0x25);
	wait_until(status_of(fx).regions_hydrated == 1);
	fixture_free(fx);
}

static void a_refused_write_leaves_nothing_behind(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	void *data = filled(4096, 0x26);

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, false);
	assert_int_equal(do_write(fx, 4096, data, 4096), -ENOSPC);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	let_go(fx);
	assert_reads_source(fx, 0, REGION);
	free(data);
	fixture_free(fx);
}

/* What a write that failed leaves is its own bytes or those before, and never the source's. */
static void a_failed_takeover_keeps_what_was_written(void **state)
{
	struct fixture *fx = gated(MIB, 256 * KIB);
	unsigned char *data = filled(256 * KIB, 0x27);

	(void)state;
	write_value(fx, 0, 128 * KIB, 0x28);
	write_value(fx, 192 * KIB, 4096, 0x28);
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -EIO, false);
	assert_int_equal(do_write(fx, 0, data, 256 * KIB), -EIO);
	let_go(fx);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(do_read(fx, data, 0, 256 * KIB), 0);
	for (uint64_t i = 0; i < 128 * KIB; i++)
		assert_in_range(data[i], 0x27, 0x28);
	for (uint64_t i = 192 * KIB; i < 196 * KIB; i++)
		assert_in_range(data[i], 0x27, 0x28);
	assert_memory_equal(data + 128 * KIB, fx->source_data + 128 * KIB, 64 * KIB);
	assert_memory_equal(data + 196 * KIB, fx->source_data + 196 * KIB, 60 * KIB);
	free(data);
	fixture_free(fx);
}

/* ---- the end of rw, and of the image ---- */

static void a_failed_commit_loses_partial_regions(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *flush;
	char buf[512];

	(void)state;
	/* Whole, and then a commit that fails while another one is partial. */
	write_value(fx, 3 * REGION, 4096, 0x29);
	flush = start_flush(fx);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	write_value(fx, REGION, REGION, 0x2A);
	(void)wait_event(fx, IMAGE_EVENT_MODE);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "1, 3");
	assert_int_equal(answer_free(flush), -EIO);
	assert_int_equal(do_read(fx, buf, 3 * REGION, sizeof(buf)), -EIO);
	assert_int_equal(do_read(fx, buf, 4 * REGION - 512, sizeof(buf)), -EIO);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_int_equal(fixture_close(fx), -EIO);
	let_go(fx);
	fixture_open(fx);
	assert_reads_source(fx, 3 * REGION, REGION);
	fixture_free(fx);
}

static void a_region_made_whole_is_lost_with_its_commit(void **state)
{
	struct fixture *fx = fixture_opened(MIB, REGION);

	(void)state;
	write_value(fx, 3 * REGION, 4096, 0x2B);
	/* The commit of the second before may have made its mark durable, and not the region. */
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "3");
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	fixture_free(fx);
}

static void stopping_says_what_is_not_kept(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	struct answer *flush;

	(void)state;
	write_value(fx, 4096, 4096, 0x2C);
	write_value(fx, 5 * REGION, 4096, 0x2C);
	write_value(fx, 6 * REGION, 4096, 0x2C);
	flush = start_flush(fx);
	image_stop(fx->img);
	assert_int_equal(answer_free(flush), -EIO);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_NOT_KEPT).value, 3);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_NOT_KEPT).text, "0, 5-6");
	assert_int_equal(fixture_close(fx), -EIO);
	let_go(fx);
	fixture_open(fx);
	assert_reads_source(fx, 0, MIB);
	assert_int_equal(fixture_close(fx), 0);
	fixture_free(fx);
}

static void a_partial_region_is_data(void **state)
{
	struct fixture *fx = gated(MIB, REGION);
	uint64_t found;

	(void)state;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 4096, 4096), 0);
	assert_int_equal(image_seek(fx->img, 4096, SEEK_DATA, &found), 0);
	assert_int_equal(found, 4096);
	let_go(fx);
	fixture_free(fx);
}

/* ---- the destination's side: P1 ---- */

struct late_write {
	struct fixture *fx;
	atomic_bool done;
};

static void *write_late(void *arg)
{
	struct late_write *late = arg;

	write_value(late->fx, 4096, 4096, 0x2D);
	atomic_store(&late->done, true);
	return NULL;
}

/* Whatever is written to the destination waits at @gate. */
static struct fixture *open_with_held_writes(struct gate_io *gate)
{
	struct fixture *fx = fixture_new(MIB, REGION);

	gate_io_init(gate, fx->destination);
	fx->params.destination = &gate->io;
	fixture_open(fx);
	gate_io_hold(gate, false, true, false);
	return fx;
}

static void a_write_waits_for_a_piece_in_a_writers_hands(void **state)
{
	struct gate_io gate;
	struct fixture *fx = open_with_held_writes(&gate);
	struct late_write late = {.fx = fx};
	struct answer *reader;
	pthread_t thread;

	(void)state;
	reader = start_read(fx, 0, REGION);
	gate_io_wait_held(&gate, 1);
	assert_int_equal(answer_free(reader), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_late, &late), 0);
	fixture_sleep_ms(50);
	assert_false(atomic_load(&late.done));
	gate_io_hold(&gate, false, false, false);
	(void)pthread_join(thread, NULL);
	assert_reads_source(fx, 0, 4096);
	assert_reads_value(fx, 4096, 4096, 0x2D);
	assert_reads_source(fx, 8192, 4096);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* The source brings all of a piece while a write in place of it is under way. */
static void a_piece_waits_for_a_write_in_place(void **state)
{
	struct gate_io gate;
	struct fixture *fx = open_with_held_writes(&gate);
	struct late_write late = {.fx = fx};
	struct answer *reader;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, write_late, &late), 0);
	gate_io_wait_held(&gate, 1);
	reader = start_read(fx, 8192, 4096);
	assert_int_equal(answer_free(reader), 0);
	wait_until(memory_source_nr_open(fx->source) == 0);
	fixture_sleep_ms(20);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	cf_lock(&gate.lock);
	assert_int_equal(gate.nr_held, 1);
	cf_unlock(&gate.lock);
	gate_io_hold(&gate, false, false, false);
	(void)pthread_join(thread, NULL);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_reads_source(fx, 0, 4096);
	assert_reads_value(fx, 4096, 4096, 0x2D);
	assert_reads_source(fx, 8192, REGION - 8192);
	fixture_free(fx);
	gate_io_fini(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_write_is_answered_before_the_source),
	        cmocka_unit_test(a_read_across_takes_both),
	        cmocka_unit_test(a_read_that_waits_sees_the_write_or_the_source),
	        cmocka_unit_test(a_region_that_users_make_whole_needs_no_source),
	        cmocka_unit_test(the_image_may_end_inside_a_sector),
	        cmocka_unit_test(both_edges_of_a_long_write_land_at_once),
	        cmocka_unit_test(punched_and_zeroed_edges_land_at_once),
	        cmocka_unit_test(a_write_inside_a_sector_takes_the_first_form),
	        cmocka_unit_test(no_more_than_the_limit_is_partial),
	        cmocka_unit_test(a_source_that_is_not_ok_means_the_first_form),
	        cmocka_unit_test(a_flush_waits_for_what_is_partial_when_it_comes),
	        cmocka_unit_test(a_flush_does_not_wait_for_what_comes_later),
	        cmocka_unit_test(a_flush_does_not_wait_behind_read_ahead),
	        cmocka_unit_test(a_flush_fails_after_the_timeout_and_the_next_tries_again),
	        cmocka_unit_test(a_cancelled_flush_is_over),
	        cmocka_unit_test(an_outage_keeps_what_was_written),
	        cmocka_unit_test(a_changed_source_keeps_what_was_written),
	        cmocka_unit_test(a_full_destination_keeps_what_was_written),
	        cmocka_unit_test(a_paused_clone_fills_what_was_written),
	        cmocka_unit_test(a_refused_write_leaves_nothing_behind),
	        cmocka_unit_test(a_failed_takeover_keeps_what_was_written),
	        cmocka_unit_test(a_failed_commit_loses_partial_regions),
	        cmocka_unit_test(a_region_made_whole_is_lost_with_its_commit),
	        cmocka_unit_test(stopping_says_what_is_not_kept),
	        cmocka_unit_test(a_partial_region_is_data),
	        cmocka_unit_test(a_write_waits_for_a_piece_in_a_writers_hands),
	        cmocka_unit_test(a_piece_waits_for_a_write_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
