#include "engine_fixture.h"

#include <pthread.h>

#include "core/engine/budget.h"
#include "gate_io.h"
#include "tests/support/residency.h"

static void background_stops_first_then_read_ahead_then_writes(void **state)
{
	struct budget budget;
	size_t step = 128 * KIB;

	(void)state;
	assert_int_equal(budget_init(&budget, step), 0);
	while (budget_has_room_locked(&budget, BUDGET_BACKGROUND, step))
		budget_charge_locked(&budget, BUDGET_BACKGROUND, step);
	assert_true(budget_has_room_locked(&budget, BUDGET_READAHEAD, step));
	while (budget_has_room_locked(&budget, BUDGET_READAHEAD, step))
		budget_charge_locked(&budget, BUDGET_READAHEAD, step);
	assert_true(budget_has_room_locked(&budget, BUDGET_WRITE, step));
	while (budget_has_room_locked(&budget, BUDGET_WRITE, step))
		budget_charge_locked(&budget, BUDGET_WRITE, step);
	assert_int_equal(budget.total, BUDGET_LIMIT - BUDGET_RESERVE);
	while (budget_has_room_locked(&budget, BUDGET_FOREGROUND, step))
		budget_charge_locked(&budget, BUDGET_FOREGROUND, step);
	assert_int_equal(budget.total, BUDGET_LIMIT);
	assert_int_equal(budget.used[BUDGET_FOREGROUND], BUDGET_RESERVE);
	assert_true(budget_has_room_locked(&budget, BUDGET_REPLY, step));
	budget_fini(&budget);
}

static void the_reserve_is_there_whatever_replies_take(void **state)
{
	struct budget budget;

	(void)state;
	assert_int_equal(budget_init(&budget, 65536), 0);
	budget_charge_locked(&budget, BUDGET_REPLY, 2 * BUDGET_LIMIT);
	assert_false(budget_has_room_locked(&budget, BUDGET_WRITE, 1));
	assert_true(budget_has_room_locked(&budget, BUDGET_FOREGROUND, 65536));
	budget_fini(&budget);
}

static void buffers_given_back_are_used_again(void **state)
{
	struct budget budget;
	unsigned char *piece;
	unsigned char *reply;

	(void)state;
	assert_int_equal(budget_init(&budget, 65536), 0);
	piece = budget_get_piece_locked(&budget, BUDGET_FOREGROUND);
	memset(piece, 1, 65536);
	budget_put_piece_locked(&budget, BUDGET_FOREGROUND, piece);
	assert_ptr_equal(budget_get_piece_locked(&budget, BUDGET_BACKGROUND), piece);
	budget_put_piece_locked(&budget, BUDGET_BACKGROUND, piece);
	reply = budget_get_reply_locked(&budget, MIB);
	memset(reply, 1, MIB);
	budget_put_reply_locked(&budget, reply, MIB);
	assert_ptr_equal(budget_get_reply_locked(&budget, 128 * KIB), reply);
	budget_put_reply_locked(&budget, reply, 128 * KIB);
	assert_int_equal(budget.total, 0);
	budget_fini(&budget);
}

static void what_is_kept_and_what_is_used_stay_below_the_limit(void **state)
{
	/* And the one that is not to be had. */
	unsigned char *pieces[BUDGET_LIMIT / (64 * KIB) + 1];
	struct budget budget;
	size_t nr = 0;

	(void)state;
	assert_int_equal(budget_init(&budget, 64 * KIB), 0);
	while ((pieces[nr] = budget_get_piece_locked(&budget, BUDGET_FOREGROUND)))
		nr++;
	assert_int_equal(nr, BUDGET_LIMIT / (64 * KIB));
	while (nr)
		budget_put_piece_locked(&budget, BUDGET_FOREGROUND, pieces[--nr]);
	assert_int_equal(budget_kept_locked(&budget), BUDGET_POOL_KEPT);
	budget_put_reply_locked(&budget, budget_get_reply_locked(&budget, MIB), MIB);
	budget_charge_locked(&budget, BUDGET_REPLY, BUDGET_LIMIT - MIB);
	assert_int_equal(budget_kept_locked(&budget), MIB);
	budget_charge_locked(&budget, BUDGET_REPLY, MIB);
	assert_int_equal(budget_kept_locked(&budget), 0);
	budget_fini(&budget);
}

#define PER_BLOCK (PIECE_POOL_BLOCK / (64 * KIB))

struct burst {
	unsigned char *pieces[4 * PER_BLOCK];
	unsigned char *replies[4];
};

/* So many pieces and replies at a time, all of whose memory is touched. */
static void burst(struct budget *budget, struct burst *used, size_t nr_pieces, size_t nr_replies)
{
	for (size_t i = 0; i < nr_pieces; i++) {
		used->pieces[i] = budget_get_piece_locked(budget, BUDGET_FOREGROUND);
		memset(used->pieces[i], 1, 64 * KIB);
	}
	for (size_t i = 0; i < nr_replies; i++) {
		used->replies[i] = budget_get_reply_locked(budget, MIB);
		memset(used->replies[i], 1, MIB);
	}
	while (nr_pieces)
		budget_put_piece_locked(budget, BUDGET_FOREGROUND, used->pieces[--nr_pieces]);
	while (nr_replies)
		budget_put_reply_locked(budget, used->replies[--nr_replies], MIB);
}

static size_t burst_resident(const struct burst *used)
{
	size_t resident = 0;

	for (size_t i = 0; i < 4 * PER_BLOCK; i++)
		resident += resident_bytes(used->pieces[i], 64 * KIB);
	for (size_t i = 0; i < 4; i++)
		resident += resident_bytes(used->replies[i], MIB);
	return resident;
}

static void a_trim_gives_back_what_was_not_needed_since_the_last(void **state)
{
	struct budget budget;
	struct burst all, some;

	(void)state;
	assert_int_equal(budget_init(&budget, 64 * KIB), 0);
	burst(&budget, &all, 4 * PER_BLOCK, 4);
	budget_trim_locked(&budget);
	assert_int_equal(burst_resident(&all), 4 * PIECE_POOL_BLOCK + 4 * MIB);
	burst(&budget, &some, PER_BLOCK, 1);
	budget_trim_locked(&budget);
	assert_int_equal(burst_resident(&all), PIECE_POOL_BLOCK + MIB);
	budget_trim_locked(&budget);
	assert_int_equal(burst_resident(&all), 0);
	assert_int_equal(budget_kept_locked(&budget), 0);
	burst(&budget, &all, 4 * PER_BLOCK, 4);
	assert_int_equal(budget.total, 0);
	budget_fini(&budget);
}

static void a_slow_destination_stops_the_source_and_not_the_readers(void **state)
{
	struct fixture *fx = fixture_new(64 * MIB, 64 * KIB);
	struct gate_io gate;
	uint64_t before;

	(void)state;
	memset(fx->source_data, 0xA1, fx->size);
	gate_io_init(&gate, fx->destination);
	fx->params.destination = &gate.io;
	fx->params.settings.hydration_threshold = 1024;
	fx->params.settings.hydration_batch_size = 128;
	gate_io_hold(&gate, false, true, false);
	/* So that more of them run than there is room for. */
	fixture_open_with_long_requests(fx);
	memory_source_wait_held(fx->source, 2);
	do {
		before = memory_source_nr_bytes(fx->source);
		fixture_sleep_ms(100);
	} while (memory_source_nr_bytes(fx->source) != before);
	assert_true(before <= BUDGET_LIMIT);
	/* Background has not touched the reserve. */
	for (uint64_t offset = 60 * MIB; offset < 62 * MIB; offset += 5 * 65536)
		assert_reads_source(fx, offset, 4096);
	gate_io_hold(&gate, false, false, false);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, fx->size);
	fixture_free(fx);
	gate_io_fini(&gate);
}

#define NR_PARKING 60
/* Writes of a MiB that fit. */
#define ROOM_FOR_WRITES ((BUDGET_LIMIT - BUDGET_RESERVE) / MIB)

struct parking {
	struct fixture *fx;
	struct answer *answers[NR_PARKING];
	unsigned int nr; /* under fx->lock */
	uint64_t first;  /* region */
	void *data;
};

static void *park(void *arg)
{
	struct parking *parking = arg;

	for (unsigned int i = 0; i < NR_PARKING; i++) {
		parking->answers[i] = start_write(parking->fx, (parking->first + i) * MIB + 1,
		                                  parking->data, MIB - 2);
		cf_lock(&parking->fx->lock);
		parking->nr++;
		cf_unlock(&parking->fx->lock);
	}
	return NULL;
}

static unsigned int nr_parked(struct parking *parking)
{
	unsigned int nr;

	cf_lock(&parking->fx->lock);
	nr = parking->nr;
	cf_unlock(&parking->fx->lock);
	return nr;
}

static void parked_writes_over_the_limit_wait_for_room(void **state)
{
	struct fixture *fx = fixture_opened(64 * MIB, MIB);
	struct parking parking = {.fx = fx, .data = filled(MIB, 0xA2)};
	pthread_t thread;

	(void)state;
	memory_source_gate(fx->source, 0);
	assert_int_equal(pthread_create(&thread, NULL, park, &parking), 0);
	wait_until(nr_parked(&parking) == ROOM_FOR_WRITES);
	fixture_sleep_ms(50);
	assert_int_equal(nr_parked(&parking), ROOM_FOR_WRITES);
	/* A reader still gets on. */
	memory_source_gate(fx->source, UINT64_MAX);
	assert_reads_source(fx, 63 * MIB, 4096);
	(void)pthread_join(thread, NULL);
	for (unsigned int i = 0; i < NR_PARKING; i++)
		assert_int_equal(answer_free(parking.answers[i]), 0);
	assert_reads(fx, 59 * MIB + 1, MIB - 2, parking.data);
	free(parking.data);
	fixture_free(fx);
}

/* One connection, and background has it but no room, because parked writes have that. */
static void background_without_room_gives_its_connection_to_who_waits(void **state)
{
	struct fixture *fx = fixture_new(64 * MIB, MIB);
	struct parking parking = {.fx = fx, .data = filled(MIB, 0xA4)};
	pthread_t thread;

	(void)state;
	fx->params.settings.max_connections = 1;
	fx->params.settings.hydration_threshold = 1;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(memory_source_asked(fx->source, 0).class, SOURCE_BACKGROUND);
	/* Background's region is the first one: writes begin behind it. */
	assert_int_equal(memory_source_asked(fx->source, 0).offset, 0);
	parking.first = 1;
	assert_int_equal(pthread_create(&thread, NULL, park, &parking), 0);
	wait_until(nr_parked(&parking) == ROOM_FOR_WRITES);
	memory_source_gate(fx->source, UINT64_MAX);
	(void)pthread_join(thread, NULL);
	for (unsigned int i = 0; i < NR_PARKING; i++)
		assert_int_equal(answer_free(parking.answers[i]), 0);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	free(parking.data);
	fixture_free(fx);
}

static void stop_lets_a_write_go_that_waits_for_room(void **state)
{
	struct fixture *fx = fixture_opened(64 * MIB, MIB);
	struct parking parking = {.fx = fx, .data = filled(MIB, 0xA3)};
	pthread_t thread;

	(void)state;
	memory_source_gate(fx->source, 0);
	assert_int_equal(pthread_create(&thread, NULL, park, &parking), 0);
	wait_until(nr_parked(&parking) == ROOM_FOR_WRITES);
	image_stop(fx->img);
	(void)pthread_join(thread, NULL);
	for (unsigned int i = 0; i < NR_PARKING; i++)
		assert_int_equal(answer_free(parking.answers[i]), -EIO);
	free(parking.data);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(background_stops_first_then_read_ahead_then_writes),
	        cmocka_unit_test(the_reserve_is_there_whatever_replies_take),
	        cmocka_unit_test(buffers_given_back_are_used_again),
	        cmocka_unit_test(what_is_kept_and_what_is_used_stay_below_the_limit),
	        cmocka_unit_test(a_trim_gives_back_what_was_not_needed_since_the_last),
	        cmocka_unit_test(a_slow_destination_stops_the_source_and_not_the_readers),
	        cmocka_unit_test(parked_writes_over_the_limit_wait_for_room),
	        cmocka_unit_test(background_without_room_gives_its_connection_to_who_waits),
	        cmocka_unit_test(stop_lets_a_write_go_that_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
