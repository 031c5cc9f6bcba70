#include "engine_fixture.h"

#include "gate_io.h"

static struct fixture *opened_sized(struct gate_io *gate, uint64_t size, uint32_t region_size)
{
	struct fixture *fx = fixture_new(size, region_size);

	gate_io_init(gate, fx->destination);
	fx->params.destination = &gate->io;
	fixture_open(fx);
	return fx;
}

static struct fixture *opened_with(struct gate_io *gate)
{
	return opened_sized(gate, MIB, 64 * KIB);
}

static void a_flush_during_a_commit_waits_for_the_next(void **state)
{
	struct answer *first, *second, *third;
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);

	(void)state;
	gate_io_hold(&gate, false, false, true);
	first = start_flush_elsewhere(fx);
	gate_io_wait_held(&gate, 1);
	second = start_flush(fx);
	third = start_flush(fx);
	gate_io_let_one_go(&gate);
	assert_int_equal(answer_free(first), 0);
	gate_io_wait_held(&gate, 1);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(second), 0);
	assert_int_equal(answer_free(third), 0);
	/* Both had come before the second began: they shared it. */
	assert_int_equal(gate_io_nr_syncs(&gate), 2);
	fixture_free(fx);
	gate_io_fini(&gate);
}

static void a_flush_commits_what_was_hydrated_and_written(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *data = filled(65536, 0x61);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(do_write(fx, 65536, data, 65536), 0);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 2);
	free(data);
	fixture_free(fx);
}

static void changes_are_committed_within_a_second_or_so(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_committed == 1);
	fixture_free(fx);
}

static void nothing_is_synced_while_nothing_changes(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_committed == 1);
	fixture_sleep_ms(1500);
	assert_int_equal(gate_io_nr_syncs(&gate), 1);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* Between commits; and never for what is committed already. */
static void what_a_commit_will_sync_is_written_back_before(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_sized(&gate, 64 * MIB, 4 * KIB);
	uint64_t nr_read = 0;
	unsigned int nr;

	(void)state;
	for (; !gate_io_nr_write_backs(&gate); nr_read++) {
		assert_true(nr_read < 512);
		assert_reads_source(fx, nr_read * 128 * KIB, 4096);
		fixture_sleep_ms(20);
	}
	wait_until(status_of(fx).regions_hydrated == nr_read);
	assert_int_equal(do_flush(fx), 0);
	nr = gate_io_nr_write_backs(&gate);
	fixture_sleep_ms(600);
	assert_int_equal(gate_io_nr_write_backs(&gate), nr);
	fixture_free(fx);
	gate_io_fini(&gate);
}

static void a_flush_that_waits_can_be_cancelled(void **state)
{
	struct answer *first, *running, *waiting;
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);

	(void)state;
	gate_io_hold(&gate, false, false, true);
	first = start_flush_elsewhere(fx);
	gate_io_wait_held(&gate, 1);
	running = start_flush(fx);
	gate_io_let_one_go(&gate);
	gate_io_wait_held(&gate, 1);
	waiting = start_flush(fx);
	answer_cancel(waiting, -EINTR);
	assert_int_equal(answer_free(waiting), -EINTR);
	answer_cancel(running, -EINTR);
	assert_false(answer_is_done(running));
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(first), 0);
	assert_int_equal(answer_free(running), 0);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* With nothing to commit it is done on the caller's thread. */
static void a_flush_of_nothing_is_one_sync_and_no_commit(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);
	struct answer *flush;
	void *data = filled(4096, 0x62);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_committed == 1);
	/* Whoever committed that has put everything away when this one is answered. */
	assert_int_equal(do_flush(fx), 0);
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int nr_syncs = gate_io_nr_syncs(&gate);

		assert_int_equal(do_write(fx, 4096, data, 4096), 0);
		flush = start_flush_here(fx);
		/* Done when the call returned. */
		assert_true(answer_is_done(flush));
		assert_int_equal(answer_free(flush), 0);
		assert_int_equal(gate_io_nr_syncs(&gate), nr_syncs + 1);
	}
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* What had been written back when a write was answered. */
struct begun {
	struct gate_io *gate;
	unsigned int nr;
	uint64_t offset, length;
};

static void look(void *user, int error, const void *data, size_t length)
{
	struct begun *begun = user;

	(void)data;
	(void)length;
	assert_int_equal(error, 0);
	begun->nr = gate_io_nr_part_write_backs(begun->gate, &begun->offset, &begun->length);
}

/* Of a hydrated region: answered when it returns. */
static struct begun write_and_look(struct fixture *fx, struct gate_io *gate, uint64_t offset,
                                   const void *data, size_t length)
{
	struct begun begun = {.gate = gate, .nr = UINT32_MAX};

	image_request_put(image_write(fx->img, offset, data, length, look, &begun));
	return begun;
}

/* Its writes are begun before they are answered, those of who does not are left to be collected. */
static void who_syncs_after_each_write_finds_it_on_its_way(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);
	void *data = filled(8192, 0x63);
	struct begun begun;

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_committed == 1);
	for (unsigned int i = 0; i < 20; i++)
		begun = write_and_look(fx, &gate, 4096, data, 4096);
	assert_int_equal(begun.nr, 0);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(do_flush(fx), 0);
		begun = write_and_look(fx, &gate, 4096, data, 4096);
		assert_int_equal(begun.nr, i == 4);
	}
	assert_int_equal(begun.offset, 4096);
	assert_int_equal(begun.length, 4096);
	assert_int_equal(do_flush(fx), 0);
	begun = write_and_look(fx, &gate, 16384, data, 8192);
	assert_int_equal(begun.nr, 2);
	assert_int_equal(begun.offset, 16384);
	assert_int_equal(begun.length, 8192);
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* Whatever the other one is. */
static void two_changes_to_a_sync_are_not_begun(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate);
	void *data = filled(65536, 0x64);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_committed == 1);
	for (unsigned int i = 0; i < 8; i++) {
		struct begun begun = write_and_look(fx, &gate, 4096, data, 4096);

		assert_int_equal(begun.nr, 0);
		assert_int_equal(do_write(fx, (i + 1) * UINT64_C(65536), data, 65536), 0);
		assert_int_equal(do_flush(fx), 0);
	}
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

static void stop_background_begins_a_commit_and_requests_go_on(void **state)
{
	struct fixture *fx = fixture_new(4 * MIB, 64 * KIB);

	(void)state;
	fx->params.settings.hydration_threshold = 8;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 2);
	image_stop_background(fx->img);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_int_equal(status_of(fx).hydration, HYDRATION_STOPPED);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_reads_source(fx, MIB, 4096);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_flush_during_a_commit_waits_for_the_next),
	        cmocka_unit_test(a_flush_commits_what_was_hydrated_and_written),
	        cmocka_unit_test(changes_are_committed_within_a_second_or_so),
	        cmocka_unit_test(nothing_is_synced_while_nothing_changes),
	        cmocka_unit_test(what_a_commit_will_sync_is_written_back_before),
	        cmocka_unit_test(a_flush_that_waits_can_be_cancelled),
	        cmocka_unit_test(a_flush_of_nothing_is_one_sync_and_no_commit),
	        cmocka_unit_test(who_syncs_after_each_write_finds_it_on_its_way),
	        cmocka_unit_test(two_changes_to_a_sync_are_not_begun),
	        cmocka_unit_test(stop_background_begins_a_commit_and_requests_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
