/* A source that can share its blocks with the destination: core/engine/sharing.c. */
#include "engine_fixture.h"
#include "gate_io.h"

#include "core/engine/image.h"

/* Background on, on a source that shares; batches of @batch regions of 64 KiB. */
static struct fixture *sharing(uint64_t size, uint64_t batch)
{
	struct fixture *fx = fixture_new(size, 64 * KIB);

	memory_source_let_share(fx->source);
	fx->params.settings.hydration_threshold = 64;
	fx->params.settings.hydration_batch_size = batch;
	return fx;
}

static void assert_hydrated_to_the_end(struct fixture *fx)
{
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(status_of(fx).regions_committed, status_of(fx).regions_total);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, fx->size);
}

static void all_of_it_is_shared_and_nothing_fetched(void **state)
{
	struct fixture *fx = sharing(8 * MIB + 123, 16);

	(void)state;
	fixture_open(fx);
	assert_hydrated_to_the_end(fx);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	assert_int_equal(memory_source_nr_shared(fx->source), 8 * MIB + 123);
	assert_int_equal(memory_source_nr_shares(fx->source), 9);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SHARING), 0);
	assert_int_equal(fixture_close(fx), 0);
	fixture_free(fx);
}

static void what_cannot_be_shared_is_asked_once_and_fetched(void **state)
{
	static const struct {
		int error;
		const char *why;
	} cases[] = {
	        {-EXDEV, "they are on different file systems"},
	        {-EOPNOTSUPP, "the file system cannot share blocks"},
	        {-ENOTTY, "the file system cannot share blocks"},
	        {-EINVAL, "the file system cannot share these blocks"},
	        {-ETXTBSY, "Text file busy"},
	        {-EIO, "Input/output error"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fx = sharing(4 * MIB, 8);

		memory_source_fail_shares(fx->source, 1, cases[i].error);
		fixture_open(fx);
		assert_hydrated_to_the_end(fx);
		assert_string_equal(wait_event(fx, IMAGE_EVENT_NO_SHARING).text, cases[i].why);
		assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SHARING), 1);
		assert_int_equal(memory_source_nr_shares(fx->source), 1);
		assert_int_equal(memory_source_nr_bytes(fx->source), 4 * MIB);
		fixture_free(fx);
	}
}

/* Another version, or a file that is not open: an ordinary request finds out what is wrong. */
static void what_fails_this_time_is_tried_again_after_a_request(void **state)
{
	static const int errors[] = {-ESTALE, -EAGAIN};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *fx = sharing(4 * MIB, 8);

		memory_source_fail_shares(fx->source, 2, errors[i]);
		fixture_open(fx);
		assert_hydrated_to_the_end(fx);
		assert_int_equal(nr_events(fx, IMAGE_EVENT_NO_SHARING), 0);
		assert_int_equal(memory_source_nr_bytes(fx->source), MIB);
		assert_int_equal(memory_source_nr_shared(fx->source), 3 * MIB);
		fixture_free(fx);
	}
}

static void a_source_that_changed_is_found_out(void **state)
{
	struct fixture *fx = sharing(4 * MIB, 8);

	(void)state;
	memory_source_fail_shares(fx->source, 1000, -ESTALE);
	memory_source_break(fx->source, SOURCE_CHANGED);
	fixture_open(fx);
	(void)wait_event(fx, IMAGE_EVENT_SOURCE_CHANGED);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	fixture_free(fx);
}

static void a_full_destination_is_waited_for(void **state)
{
	static const int errors[] = {-ENOSPC, -EDQUOT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *fx = sharing(4 * MIB, 8);

		memory_source_fail_shares(fx->source, 1000, errors[i]);
		fixture_open(fx);
		(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
		assert_int_equal(status_of(fx).hydration, HYDRATION_WAITING);
		assert_int_equal(status_of(fx).regions_hydrated, 0);
		if (i == 0) {
			memory_source_fail_shares(fx->source, 0, 0);
			assert_hydrated_to_the_end(fx);
			assert_int_equal(memory_source_nr_shared(fx->source), 4 * MIB);
			(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_END);
		}
		fixture_free(fx);
	}
}

static void who_wants_to_keep_his_space_shares_nothing(void **state)
{
	struct fixture *fx = sharing(2 * MIB, 8);

	(void)state;
	fx->params.no_discard_passdown = true;
	fixture_open(fx);
	assert_hydrated_to_the_end(fx);
	assert_int_equal(memory_source_nr_shares(fx->source), 0);
	fixture_free(fx);
}

/* ---- while a batch is in the file system's hands ---- */

struct held {
	struct fixture *fx;
	struct gate_io gate;
};

/* The first batch, regions 0 to 7 of 16, stands in the file system. */
static void hold(struct held *held)
{
	held->fx = sharing(MIB, 8);
	gate_io_init(&held->gate, held->fx->destination);
	gate_io_hold(&held->gate, false, true, false);
	held->fx->params.destination = &held->gate.io;
	fixture_open(held->fx);
	gate_io_wait_held(&held->gate, 1);
}

static void let_go(struct held *held)
{
	gate_io_hold(&held->gate, false, false, false);
}

static void release(struct held *held)
{
	let_go(held);
	fixture_free(held->fx);
	gate_io_fini(&held->gate);
}

static void readers_and_writers_wait_for_it(void **state)
{
	struct held held;
	struct answer *reader, *whole, *part;
	unsigned char *mine = filled(64 * KIB, 0x77);
	unsigned char *expected;

	(void)state;
	hold(&held);
	expected = held.fx->source_data;
	reader = start_read(held.fx, 65536 + 100, 3000);
	part = start_write(held.fx, 3 * 65536 + 10, mine, 20);
	fixture_sleep_ms(20);
	assert_false(answer_is_done(reader));
	assert_false(answer_is_done(part));
	assert_int_equal(status_of(held.fx).regions_hydrated, 0);
	let_go(&held);
	assert_answer_is_source(held.fx, reader, 65536 + 100);
	assert_int_equal(answer_free(reader), 0);
	assert_int_equal(answer_free(part), 0);
	whole = start_write(held.fx, 5 * 65536, mine, 64 * KIB);
	assert_int_equal(answer_free(whole), 0);
	memcpy(expected + 3 * 65536 + 10, mine, 20);
	memcpy(expected + 5 * 65536, mine, 64 * KIB);
	assert_hydrated_to_the_end(held.fx);
	assert_int_equal(memory_source_nr_asked(held.fx->source), 0);
	free(mine);
	release(&held);
}

static void who_waited_is_fetched_for_when_it_fails(void **state)
{
	struct held held;
	struct answer *reader;

	(void)state;
	hold(&held);
	reader = start_read(held.fx, 65536 + 100, 3000);
	/* The write it stands for fails. */
	memory_io_fail(held.fx->destination, MEMORY_IO_WRITE, 1, -EXDEV, false);
	let_go(&held);
	assert_answer_is_source(held.fx, reader, 65536 + 100);
	assert_int_equal(answer_free(reader), 0);
	assert_hydrated_to_the_end(held.fx);
	assert_int_equal(nr_events(held.fx, IMAGE_EVENT_NO_SHARING), 1);
	release(&held);
}

static void a_pause_waits_for_it(void **state)
{
	struct held held;
	struct answer *pause;

	(void)state;
	hold(&held);
	pause = start_pause(held.fx);
	fixture_sleep_ms(20);
	assert_false(answer_is_done(pause));
	let_go(&held);
	assert_int_equal(answer_free(pause), 0);
	assert_int_equal(status_of(held.fx).regions_committed, 8);
	assert_int_equal(status_of(held.fx).regions_hydrating, 0);
	release(&held);
}

/* No bit is set behind a failed commit. */
static void nothing_counts_when_the_mode_is_ro_meanwhile(void **state)
{
	struct held held;

	(void)state;
	hold(&held);
	memory_io_fail(held.fx->destination, MEMORY_IO_SYNC, 1, -EIO, true);
	assert_int_equal(do_flush(held.fx), -EIO);
	let_go(&held);
	wait_until(status_of(held.fx).regions_hydrating == 0);
	assert_int_equal(status_of(held.fx).mode, IMAGE_RO);
	assert_int_equal(status_of(held.fx).regions_hydrated, 0);
	assert_reads_source(held.fx, 65536, 1000);
	release(&held);
}

static void closing_waits_for_it(void **state)
{
	struct held held;
	struct answer *reader;

	(void)state;
	hold(&held);
	reader = start_read(held.fx, 0, 1000);
	image_stop_background(held.fx->img);
	let_go(&held);
	assert_int_equal(fixture_close(held.fx), 0);
	/* Answered before or ended by it, but answered. */
	(void)answer_free(reader);
	release(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_of_it_is_shared_and_nothing_fetched),
	        cmocka_unit_test(what_cannot_be_shared_is_asked_once_and_fetched),
	        cmocka_unit_test(what_fails_this_time_is_tried_again_after_a_request),
	        cmocka_unit_test(a_source_that_changed_is_found_out),
	        cmocka_unit_test(a_full_destination_is_waited_for),
	        cmocka_unit_test(who_wants_to_keep_his_space_shares_nothing),
	        cmocka_unit_test(readers_and_writers_wait_for_it),
	        cmocka_unit_test(who_waited_is_fetched_for_when_it_fails),
	        cmocka_unit_test(a_pause_waits_for_it),
	        cmocka_unit_test(nothing_counts_when_the_mode_is_ro_meanwhile),
	        cmocka_unit_test(closing_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
