/* The owner rule, one test or more for each of R1 to R8 (inflight.c). */
#include "engine_fixture.h"

#include <pthread.h>

#include "gate_io.h"

static struct fixture *gated(struct gate_io *gate, uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_new(size, region_size);

	gate_io_init(gate, fx->destination);
	fx->params.destination = &gate->io;
	return fx;
}

static void gated_free(struct fixture *fx, struct gate_io *gate)
{
	gate_io_hold(gate, false, false, false);
	fixture_free(fx);
	gate_io_fini(gate);
}

/* A write on a thread of its own, because it waits for the local disk. */
struct writer {
	struct fixture *fx;
	uint64_t offset;
	const void *data;
	size_t length;
	int error;
	pthread_t thread;
};

static void *run_writer(void *arg)
{
	struct writer *writer = arg;

	writer->error = do_write(writer->fx, writer->offset, writer->data, writer->length);
	return NULL;
}

static void start_writer(struct writer *writer, struct fixture *fx, uint64_t offset,
                         const void *data, size_t length)
{
	*writer = (struct writer){.fx = fx, .offset = offset, .data = data, .length = length};
	assert_int_equal(pthread_create(&writer->thread, NULL, run_writer, writer), 0);
}

static int join_writer(struct writer *writer)
{
	(void)pthread_join(writer->thread, NULL);
	return writer->error;
}

static void r1_who_finds_the_bit_set_under_the_lock_makes_no_entry(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *answer;

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	/* As a reader that saw the bit clear just before it was set. */
	answer = start_read(fx, 0, 65536);
	assert_answer_is_source(fx, answer, 0);
	(void)answer_free(answer);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	fixture_free(fx);
}

static void r2_late_bytes_do_not_reach_a_region_that_was_written(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x51);
	struct answer *reader;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 4096);
	reader = start_read(fx, 0, 131072);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(do_write(fx, 65536, data, 65536), 0);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_int_equal(answer_free(reader), 0);
	wait_until(memory_source_nr_open(fx->source) == 0);
	wait_until(status_of(fx).regions_hydrated == 2);
	assert_memory_equal(memory_io_data(fx->destination) + 65536, data, 65536);
	assert_reads_source(fx, 0, 65536);
	free(data);
	fixture_free(fx);
}

static void r3_a_takeover_waits_for_a_piece_in_a_writers_hands(void **state)
{
	struct gate_io gate;
	struct fixture *fx = gated(&gate, MIB, 64 * KIB);
	void *data = filled(65536, 0x52);
	struct writer writer;

	(void)state;
	fixture_open(fx);
	gate_io_hold(&gate, false, true, false);
	assert_reads_source(fx, 0, 65536); /* answered before it is stored */
	gate_io_wait_held(&gate, 1);
	start_writer(&writer, fx, 0, data, 65536);
	fixture_sleep_ms(20);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(join_writer(&writer), 0);
	assert_reads(fx, 0, 65536, data);
	assert_memory_equal(memory_io_data(fx->destination), data, 65536);
	free(data);
	gated_free(fx, &gate);
}

static void r3_waiting_readers_are_answered_from_the_destination(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x53);
	struct answer *readers[4];

	(void)state;
	memory_source_gate(fx->source, 0);
	for (int i = 0; i < 4; i++)
		readers[i] = start_read(fx, 60000 - (uint64_t)i * 16384, 4096);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(answer_wait(readers[i]), 0);
		assert_memory_equal(readers[i]->data, data, 4096);
		(void)answer_free(readers[i]);
	}
	free(data);
	fixture_free(fx);
}

static void r3_two_takeovers_of_one_region_follow_each_other(void **state)
{
	struct gate_io gate;
	struct fixture *fx = gated(&gate, MIB, 64 * KIB);
	void *first = filled(131072, 0x54);
	void *second = filled(131072, 0x55);
	struct writer writers[2];

	(void)state;
	fixture_open(fx);
	gate_io_hold(&gate, false, true, false);
	start_writer(&writers[0], fx, 0, first, 131072);
	gate_io_wait_held(&gate, 1);
	start_writer(&writers[1], fx, 65536, second, 131072);
	fixture_sleep_ms(10);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(join_writer(&writers[0]), 0);
	assert_int_equal(join_writer(&writers[1]), 0);
	assert_reads(fx, 0, 65536, first);
	assert_reads(fx, 65536, 131072, second);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	free(first);
	free(second);
	gated_free(fx, &gate);
}

static void r4_the_bit_is_set_when_the_last_write_returned(void **state)
{
	struct gate_io gate;
	struct fixture *fx = gated(&gate, 2 * MIB, MIB);

	(void)state;
	fixture_open(fx);
	gate_io_hold(&gate, false, true, false);
	assert_reads_source(fx, 0, MIB);
	gate_io_wait_held(&gate, 1);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_int_equal(status_of(fx).regions_hydrating, 1);
	gate_io_hold(&gate, false, false, false);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, MIB);
	gated_free(fx, &gate);
}

static void r5_a_partial_write_is_laid_over_the_whole_region(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(512, 0x56);
	struct answer *writes[3];

	(void)state;
	memory_source_gate(fx->source, 0);
	for (int i = 0; i < 3; i++)
		writes[i] = start_write(fx, 20000 - (uint64_t)i * 1000, data, 512);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	memory_source_gate(fx->source, UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(answer_free(writes[i]), 0);
		assert_reads(fx, 20000 - (uint64_t)i * 1000, 512, data);
		assert_reads_source(fx, 20000 - (uint64_t)i * 1000 + 512, 400);
	}
	free(data);
	fixture_free(fx);
}

static void r6_two_requests_for_the_same_bytes_share_the_entry(void **state)
{
	struct gate_io gate;
	struct fixture *fx = gated(&gate, 4 * MIB, 64 * KIB);
	struct answer *whole, *far;

	(void)state;
	/* No zeros, so that every byte is written. */
	memset(fx->source_data, 0x57, 4 * MIB);
	fixture_open(fx);
	memory_source_set_chunk(fx->source, 10000);
	memory_source_gate(fx->source, 30000);
	whole = start_read(fx, 0, 4 * MIB);
	memory_source_wait_held(fx->source, 1);
	far = start_read(fx, 2 * MIB + 4096, 4096);
	memory_source_wait_held(fx->source, 2);
	assert_answer_is_source(fx, far, 2 * MIB + 4096);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, whole, 0);
	(void)answer_free(far);
	(void)answer_free(whole);
	wait_until(status_of(fx).regions_hydrated == 64);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	assert_int_equal(gate_io_bytes_written(&gate), 4 * MIB);
	gated_free(fx, &gate);
}

static void r6_a_broken_request_goes_on_where_it_stopped(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	memory_source_plan(fx->source, 3, SOURCE_SHORT, 10000, 0);
	assert_reads_source(fx, 0, 65536);
	assert_int_equal(memory_source_nr_asked(fx->source), 4);
	assert_int_equal(memory_source_asked(fx->source, 3).offset, 30000);
	assert_int_equal(memory_source_nr_bytes(fx->source), 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	fixture_free(fx);
}

static void r7_zeros_are_put_over_what_was_there(void **state)
{
	static const struct {
		bool no_punch, no_zero, no_discard;
	} cases[] = {{false, false, false},
	             {true, false, false},
	             {true, true, false},
	             {false, false, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gate_io gate;
		struct fixture *fx = gated(&gate, MIB + 100, 64 * KIB);
		unsigned char *zeros = filled(65536, 0);

		gate.no_punch = cases[i].no_punch;
		gate.no_zero = cases[i].no_zero;
		fx->params.no_discard_passdown = cases[i].no_discard;
		fixture_open(fx);
		assert_reads(fx, 4 * 65536, 65536, zeros);
		wait_until(status_of(fx).regions_hydrated == 1);
		assert_memory_equal(memory_io_data(fx->destination) + 4 * 65536, zeros, 65536);
		assert_int_equal(gate_io_bytes_written(&gate), cases[i].no_zero ? 65536 : 0);
		assert_reads(fx, 4 * 65536, 65536, zeros);
		free(zeros);
		gated_free(fx, &gate);
	}
}

static void r8_a_region_whose_piece_cannot_be_stored_is_missing_again(void **state)
{
	struct fixture *fx = fixture_opened(2 * MIB, MIB);

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 3, -EIO, false);
	memory_source_set_chunk(fx->source, 8192);
	assert_reads_source(fx, 0, MIB);
	wait_until(memory_io_nr_failed(fx->destination) == 1 || status_of(fx).regions_hydrated);
	wait_until(status_of(fx).regions_hydrating == 0);
	if (memory_io_nr_failed(fx->destination))
		assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_reads_source(fx, 0, MIB);
	fixture_free(fx);
}

static void r8_a_failed_takeover_is_fetched_for_who_waits(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x58);
	struct answer *reader;

	(void)state;
	memory_source_gate(fx->source, 0);
	reader = start_read(fx, 4096, 4096);
	memory_source_wait_held(fx->source, 1);
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -EIO, false);
	assert_int_equal(do_write(fx, 0, data, 65536), -EIO);
	assert_false(answer_is_done(reader));
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 4096);
	(void)answer_free(reader);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_reads_source(fx, 0, 65536);
	free(data);
	fixture_free(fx);
}

static void r8_an_entry_given_up_waits_for_its_piece(void **state)
{
	struct gate_io gate;
	struct fixture *fx = gated(&gate, 4 * MIB, 2 * MIB);
	struct answer *pause;

	(void)state;
	fx->params.settings.hydration_threshold = 1;
	memory_source_gate(fx->source, 200000);
	gate_io_hold(&gate, false, true, false);
	fixture_open(fx);
	gate_io_wait_held(&gate, 1);
	pause = start_pause(fx);
	fixture_sleep_ms(10);
	assert_false(answer_is_done(pause));
	assert_int_equal(status_of(fx).regions_hydrating, 1);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(pause), 0);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_reads_source(fx, 0, 4096);
	gated_free(fx, &gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(r1_who_finds_the_bit_set_under_the_lock_makes_no_entry),
	        cmocka_unit_test(r2_late_bytes_do_not_reach_a_region_that_was_written),
	        cmocka_unit_test(r3_a_takeover_waits_for_a_piece_in_a_writers_hands),
	        cmocka_unit_test(r3_waiting_readers_are_answered_from_the_destination),
	        cmocka_unit_test(r3_two_takeovers_of_one_region_follow_each_other),
	        cmocka_unit_test(r4_the_bit_is_set_when_the_last_write_returned),
	        cmocka_unit_test(r5_a_partial_write_is_laid_over_the_whole_region),
	        cmocka_unit_test(r6_two_requests_for_the_same_bytes_share_the_entry),
	        cmocka_unit_test(r6_a_broken_request_goes_on_where_it_stopped),
	        cmocka_unit_test(r7_zeros_are_put_over_what_was_there),
	        cmocka_unit_test(r8_a_region_whose_piece_cannot_be_stored_is_missing_again),
	        cmocka_unit_test(r8_a_failed_takeover_is_fetched_for_who_waits),
	        cmocka_unit_test(r8_an_entry_given_up_waits_for_its_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
