#include "engine_fixture.h"

#include "core/engine/engine_internal.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"
#include "tests/support/sanitized.h"

/* The window goes by what arrives in two seconds, which a busy machine decides: as if this had just
 * come, for ten seconds from now on. */
static void source_was_fast(struct fixture *fx)
{
	image_lock(fx->img);
	pacing_bytes_locked(fx->img, 4096 * MIB, clock_monotonic_ns());
	image_unlock(fx->img);
}

/* A hundred MiB and more ahead of a reader are five times as many for ThreadSanitizer, which takes
 * two minutes to look at them. */
static void needs_much_memory(void)
{
	if (HAS_THREAD_SANITIZER)
		skip();
}

static void a_sequential_reader_is_read_ahead_for(void **state)
{
	struct fixture *fx = fixture_opened(32 * MIB, 64 * KIB);
	uint64_t offset;

	(void)state;
	source_was_fast(fx);
	for (offset = 0; offset < MIB; offset += 131072)
		assert_reads_source(fx, offset, 131072);
	wait_until(status_of(fx).bytes_from_source > MIB);
	/* Bounded by what he consumed: at most the window of four times as much, and its last
	 * request. */
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_true(memory_source_nr_bytes(fx->source) <= 7 * MIB);
	for (; offset < 32 * MIB; offset += 131072)
		assert_reads_source(fx, offset, 131072);
	wait_until(status_of(fx).regions_hydrated == 512);
	assert_int_equal(memory_source_nr_bytes(fx->source), 32 * MIB);
	assert_true(memory_source_nr_asked(fx->source) < 64);
	fixture_free(fx);
}

/* So far that connections do not run out of work, in requests so long that the time to the first
 * byte is little of theirs. */
static void a_long_stream_is_read_far_ahead_for(void **state)
{
	struct fixture *fx;
	uint64_t farthest = 0, longest = 0;

	(void)state;
	needs_much_memory();
	fx = fixture_opened(192 * MIB, 64 * KIB);
	source_was_fast(fx);
	for (uint64_t offset = 0; offset < 64 * MIB;) {
		uint64_t pulled;

		assert_reads_source(fx, offset, 4 * MIB);
		offset += 4 * MIB;
		wait_until(status_of(fx).regions_hydrating == 0);
		pulled = memory_source_nr_bytes(fx->source);
		assert_true(pulled <= 17 * offset + 16 * MIB);
		farthest = pulled - offset > farthest ? pulled - offset : farthest;
	}
	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++) {
		uint64_t length = memory_source_asked(fx->source, i).length;

		longest = length > longest ? length : longest;
	}
	assert_in_range(farthest, 100 * MIB, 272 * MIB);
	assert_in_range(longest, 5 * MIB, 12 * MIB);
	fixture_free(fx);
}

/* One connection that takes up to @max_us for each 64 KiB, and a reader of @length: the most
 * regions that were hydrating after any of his reads. */
static uint64_t most_hydrating_from_slow(struct fixture *fx, unsigned int max_us, uint64_t length)
{
	uint64_t most = 0;

	fx->params.settings.max_connections = 1;
	memory_source_set_chunk(fx->source, 64 * KIB);
	memory_source_set_delay(fx->source, max_us, 1);
	fixture_open(fx);
	for (uint64_t offset = 0; offset < length; offset += 256 * KIB) {
		uint64_t hydrating;

		assert_reads_source(fx, offset, 256 * KIB);
		hydrating = status_of(fx).regions_hydrating;
		most = hydrating > most ? hydrating : most;
	}
	memory_source_set_delay(fx->source, 0, 1);
	return most;
}

/* 4 MiB/s, so at most 8 in two seconds: four times that. */
static void a_stream_from_a_slow_source_is_not_read_far_ahead_for(void **state)
{
	struct fixture *fx = fixture_new(96 * MIB, 64 * KIB);

	(void)state;
	assert_in_range(most_hydrating_from_slow(fx, 32000, 14 * MIB) * 64 * KIB, 6 * MIB,
	                40 * MIB);
	fixture_free(fx);
}

/* 1.6 MiB/s, and regions longer than four times what that brings in two seconds. */
static void the_next_large_region_is_read_ahead_for_from_a_slow_source(void **state)
{
	struct fixture *fx = fixture_new(64 * MIB, 16 * MIB);

	(void)state;
	assert_in_range(most_hydrating_from_slow(fx, 80000, 6 * MIB), 2, 3);
	fixture_free(fx);
}

/* So many MiB were read from @begin, and nothing is under way any more. */
static void have_read(struct fixture *fx, uint64_t begin, uint64_t mib)
{
	for (uint64_t offset = begin; offset < begin + mib * MIB; offset += MIB)
		assert_reads_source(fx, offset, MIB);
	wait_until(status_of(fx).regions_hydrating == 0);
}

static void a_pause_of_the_reader_is_no_slow_source(void **state)
{
	struct fixture *fx;
	uint64_t pulled;

	(void)state;
	needs_much_memory();
	fx = fixture_opened(160 * MIB, 64 * KIB);
	source_was_fast(fx);
	have_read(fx, 0, 6);
	pulled = memory_source_nr_bytes(fx->source);
	assert_in_range(pulled, 22 * MIB, 125 * MIB);
	/* Nothing comes in the last two seconds. */
	fixture_sleep_ms(3000);
	/* This is there, and more than the window of a slow source behind it. */
	have_read(fx, 6 * MIB, pulled / MIB - 6 - 10);
	assert_true(memory_source_nr_bytes(fx->source) >= pulled + 16 * MIB);
	fixture_free(fx);
}

/* Of those from the @first on: the farthest long request ahead of a stream; false: there is none.
 */
static bool find_farthest(struct fixture *fx, size_t first, struct memory_source_asked *ret)
{
	*ret = (struct memory_source_asked){0};
	for (size_t i = first; i < memory_source_nr_asked(fx->source); i++) {
		struct memory_source_asked asked = memory_source_asked(fx->source, i);

		if (asked.class == SOURCE_READAHEAD && asked.length >= MIB &&
		    asked.offset > ret->offset)
			*ret = asked;
	}
	return ret->length > 0;
}

/* What is asked for ahead of a stream comes in its order: who jumps ahead would wait for it. */
static void a_reader_far_inside_the_window_gets_a_request_of_his_own(void **state)
{
	struct fixture *fx = fixture_new(96 * MIB, 64 * KIB);
	struct memory_source_asked ahead;
	uint64_t offset = 8 * MIB;
	uint64_t pulled, jump;
	struct answer *far;
	size_t nr;

	(void)state;
	/* The source has a thread for each, and some more. */
	fx->params.settings.max_connections = 12;
	/* A chunk takes as long as the first byte does: a whole request is far longer. */
	memory_source_set_delay(fx->source, 20000, 1);
	fixture_open(fx);
	have_read(fx, 0, 8);
	/* Also when the machine stood still for a moment before a first byte. */
	image_lock(fx->img);
	fx->img->pacing.first_byte_ns = 10 * CF_NS_PER_MS;
	image_unlock(fx->img);
	pulled = memory_source_nr_bytes(fx->source);
	nr = memory_source_nr_asked(fx->source);
	memory_source_gate_from(fx->source, 256 * KIB);
	memory_source_gate(fx->source, 64 * KIB);
	/* More is asked for long before all of this is read. */
	for (; !find_farthest(fx, nr, &ahead); offset += 64 * KIB) {
		assert_true(offset < pulled);
		assert_reads_source(fx, offset, 64 * KIB);
	}
	jump = ahead.offset + ahead.length - 64 * KIB;
	assert_true(jump > offset + 4 * MIB);
	far = start_read(fx, jump, 4096);
	assert_answer_is_source(fx, far, jump);
	assert_int_equal(answer_free(far), 0);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).regions_hydrating == 0);
	fixture_free(fx);
}

/* Regions of [from, to) that somebody brings. */
static uint64_t nr_under_way(struct fixture *fx, uint64_t from, uint64_t to)
{
	uint64_t nr = 0;

	image_lock(fx->img);
	for (uint64_t at = from; at < to; at += 64 * KIB)
		nr += inflight_find_locked(fx->img, at / (64 * KIB)) != NULL;
	image_unlock(fx->img);
	return nr;
}

/* As readers do for whom there is no connection. */
static void give_up_what_runs(struct fixture *fx)
{
	image_lock(fx->img);
	list_for_each (link, &fx->img->fetches.running)
		fetch_cancel_running_locked(fx->img, list_entry(link, struct fetch, link));
	image_unlock(fx->img);
}

/* A stream comes to what was given up, with a read of @length. */
static void find_a_hole(uint64_t length)
{
	struct fixture *fx = fixture_new(160 * MIB, 64 * KIB);
	struct memory_source_asked ahead;
	struct answer *answer;
	uint64_t offset = 4 * MIB;
	uint64_t hole;
	size_t nr;

	fx->params.settings.max_connections = 12;
	fixture_open(fx);
	source_was_fast(fx);
	have_read(fx, 0, 4);
	nr = memory_source_nr_asked(fx->source);
	memory_source_gate(fx->source, 0);
	for (; !find_farthest(fx, nr, &ahead); offset += 64 * KIB)
		assert_reads_source(fx, offset, 64 * KIB);
	memory_source_wait_held(fx->source, 1);
	hole = memory_source_asked(fx->source, nr).offset;
	give_up_what_runs(fx);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).regions_hydrating == 0);
	memory_source_gate(fx->source, 0);
	assert_int_equal(nr_under_way(fx, hole, ahead.offset + ahead.length), 0);
	/* He is there; so is what comes behind. */
	for (; offset < hole; offset += 64 * KIB)
		assert_reads_source(fx, offset, 64 * KIB);
	answer = start_read(fx, hole, length);
	assert_true(nr_under_way(fx, hole, ahead.offset + ahead.length) > 4);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, answer, hole);
	assert_int_equal(answer_free(answer), 0);
	fixture_free(fx);
}

static void what_was_given_up_is_asked_for_again(void **state)
{
	(void)state;
	find_a_hole(64 * KIB);
	find_a_hole(100 * KIB);
}

/* Reads of one stream overtake each other; the one that was to ask for more may be behind. */
static void who_overtakes_asks_for_more(void **state)
{
	struct fixture *fx = fixture_opened(160 * MIB, 64 * KIB);
	size_t nr;

	(void)state;
	source_was_fast(fx);
	have_read(fx, 0, 4);
	nr = memory_source_nr_asked(fx->source);
	/* From 5 MiB on: that is not read. */
	assert_reads_source(fx, 5 * MIB + 128 * KIB, 64 * KIB);
	wait_until(memory_source_nr_asked(fx->source) > nr);
	wait_until(status_of(fx).regions_hydrating == 0);
	fixture_free(fx);
}

static void many_streams_queue_no_more_than_so_many_requests(void **state)
{
	enum { STREAMS = 4, APART = 32 };
	struct fixture *fx = fixture_new(STREAMS * APART * MIB, 64 * KIB);
	size_t before;

	(void)state;
	fx->params.settings.max_connections = 1;
	/* 12 MiB/s, or no stream would leave anything to the next one. */
	memory_source_set_delay(fx->source, 20000, 1);
	fixture_open(fx);
	for (uint64_t i = 0; i < STREAMS; i++)
		have_read(fx, i * APART * MIB, 2);
	memory_source_set_delay(fx->source, 0, 1);
	before = memory_source_nr_asked(fx->source);
	memory_source_gate(fx->source, 0);
	/* All of this is there: asked for when the first MiB was read. After each MiB comes more.
	 */
	for (uint64_t i = 0; i < STREAMS; i++) {
		for (uint64_t mib = 2; mib < 5; mib++)
			assert_reads_source(fx, (i * APART + mib) * MIB, MIB);
	}
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_in_range(memory_source_nr_asked(fx->source) - before, 20, 36);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_sequential_reader_is_read_ahead_for),
	        cmocka_unit_test(a_long_stream_is_read_far_ahead_for),
	        cmocka_unit_test(a_stream_from_a_slow_source_is_not_read_far_ahead_for),
	        cmocka_unit_test(the_next_large_region_is_read_ahead_for_from_a_slow_source),
	        cmocka_unit_test(a_pause_of_the_reader_is_no_slow_source),
	        cmocka_unit_test(a_reader_far_inside_the_window_gets_a_request_of_his_own),
	        cmocka_unit_test(what_was_given_up_is_asked_for_again),
	        cmocka_unit_test(who_overtakes_asks_for_more),
	        cmocka_unit_test(many_streams_queue_no_more_than_so_many_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
