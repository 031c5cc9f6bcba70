#include "engine_fixture.h"

static void a_miss_is_fetched_and_then_hits(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	unsigned char buf[4096];

	(void)state;
	assert_int_equal(image_read_hydrated(fx->img, buf, sizeof(buf), 65536), -EAGAIN);
	assert_reads_source(fx, 65536 + 100, 4096);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(image_read_hydrated(fx->img, buf, sizeof(buf), 65536), 0);
	assert_memory_equal(buf, fx->source_data + 65536, sizeof(buf));
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	assert_int_equal(memory_source_nr_bytes(fx->source), 65536);
	assert_memory_equal(memory_io_data(fx->destination) + 65536, fx->source_data + 65536,
	                    65536);
	fixture_free(fx);
}

static void a_reader_is_answered_when_his_bytes_are_there(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *early, *late;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 8192);
	early = start_read(fx, 4096, 4096);
	late = start_read(fx, 8192, 4096);
	assert_answer_is_source(fx, early, 4096);
	memory_source_wait_held(fx->source, 1);
	assert_false(answer_is_done(late));
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, late, 8192);
	(void)answer_free(early);
	(void)answer_free(late);
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	fixture_free(fx);
}

static void readers_of_a_region_share_one_request(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *answers[16];

	(void)state;
	memory_source_gate(fx->source, 0);
	/* Backwards: nobody reads ahead. */
	for (int i = 15; i >= 0; i--)
		answers[i] = start_read(fx, (uint64_t)i * 4096, 4096);
	memory_source_gate(fx->source, UINT64_MAX);
	for (int i = 0; i < 16; i++) {
		assert_answer_is_source(fx, answers[i], (uint64_t)i * 4096);
		(void)answer_free(answers[i]);
	}
	assert_int_equal(memory_source_nr_asked(fx->source), 1);
	fixture_free(fx);
}

static void a_late_reader_gets_what_came_before_him(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *first, *second;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 32768);
	first = start_read(fx, 0, 65536);
	memory_source_wait_held(fx->source, 1);
	second = start_read(fx, 0, 4096);
	assert_answer_is_source(fx, second, 0);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, first, 0);
	(void)answer_free(first);
	(void)answer_free(second);
	fixture_free(fx);
}

static void a_random_read_pulls_exactly_its_region(void **state)
{
	struct fixture *fx = fixture_opened(64 * MIB, 64 * KIB);
	uint64_t nr = 0;

	(void)state;
	for (uint64_t region = 5; region < 1024; region = region * 3 + 1, nr++)
		assert_reads_source(fx, region * 65536 + 4096, 4096);
	wait_until(status_of(fx).regions_hydrated == nr);
	assert_int_equal(memory_source_nr_asked(fx->source), nr);
	assert_int_equal(memory_source_nr_bytes(fx->source), nr * 65536);
	fixture_free(fx);
}

static void adjacent_misses_that_queue_are_one_request(void **state)
{
	struct fixture *fx = fixture_new(4 * MIB, 64 * KIB);
	struct answer *answers[9];

	(void)state;
	fx->params.settings.max_connections = 1;
	fixture_open(fx);
	memory_source_gate(fx->source, 0);
	answers[8] = start_read(fx, 3 * MIB, 4096);
	for (int i = 7; i >= 0; i--)
		answers[i] = start_read(fx, (uint64_t)i * 65536, 4096);
	memory_source_gate(fx->source, UINT64_MAX);
	for (int i = 0; i < 9; i++)
		assert_int_equal(answer_free(answers[i]), 0);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	assert_int_equal(memory_source_asked(fx->source, 1).length, 8 * 65536);
	fixture_free(fx);
}

struct shape {
	const char *name;
	uint64_t size, region_size;
};

static void every_shape_reads_as_its_source(void **state)
{
	static const struct shape shapes[] = {
	        {"one byte", 1, 4096},
	        {"one region", 4096, 4096},
	        {"short last region", 4096 * 7 + 1, 4096},
	        {"not whole sectors", 65536 * 3 + 777, 65536},
	        {"regions of several pieces", 5 * MIB + 3, MIB},
	        {"regions of several requests", 40 * MIB + 513, 16 * MIB},
	        {"one region larger than the image", 20 * MIB + 1, 1024 * MIB},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct fixture *fx = fixture_opened(shapes[i].size, shapes[i].region_size);
		uint64_t length = shapes[i].size < 4096 ? shapes[i].size : 4096;

		print_message("%s\n", shapes[i].name);
		assert_reads_source(fx, shapes[i].size - length, length);
		assert_reads_source(fx, shapes[i].size / 2, 1);
		assert_reads_source(fx, 0, shapes[i].size);
		wait_until(status_of(fx).regions_hydrated == status_of(fx).regions_total);
		assert_reads_source(fx, 0, shapes[i].size);
		assert_memory_equal(memory_io_data(fx->destination), fx->source_data,
		                    shapes[i].size);
		assert_int_equal(fixture_close(fx), 0);
		fixture_free(fx);
	}
}

static void a_large_region_begins_at_the_readers_piece(void **state)
{
	struct fixture *fx = fixture_opened(32 * MIB, 32 * MIB);

	(void)state;
	assert_reads_source(fx, 20 * MIB + 5000, 4096);
	assert_int_equal(memory_source_asked(fx->source, 0).offset, 20 * MIB);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(memory_source_nr_bytes(fx->source), 32 * MIB);
	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++)
		assert_true(memory_source_asked(fx->source, i).length <= 8 * MIB + 2 * 131072);
	fixture_free(fx);
}

static void a_reader_far_behind_a_running_request_gets_his_own(void **state)
{
	struct fixture *fx = fixture_opened(32 * MIB, 64 * KIB);
	struct answer *whole, *far;

	(void)state;
	memory_source_gate(fx->source, 65536);
	whole = start_read(fx, 0, 4 * MIB);
	memory_source_wait_held(fx->source, 1);
	far = start_read(fx, 3 * MIB, 4096);
	assert_answer_is_source(fx, far, 3 * MIB);
	assert_int_equal(memory_source_nr_asked(fx->source), 2);
	assert_int_equal(memory_source_asked(fx->source, 1).length, 65536);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, whole, 0);
	(void)answer_free(whole);
	(void)answer_free(far);
	wait_until(status_of(fx).regions_hydrated == 64);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, 4 * MIB);
	fixture_free(fx);
}

static void a_cancelled_reader_is_answered_at_once(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *cancelled, *other;

	(void)state;
	memory_source_gate(fx->source, 0);
	cancelled = start_read(fx, 0, 4096);
	other = start_read(fx, 4096, 4096);
	answer_cancel(cancelled, -EINTR);
	assert_int_equal(answer_wait(cancelled), -EINTR);
	assert_false(answer_is_done(other));
	answer_cancel(cancelled, -EIO);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, other, 4096);
	assert_int_equal(answer_free(cancelled), -EINTR);
	(void)answer_free(other);
	fixture_free(fx);
}

static void stop_answers_what_waits_and_what_comes(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct answer *waiting;
	char byte = 'x';

	(void)state;
	memory_source_gate(fx->source, 0);
	waiting = start_read(fx, 0, 4096);
	image_stop(fx->img);
	assert_int_equal(answer_free(waiting), -EIO);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_int_equal(answer_free(start_read(fx, 0, 1)), -EIO);
	assert_int_equal(do_write(fx, 0, &byte, 1), -EIO);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(image_read_hydrated(fx->img, &byte, 1, 0), -EIO);
	assert_int_equal(fixture_close(fx), 0);
	fixture_free(fx);
}

static void an_offered_head_is_not_fetched(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	(void)state;
	fx->params.head = fx->source_data;
	fx->params.head_length = 65536 + 100;
	fixture_open(fx);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_reads_source(fx, 0, 65536);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	fixture_free(fx);
}

static void background_does_not_ask_for_an_offered_head(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	(void)state;
	fx->params.head = fx->source_data;
	fx->params.head_length = 65536;
	fx->params.settings.hydration_threshold = 16;
	fixture_open(fx);
	wait_until(status_of(fx).regions_hydrated == 16);
	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++)
		assert_true(memory_source_asked(fx->source, i).offset >= 65536);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, MIB);
	fixture_free(fx);
}

static void what_was_hydrated_is_there_after_a_reopen(void **state)
{
	struct fixture *fx = fixture_opened(MIB + 5, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 512 * KIB);
	wait_until(status_of(fx).regions_hydrated >= 8);
	assert_int_equal(fixture_close(fx), 0);
	memory_source_break(fx->source, SOURCE_FAILED);
	fixture_open(fx);
	assert_true(status_of(fx).regions_committed >= 8);
	assert_reads_source(fx, 0, 512 * KIB);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_miss_is_fetched_and_then_hits),
	        cmocka_unit_test(a_reader_is_answered_when_his_bytes_are_there),
	        cmocka_unit_test(readers_of_a_region_share_one_request),
	        cmocka_unit_test(a_late_reader_gets_what_came_before_him),
	        cmocka_unit_test(a_random_read_pulls_exactly_its_region),
	        cmocka_unit_test(adjacent_misses_that_queue_are_one_request),
	        cmocka_unit_test(every_shape_reads_as_its_source),
	        cmocka_unit_test(a_large_region_begins_at_the_readers_piece),
	        cmocka_unit_test(a_reader_far_behind_a_running_request_gets_his_own),
	        cmocka_unit_test(a_cancelled_reader_is_answered_at_once),
	        cmocka_unit_test(stop_answers_what_waits_and_what_comes),
	        cmocka_unit_test(an_offered_head_is_not_fetched),
	        cmocka_unit_test(background_does_not_ask_for_an_offered_head),
	        cmocka_unit_test(what_was_hydrated_is_there_after_a_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
