#include "engine_fixture.h"

#include "core/engine/engine_internal.h"
#include "core/engine/hydrator.h"
#include "core/engine/inflight.h"
#include "core/engine/prealloc.h"
#include "core/engine/request.h"
#include "gate_io.h"

#define FAR (UINT64_C(5) << 40)
#define MS  CF_NS_PER_MS
#define NOW (UINT64_C(7000) * MS)

/* A source that has brought a step of data and no zeros. */
static struct prealloc dense(void)
{
	struct prealloc prealloc;

	prealloc_init(&prealloc, true);
	prealloc_stored(&prealloc, PREALLOC_STEP, false);
	return prealloc;
}

static void nothing_is_wanted_where_holes_are_cheap(void **state)
{
	struct prealloc prealloc;

	(void)state;
	prealloc_init(&prealloc, false);
	prealloc_stored(&prealloc, PREALLOC_STEP, false);
	prealloc_sent(&prealloc, 0, 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 0);
}

static void a_request_is_wanted_once(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, FAR, FAR + 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, FAR - 1, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, FAR + 8 * MIB, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, FAR, NOW), FAR + 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, FAR, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, FAR + MIB, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, FAR + 8 * MIB - 1, NOW), 0);
}

static void a_longer_one_is_wanted_step_by_step(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, MIB, MIB + 2 * PREALLOC_STEP + PREALLOC_MIN);
	assert_int_equal(prealloc_wanted(&prealloc, MIB, NOW), MIB + PREALLOC_STEP);
	assert_int_equal(prealloc_wanted(&prealloc, MIB + PREALLOC_STEP - 1, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, MIB + PREALLOC_STEP, NOW),
	                 MIB + 2 * PREALLOC_STEP);
	assert_int_equal(prealloc_wanted(&prealloc, MIB + 2 * PREALLOC_STEP, NOW),
	                 MIB + 2 * PREALLOC_STEP + PREALLOC_MIN);
}

static void short_ones_and_short_rests_are_not(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, 0, PREALLOC_MIN - 1);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 0);
	prealloc_sent(&prealloc, 16 * MIB, 16 * MIB + PREALLOC_MIN);
	assert_int_equal(prealloc_wanted(&prealloc, 16 * MIB, NOW), 16 * MIB + PREALLOC_MIN);
	prealloc_sent(&prealloc, 32 * MIB, 32 * MIB + 4 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 32 * MIB + 4 * MIB - PREALLOC_MIN + 1, NOW), 0);
	assert_int_equal(prealloc_wanted(&prealloc, 32 * MIB + 4 * MIB - PREALLOC_MIN, NOW),
	                 32 * MIB + 4 * MIB);
}

static void zeros_put_it_off_for_a_step_of_data(void **state)
{
	struct prealloc prealloc;

	(void)state;
	prealloc_init(&prealloc, true);
	prealloc_sent(&prealloc, 0, 8 * MIB);
	prealloc_stored(&prealloc, PREALLOC_STEP - 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 0);
	prealloc_stored(&prealloc, 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 8 * MIB);
	prealloc_stored(&prealloc, UINT64_C(1) << 40, false);
	prealloc_stored(&prealloc, PREALLOC_STEP, true);
	prealloc_sent(&prealloc, 8 * MIB, 16 * MIB);
	prealloc_stored(&prealloc, PREALLOC_STEP - 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW), 0);
	prealloc_stored(&prealloc, 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW), 16 * MIB);
}

static void what_does_not_come_is_not_wanted(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, 0, 8 * MIB);
	prealloc_sent(&prealloc, 16 * MIB, 24 * MIB);
	prealloc_given_up(&prealloc, 3 * MIB, 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 3 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 3 * MIB, NOW), 0);
	/* Asked for again, and given up as a whole. */
	prealloc_sent(&prealloc, 3 * MIB, 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 3 * MIB, NOW), 8 * MIB);
	prealloc_given_up(&prealloc, 16 * MIB, 24 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 16 * MIB, NOW), 0);
}

/* One that is all there, a short one inside a long one, a probe. */
static void the_end_of_another_request_changes_nothing(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, 0, 8 * MIB);
	prealloc_sent(&prealloc, 40 * MIB, 48 * MIB);
	prealloc_given_up(&prealloc, 44 * MIB, 44 * MIB);
	prealloc_given_up(&prealloc, 48 * MIB, 48 * MIB);
	prealloc_given_up(&prealloc, 41 * MIB, 42 * MIB);
	prealloc_given_up(&prealloc, 32 * MIB, 48 * MIB);
	prealloc_given_up(&prealloc, 0, 1);
	prealloc_given_up(&prealloc, 1, 1);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 40 * MIB, NOW), 48 * MIB);
}

static void a_refusal_puts_it_off_for_a_step_of_data(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, 0, 8 * MIB);
	prealloc_answered(&prealloc, 0, 1, NOW);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 8 * MIB);
	prealloc_answered(&prealloc, -ENOSPC, 1, NOW);
	prealloc_sent(&prealloc, 8 * MIB, 16 * MIB);
	prealloc_stored(&prealloc, PREALLOC_STEP - 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW), 0);
	prealloc_stored(&prealloc, 1, false);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW), 16 * MIB);
}

static void who_had_to_wait_waits_before_the_next(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	prealloc_sent(&prealloc, 0, 8 * MIB);
	prealloc_answered(&prealloc, 0, PREALLOC_SLOW_NS, NOW);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 8 * MIB);
	prealloc_answered(&prealloc, 0, 20 * MS, NOW);
	prealloc_sent(&prealloc, 8 * MIB, 16 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW + 1279 * MS), 0);
	assert_int_equal(prealloc_wanted(&prealloc, 8 * MIB, NOW + 1280 * MS), 16 * MIB);
}

static void the_last_requests_are_remembered(void **state)
{
	struct prealloc prealloc = dense();

	(void)state;
	for (uint64_t i = 0; i <= PREALLOC_NR_REQUESTS; i++)
		prealloc_sent(&prealloc, i * 8 * MIB, (i + 1) * 8 * MIB);
	assert_int_equal(prealloc_wanted(&prealloc, 0, NOW), 0);
	for (uint64_t i = 1; i <= PREALLOC_NR_REQUESTS; i++)
		assert_int_equal(prealloc_wanted(&prealloc, i * 8 * MIB, NOW), (i + 1) * 8 * MIB);
}

/* ---- in the engine: background's requests of 8 MiB, each with its space ---- */

#define IMAGE_SIZE (32 * MIB)

struct run {
	struct fixture *fx;
	struct gate_io gate;
};

/* Nothing comes from the source yet. */
static struct run *run_new(void)
{
	struct run *run = calloc(1, sizeof(*run));
	struct fixture *fx = fixture_new(IMAGE_SIZE, 64 * KIB);

	assert_non_null(run);
	run->fx = fx;
	gate_io_init(&run->gate, fx->destination);
	run->gate.io.holes_are_dear = true;
	fx->params.destination = &run->gate.io;
	fx->params.settings.max_connections = 1;
	fx->params.settings.hydration_threshold = 128;
	fx->params.settings.hydration_batch_size = 128;
	memory_source_gate(fx->source, 0);
	return run;
}

static void run_free(struct run *run)
{
	fixture_free(run->fx);
	gate_io_fini(&run->gate);
	free(run);
}

/* Every fifth region of a fixture's source is zeros. */
static void without_zeros(struct run *run)
{
	for (uint64_t at = 0; at < IMAGE_SIZE; at += KIB)
		run->fx->source_data[at] = 1;
}

/* Somebody streams, for as long as the test takes. */
static void stream(struct run *run)
{
	struct image *img = run->fx->img;

	image_lock(img);
	patience_stream(&img->committer.patience, UINT64_MAX,
	                clock_monotonic_ns() + 2 * FIXTURE_WAIT);
	image_unlock(img);
}

/* What users did was then; 0: long ago. */
static void user_was_there(struct run *run, uint64_t ns)
{
	struct image *img = run->fx->img;

	image_lock(img);
	atomic_store(&img->committer.patience.user, false);
	img->committer.patience.user_ns = ns;
	image_unlock(img);
}

static void hydrate(struct run *run)
{
	struct fixture *fx = run->fx;

	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).regions_hydrated == IMAGE_SIZE / (64 * KIB));
	assert_memory_equal(memory_io_data(fx->destination), fx->source_data, IMAGE_SIZE);
}

/* One request for all of the image, of which nothing has come. */
static struct run *run_in_one(void)
{
	struct run *run = run_new();

	without_zeros(run);
	run->fx->params.settings.hydration_batch_size = IMAGE_SIZE / (64 * KIB);
	run->fx->params.settings.hydration_threshold = IMAGE_SIZE / (64 * KIB);
	fixture_open_with_long_requests(run->fx);
	memory_source_wait_held(run->fx->source, 1);
	assert_int_equal(memory_source_asked(run->fx->source, 0).length, IMAGE_SIZE);
	return run;
}

static void hydrate_up_to(struct run *run, uint64_t end)
{
	memory_source_gate(run->fx->source, end);
	wait_until(status_of(run->fx).regions_hydrated == end / (64 * KIB));
}

static void assert_none_within(struct run *run, uint64_t begin, uint64_t end)
{
	assert_in_range(run->gate.nr_allocated, 1, GATE_IO_NR_ALLOCATED);
	for (unsigned int i = 0; i < run->gate.nr_allocated; i++) {
		uint64_t offset = run->gate.allocated[i].offset;

		assert_true(offset >= end || offset + run->gate.allocated[i].length <= begin);
	}
}

/* The step before it ends there, so the next would begin there. */
static void assert_none_begins_at(struct run *run, uint64_t offset)
{
	assert_in_range(run->gate.nr_allocated, 1, GATE_IO_NR_ALLOCATED);
	assert_int_equal(run->gate.allocated[0].offset + run->gate.allocated[0].length, offset);
	for (unsigned int i = 0; i < run->gate.nr_allocated; i++)
		assert_int_not_equal(run->gate.allocated[i].offset, offset);
}

static void assert_is_the_rest_of_a_request(struct fixture *fx, uint64_t begin, uint64_t end)
{
	for (size_t i = 0; i < memory_source_nr_asked(fx->source); i++) {
		struct memory_source_asked asked = memory_source_asked(fx->source, i);

		if (asked.offset <= begin && end == asked.offset + asked.length)
			return;
	}
	fail_msg("no request brings the %" PRIu64 " bytes from %" PRIu64 " on", end - begin, begin);
}

static void space_is_allocated_for_data(void **state)
{
	struct run *run = run_new();
	uint64_t begin = PREALLOC_STEP, total = 0;

	(void)state;
	without_zeros(run);
	fixture_open_with_long_requests(run->fx);
	stream(run);
	hydrate(run);
	/* The first step of data goes without; on a busy machine a call that took long may be the
	 * last. */
	assert_in_range(run->gate.nr_allocated, 1, GATE_IO_NR_ALLOCATED);
	for (unsigned int i = 0; i < run->gate.nr_allocated; i++) {
		uint64_t offset = run->gate.allocated[i].offset;
		uint64_t end = offset + run->gate.allocated[i].length;

		assert_true(offset >= begin);
		assert_in_range(end - offset, PREALLOC_MIN, PREALLOC_STEP);
		assert_is_the_rest_of_a_request(run->fx, offset, end);
		begin = end;
		total += end - offset;
	}
	assert_in_range(total, PREALLOC_MIN, IMAGE_SIZE - PREALLOC_STEP);
	run_free(run);
}

static void none_where_holes_are_cheap(void **state)
{
	struct run *run = run_new();

	(void)state;
	without_zeros(run);
	run->gate.io.holes_are_dear = false;
	fixture_open_with_long_requests(run->fx);
	stream(run);
	hydrate(run);
	assert_int_equal(run->gate.nr_allocated, 0);
	run_free(run);
}

static void none_among_zeros(void **state)
{
	struct run *run = run_new();

	(void)state;
	fixture_open_with_long_requests(run->fx);
	stream(run);
	hydrate(run);
	assert_int_equal(run->gate.nr_allocated, 0);
	run_free(run);
}

static void none_over_what_is_there(void **state)
{
	struct run *run = run_in_one();
	void *data = filled(MIB, 0x77);

	(void)state;
	for (uint64_t at = 20 * MIB; at < IMAGE_SIZE; at += 4 * MIB) {
		assert_int_equal(do_write(run->fx, at, data, MIB), 0);
		memcpy(run->fx->source_data + at, data, MIB);
	}
	user_was_there(run, 0);
	stream(run);
	hydrate(run);
	for (uint64_t at = 20 * MIB; at < IMAGE_SIZE; at += 4 * MIB)
		assert_none_within(run, at, at + MIB);
	free(data);
	run_free(run);
}

/* Its reader gets it, the destination does not. */
static void none_over_what_is_not_kept(void **state)
{
	struct run *run = run_in_one();
	struct image *img = run->fx->img;

	(void)state;
	image_lock(img);
	inflight_stop_keeping_locked(
	        img, inflight_find_locked(img, geometry_region_of(&img->geo, 20 * MIB)), 0);
	image_unlock(img);
	stream(run);
	/* Before it comes: from then on it is asked for again, and kept. */
	hydrate_up_to(run, 20 * MIB);
	assert_none_within(run, 20 * MIB, 20 * MIB + 64 * KIB);
	hydrate(run);
	run_free(run);
}

/* Nobody would give that space back if he punches. */
static void none_over_what_a_user_is_changing(void **state)
{
	struct run *run = run_in_one();
	struct image *img = run->fx->img;
	uint64_t region = 20 * MIB / (64 * KIB);

	(void)state;
	stream(run);
	image_lock(img);
	assert_int_equal(takeover_begin_locked(img, region, 1, run), 0);
	image_unlock(img);
	memory_source_gate(run->fx->source, UINT64_MAX);
	wait_until(status_of(run->fx).regions_hydrated == IMAGE_SIZE / (64 * KIB) - 1);
	assert_none_within(run, 20 * MIB, 20 * MIB + 64 * KIB);
	/* He fails: it is fetched. */
	image_lock(img);
	takeover_end_locked(img, region, 1, run, -EIO);
	image_unlock(img);
	hydrate(run);
	run_free(run);
}

static void none_for_zeros(void **state)
{
	struct run *run = run_in_one();

	(void)state;
	memset(run->fx->source_data + PREALLOC_STEP * 2, 0, MIB);
	stream(run);
	hydrate_up_to(run, PREALLOC_STEP);
	hydrate_up_to(run, PREALLOC_STEP * 2);
	hydrate(run);
	assert_none_begins_at(run, PREALLOC_STEP * 2);
	run_free(run);
}

/* It is tried with the bytes themselves first. */
static void none_of_a_full_destination(void **state)
{
	struct run *run = run_in_one();
	struct image *img = run->fx->img;

	(void)state;
	stream(run);
	hydrate_up_to(run, PREALLOC_STEP);
	hydrate_up_to(run, PREALLOC_STEP * 2);
	image_lock(img);
	hydrator_no_space_locked(img, -ENOSPC);
	image_unlock(img);
	hydrate(run);
	assert_none_begins_at(run, PREALLOC_STEP * 2);
	run_free(run);
}

static void a_request_that_is_given_up_is_forgotten(void **state)
{
	struct run *run = run_new();
	struct image *img;
	uint64_t longest = 0;

	(void)state;
	memory_source_gate(run->fx->source, MIB);
	fixture_open_with_long_requests(run->fx);
	img = run->fx->img;
	memory_source_wait_held(run->fx->source, 1);
	assert_int_equal(do_range(run->fx, IMAGE_PUNCH, 0, IMAGE_SIZE), 0);
	wait_until(memory_source_nr_open(run->fx->source) == 0);
	image_lock(img);
	for (unsigned int i = 0; i < PREALLOC_NR_REQUESTS; i++)
		longest = max_u64(longest,
		                  img->prealloc.requests[i].end - img->prealloc.requests[i].start);
	image_unlock(img);
	assert_int_equal(longest, MIB);
	run_free(run);
}

static void none_without_a_stream(void **state)
{
	struct run *run = run_new();

	(void)state;
	without_zeros(run);
	fixture_open_with_long_requests(run->fx);
	hydrate(run);
	assert_int_equal(run->gate.nr_allocated, 0);
	run_free(run);
}

static bool is_calm(struct run *run)
{
	struct image *img = run->fx->img;
	bool calm;

	image_lock(img);
	calm = patience_is_calm(&img->committer.patience, clock_monotonic_ns());
	image_unlock(img);
	return calm;
}

static void none_once_a_user_wants_the_disk(void **state)
{
	struct run *run = run_new();

	(void)state;
	without_zeros(run);
	fixture_open_with_long_requests(run->fx);
	stream(run);
	assert_true(is_calm(run));
	assert_int_equal(do_flush(run->fx), 0);
	assert_false(is_calm(run));
	/* For as long as the test takes. */
	user_was_there(run, clock_monotonic_ns() + 2 * FIXTURE_WAIT);
	hydrate(run);
	assert_int_equal(run->gate.nr_allocated, 0);
	run_free(run);
}

static void none_while_a_commit_runs(void **state)
{
	struct run *run = run_new();

	(void)state;
	without_zeros(run);
	run->fx->params.commit_interval_ms = 1;
	gate_io_hold(&run->gate, false, false, true);
	fixture_open_with_long_requests(run->fx);
	memory_source_gate(run->fx->source, MIB);
	gate_io_wait_held(&run->gate, 1);
	stream(run);
	hydrate(run);
	assert_int_equal(run->gate.nr_allocated, 0);
	gate_io_hold(&run->gate, false, false, false);
	run_free(run);
}

static void a_refusal_is_none_for_the_bytes(void **state)
{
	static const int errors[] = {-ENOSPC, -EDQUOT, -EOPNOTSUPP, -EIO};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct run *run = run_new();

		without_zeros(run);
		run->gate.allocate_error = errors[i];
		fixture_open_with_long_requests(run->fx);
		stream(run);
		hydrate(run);
		/* A step of data between two of them. */
		assert_in_range(run->gate.nr_allocated, 1, IMAGE_SIZE / PREALLOC_STEP - 1);
		for (unsigned int j = 1; j < run->gate.nr_allocated; j++)
			assert_true(run->gate.allocated[j].offset >=
			            run->gate.allocated[j - 1].offset + PREALLOC_STEP);
		assert_int_equal(nr_events(run->fx, IMAGE_EVENT_NO_SPACE_BEGIN), 0);
		run_free(run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_is_wanted_where_holes_are_cheap),
	        cmocka_unit_test(a_request_is_wanted_once),
	        cmocka_unit_test(a_longer_one_is_wanted_step_by_step),
	        cmocka_unit_test(short_ones_and_short_rests_are_not),
	        cmocka_unit_test(zeros_put_it_off_for_a_step_of_data),
	        cmocka_unit_test(what_does_not_come_is_not_wanted),
	        cmocka_unit_test(the_end_of_another_request_changes_nothing),
	        cmocka_unit_test(a_refusal_puts_it_off_for_a_step_of_data),
	        cmocka_unit_test(who_had_to_wait_waits_before_the_next),
	        cmocka_unit_test(the_last_requests_are_remembered),
	        cmocka_unit_test(space_is_allocated_for_data),
	        cmocka_unit_test(none_where_holes_are_cheap),
	        cmocka_unit_test(none_among_zeros),
	        cmocka_unit_test(none_over_what_is_there),
	        cmocka_unit_test(none_over_what_is_not_kept),
	        cmocka_unit_test(none_over_what_a_user_is_changing),
	        cmocka_unit_test(none_for_zeros),
	        cmocka_unit_test(none_of_a_full_destination),
	        cmocka_unit_test(a_request_that_is_given_up_is_forgotten),
	        cmocka_unit_test(none_without_a_stream),
	        cmocka_unit_test(none_once_a_user_wants_the_disk),
	        cmocka_unit_test(none_while_a_commit_runs),
	        cmocka_unit_test(a_refusal_is_none_for_the_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
