#include "engine_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "gate_io.h"

/* No commit comes by itself between a change and the failure that is to lose it, however long the
 * test is kept from running. */
static struct fixture *fixture_without_timer(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_new(size, region_size);

	fx->params.commit_interval_ms = UINT64_C(3600) * 1000;
	return fx;
}

static struct fixture *opened(uint64_t size, uint64_t region_size)
{
	struct fixture *fx = fixture_without_timer(size, region_size);

	fixture_open(fx);
	return fx;
}

/* Region 0: written and committed. 1: fetched and committed, then written. 2: written whole. 3: a
 * parked write's. 5: fetched, not committed. 6: punched. 8: zeroed in part. */
static struct fixture *prepared(void)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);
	void *data = filled(65536, 0x81);

	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	assert_reads_source(fx, 65536, 65536);
	wait_until(status_of(fx).regions_hydrated == 2);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(do_write(fx, 65536 + 10, data, 100), 0);
	assert_int_equal(do_write(fx, 2 * 65536, data, 65536), 0);
	assert_int_equal(do_write(fx, 3 * 65536 + 10, data, 100), 0);
	assert_reads_source(fx, 5 * 65536, 65536);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 6 * 65536, 65536), 0);
	assert_int_equal(do_range(fx, IMAGE_ZERO, 8 * 65536 + 10, 100), 0);
	wait_until(status_of(fx).regions_hydrated == 7);
	free(data);
	return fx;
}

/* Events of mode and lost set, in their order: "ro lost", "ro lost fail". */
static const char *told_modes(struct fixture *fx, char *buf, size_t size)
{
	buf[0] = '\0';
	cf_lock(&fx->lock);
	for (size_t i = 0; i < fx->nr_told; i++) {
		const struct told *told = &fx->told[i];
		size_t length = strlen(buf);

		if (told->kind == IMAGE_EVENT_LOST)
			(void)snprintf(buf + length, size - length, "lost ");
		else if (told->kind == IMAGE_EVENT_MODE)
			(void)snprintf(buf + length, size - length, "%s ",
			               image_mode_name((enum image_mode)told->value));
	}
	cf_unlock(&fx->lock);
	return buf;
}

static void assert_nothing_can_be_changed(struct fixture *fx, int error)
{
	void *data = filled(65536, 0x84);

	assert_int_equal(do_write(fx, 0, data, 1), error);
	assert_int_equal(do_write(fx, 10 * 65536, data, 1), error);
	assert_int_equal(do_write(fx, 10 * 65536, data, 65536), error);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 65536), error);
	assert_int_equal(do_range(fx, IMAGE_ZERO, 65536, 10), error);
	assert_int_equal(do_range(fx, IMAGE_ALLOCATE, 0, 65536), error);
	free(data);
}

static void assert_is_read_only(struct fixture *fx, uint64_t nr_lost)
{
	uint64_t found;
	char modes[64];

	assert_int_equal(status_of(fx).mode, IMAGE_RO);
	assert_int_equal(status_of(fx).hydration, HYDRATION_STOPPED);
	assert_true(strlen(status_of(fx).reason) > 0);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_MODE).value, IMAGE_RO);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_LOST).value, nr_lost);
	wait_until(nr_invalidations(fx) == 1);
	assert_string_equal(told_modes(fx, modes, sizeof(modes)), "ro lost ");
	assert_nothing_can_be_changed(fx, -EIO);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(do_pause(fx), 0);
	assert_int_equal(image_seek(fx->img, 100, SEEK_DATA, &found), 0);
	assert_int_equal(found, 100);
	assert_int_equal(image_seek(fx->img, 100, SEEK_HOLE, &found), 0);
	assert_int_equal(found, fx->size);
}

static void assert_has_failed(struct fixture *fx)
{
	struct image_status status = status_of(fx);
	uint64_t found;
	char buf[512];

	assert_int_equal(status.mode, IMAGE_FAIL);
	assert_int_equal(status.hydration, HYDRATION_STOPPED);
	assert_true(strlen(status.reason) > 0);
	for (uint64_t region = 0; region < 10; region++)
		assert_int_equal(do_read(fx, buf, region * 65536, sizeof(buf)), -EIO);
	assert_nothing_can_be_changed(fx, -EIO);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(do_pause(fx), 0);
	assert_int_equal(image_seek(fx->img, 0, SEEK_DATA, &found), -EIO);
	assert_int_equal(image_seek(fx->img, 0, SEEK_HOLE, &found), -EIO);
}

static int read_one(struct fixture *fx, uint64_t region)
{
	char buf[512];

	return do_read(fx, buf, region * 65536 + 8192, sizeof(buf));
}

/* Missing regions are fetched and answered, and not kept. */
static void assert_fetches_but_keeps_nothing(struct fixture *fx, uint64_t region)
{
	unsigned char *before = filled(65536, 0);
	size_t asked = memory_source_nr_asked(fx->source);

	memcpy(before, memory_io_data(fx->destination) + region * 65536, 65536);
	assert_reads_source(fx, region * 65536, 65536);
	assert_reads_source(fx, region * 65536 + 100, 1000);
	assert_true(memory_source_nr_asked(fx->source) >= asked + 2);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_memory_equal(memory_io_data(fx->destination) + region * 65536, before, 65536);
	assert_int_equal(status_of(fx).regions_hydrated, status_of(fx).regions_committed);
	free(before);
}

static void a_failed_destination_sync_loses_all_writes_since_the_last(void **state)
{
	struct fixture *fx = prepared();
	char buf[200];

	(void)state;
	memset(buf, 0x85, sizeof(buf));
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	assert_is_read_only(fx, 5);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "1-3, 6, 8");
	assert_int_equal(read_one(fx, 0), 0);
	assert_int_equal(read_one(fx, 1), -EIO);
	assert_int_equal(read_one(fx, 2), -EIO);
	assert_int_equal(read_one(fx, 3), -EIO);
	assert_int_equal(read_one(fx, 6), -EIO);
	assert_int_equal(read_one(fx, 8), -EIO);
	/* A read that has a lost region in it, beside others. */
	assert_int_equal(do_read(fx, buf, 8 * 65536 - 100, 200), -EIO);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	assert_fetches_but_keeps_nothing(fx, 5);
	assert_fetches_but_keeps_nothing(fx, 7);
	assert_int_equal(fixture_close(fx), -EIO);
	/* Opened again it is as good as what is on the disk. */
	fixture_open(fx);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	assert_int_equal(read_one(fx, 1), 0);
	assert_int_equal(do_write(fx, 2 * 65536, buf, sizeof(buf)), 0);
	assert_int_equal(fixture_close(fx), 0);
	fixture_free(fx);
}

static void a_failed_metadata_write_loses_what_is_not_committed(void **state)
{
	struct fixture *fx = prepared();

	(void)state;
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	/* Region 1 is committed, and the destination has its new bytes. */
	assert_is_read_only(fx, 4);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "2-3, 6, 8");
	assert_int_equal(read_one(fx, 0), 0);
	assert_int_equal(read_one(fx, 1), 0);
	assert_int_equal(read_one(fx, 2), -EIO);
	assert_int_equal(read_one(fx, 3), -EIO);
	assert_int_equal(read_one(fx, 6), -EIO);
	assert_int_equal(read_one(fx, 8), -EIO);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	assert_fetches_but_keeps_nothing(fx, 5);
	assert_fetches_but_keeps_nothing(fx, 9);
	fixture_free(fx);
}

static void what_was_only_fetched_is_missing_again(void **state)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	(void)wait_event(fx, IMAGE_EVENT_MODE);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_LOST), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_fetches_but_keeps_nothing(fx, 0);
	fixture_free(fx);
}

static void a_failed_reload_is_fail_mode(void **state)
{
	struct fixture *fx = prepared();
	char modes[64];

	(void)state;
	memory_io_fail(fx->metadata_io, MEMORY_IO_ANY, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	wait_until(nr_events(fx, IMAGE_EVENT_MODE) == 2);
	assert_string_equal(told_modes(fx, modes, sizeof(modes)), "ro lost fail ");
	assert_has_failed(fx);
	wait_until(nr_invalidations(fx) == 1);
	assert_int_equal(fixture_close(fx), -EIO);
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	fixture_free(fx);
}

static void who_waits_is_answered_from_the_reply(void **state)
{
	struct fixture *fx = prepared();
	struct answer *reader, *writer;
	char byte = 1;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 16384);
	reader = start_read(fx, 10 * 65536, 65536);
	writer = start_write(fx, 12 * 65536, &byte, 1);
	memory_source_wait_held(fx->source, 2);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	assert_false(answer_is_done(reader));
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 10 * 65536);
	(void)answer_free(reader);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_int_equal(status_of(fx).regions_hydrated, 2);
	fixture_free(fx);
}

static void a_short_destination_is_fail_mode(void **state)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);
	struct answer *reader, *writer;
	char modes[64] = "";

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_source_gate(fx->source, 0);
	reader = start_read(fx, 9 * 65536, 4096);
	writer = start_write(fx, 10 * 65536, modes, 10);
	memory_source_wait_held(fx->source, 2);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -ENODATA, false);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(answer_free(reader), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	assert_has_failed(fx);
	assert_int_equal(wait_event(fx, IMAGE_EVENT_MODE).value, IMAGE_FAIL);
	assert_string_equal(told_modes(fx, modes, sizeof(modes)), "fail ");
	wait_until(nr_invalidations(fx) == 1);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_int_equal(fixture_close(fx), -EIO);
	fixture_free(fx);
}

/* The same for a read of which the destination has a part only. */
static void a_short_destination_is_found_by_a_read_in_parts(void **state)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -ENODATA, false);
	assert_int_equal(answer_free(start_read(fx, 0, 2 * 65536)), -EIO);
	assert_has_failed(fx);
	fixture_free(fx);
}

static void a_failed_read_of_the_destination_is_that_readers(void **state)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);

	(void)state;
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -EIO, false);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	assert_int_equal(read_one(fx, 0), 0);
	fixture_free(fx);
}

/* A write under way while the commit fails is refused, or in the lost set; never neither. */
static void a_write_beside_a_failing_commit_is_lost_or_refused(void **state)
{
	struct fixture *fx = fixture_without_timer(2 * MIB, 64 * KIB);
	void *data = filled(65536, 0x82);
	struct answer *flush;
	struct gate_io gate;

	(void)state;
	gate_io_init(&gate, fx->destination);
	fx->params.destination = &gate.io;
	fixture_open(fx);
	gate_io_hold(&gate, false, false, true);
	flush = start_flush(fx);
	gate_io_wait_held(&gate, 1);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(flush), -EIO);
	assert_int_equal(do_write(fx, 65536, data, 65536), -EIO);
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(read_one(fx, 1), 0);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "0");
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

/* The frozen set and what came after it: the metadata's failure loses both. */
static void writes_before_and_after_the_freeze_are_lost_with_the_metadata(void **state)
{
	struct fixture *fx = fixture_without_timer(2 * MIB, 64 * KIB);
	void *data = filled(65536, 0x86);
	struct answer *flush;
	struct gate_io gate;

	(void)state;
	gate_io_init(&gate, fx->destination);
	fx->params.destination = &gate.io;
	fixture_open(fx);
	assert_int_equal(do_flush(fx), 0);
	gate_io_hold(&gate, false, false, true);
	assert_int_equal(do_write(fx, 0, data, 65536), 0);
	flush = start_flush(fx);
	gate_io_wait_held(&gate, 1);
	assert_int_equal(do_write(fx, 2 * 65536, data, 65536), 0);
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(answer_free(flush), -EIO);
	assert_string_equal(wait_event(fx, IMAGE_EVENT_LOST).text, "0, 2");
	assert_int_equal(read_one(fx, 0), -EIO);
	assert_int_equal(read_one(fx, 2), -EIO);
	assert_int_equal(read_one(fx, 1), 0);
	free(data);
	fixture_free(fx);
	gate_io_fini(&gate);
}

struct held_write {
	pthread_t thread;
	struct fixture *fx;
	uint64_t region;
	int result;
};

static void *write_region(void *arg)
{
	struct held_write *write = arg;
	unsigned char data[4096];

	memset(data, 0x87, sizeof(data));
	write->result = do_write(write->fx, write->region * 4096, data, sizeof(data));
	return NULL;
}

/* Holds the bitmap lock on a thread that wants no other one. */
struct lock_holder {
	pthread_t thread;
	struct metadata *metadata;
	sem_t held, let_go;
};

static void *hold_bitmap_lock(void *arg)
{
	struct lock_holder *holder = arg;

	metadata_bitmap_lock(holder->metadata);
	(void)sem_post(&holder->held);
	while (sem_wait(&holder->let_go) < 0)
		;
	metadata_bitmap_unlock(holder->metadata);
	return NULL;
}

static void lock_holder_begin(struct lock_holder *holder, struct metadata *metadata)
{
	holder->metadata = metadata;
	assert_int_equal(sem_init(&holder->held, 0, 0), 0);
	assert_int_equal(sem_init(&holder->let_go, 0, 0), 0);
	assert_int_equal(pthread_create(&holder->thread, NULL, hold_bitmap_lock, holder), 0);
	while (sem_wait(&holder->held) < 0)
		;
}

static void lock_holder_end(struct lock_holder *holder)
{
	(void)sem_post(&holder->let_go);
	assert_int_equal(pthread_join(holder->thread, NULL), 0);
	(void)sem_destroy(&holder->held);
	(void)sem_destroy(&holder->let_go);
}

#define NR_WRITES 8

/*
 * Writes that come at the very moment at which a commit looks for changes, finds none and freezes
 * them: all wait for the same lock. The next commit fails; whichever of the two a write belongs to,
 * it must not be forgotten.
 */
static void a_write_between_two_commits_belongs_to_one_of_them(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		struct fixture *fx = opened(64 * KIB, 4 * KIB);
		struct held_write writes[NR_WRITES];
		struct lock_holder holder;
		struct answer *flush;
		char buf[512];

		assert_int_equal(do_flush(fx), 0);
		memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
		lock_holder_begin(&holder, fx->metadata);
		flush = start_flush(fx);
		fixture_sleep_ms(1);
		for (unsigned int w = 0; w < NR_WRITES; w++) {
			writes[w] = (struct held_write){.fx = fx, .region = w};
			assert_int_equal(
			        pthread_create(&writes[w].thread, NULL, write_region, &writes[w]),
			        0);
		}
		fixture_sleep_ms(1);
		lock_holder_end(&holder);
		for (unsigned int w = 0; w < NR_WRITES; w++)
			assert_int_equal(pthread_join(writes[w].thread, NULL), 0);
		(void)answer_free(flush);
		assert_int_equal(do_flush(fx), -EIO);
		for (unsigned int w = 0; w < NR_WRITES; w++) {
			if (writes[w].result == 0)
				assert_int_equal(do_read(fx, buf, w * 4096, sizeof(buf)), -EIO);
		}
		fixture_free(fx);
	}
}

/* A write that waits in an entry whose bytes are not kept (the destination was full). */
static void who_waits_to_write_is_told_at_once(void **state)
{
	struct fixture *fx = opened(2 * MIB, 64 * KIB);
	unsigned char *before = filled(2 * MIB, 0);
	struct answer *reader, *writer;
	char byte = 1;

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_WRITE, 1, -ENOSPC, false);
	assert_reads_source(fx, 0, 65536);
	(void)wait_event(fx, IMAGE_EVENT_NO_SPACE_BEGIN);
	wait_until(status_of(fx).regions_hydrating == 0);
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 16384);
	reader = start_read(fx, 65536, 65536);
	writer = start_write(fx, 65536 + 100, &byte, 1);
	memory_source_wait_held(fx->source, 1);
	memcpy(before, memory_io_data(fx->destination), 2 * MIB);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(answer_free(writer), -EIO);
	memory_source_gate(fx->source, UINT64_MAX);
	assert_answer_is_source(fx, reader, 65536);
	(void)answer_free(reader);
	wait_until(status_of(fx).regions_hydrating == 0);
	assert_memory_equal(memory_io_data(fx->destination), before, 2 * MIB);
	free(before);
	fixture_free(fx);
}

static void mounted_read_only_it_does_all_but_change(void **state)
{
	struct fixture *fx = fixture_without_timer(2 * MIB, 64 * KIB);

	(void)state;
	fx->params.read_only = true;
	fixture_open(fx);
	assert_reads_source(fx, 0, 65536);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_nothing_can_be_changed(fx, -EROFS);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).regions_committed, 1);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	/* It can fail as every clone, and has nothing to lose. */
	assert_reads_source(fx, 7 * 65536, 65536);
	wait_until(status_of(fx).regions_hydrated == 2);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	(void)wait_event(fx, IMAGE_EVENT_MODE);
	assert_int_equal(status_of(fx).mode, IMAGE_RO);
	assert_int_equal(status_of(fx).regions_hydrated, 1);
	assert_int_equal(nr_events(fx, IMAGE_EVENT_LOST), 0);
	assert_nothing_can_be_changed(fx, -EROFS);
	assert_reads_source(fx, 0, 65536);
	assert_fetches_but_keeps_nothing(fx, 7);
	fixture_free(fx);
}

/* Every point at which a commit can fail, once or from there on, one after the other. */
static void no_failure_of_a_commit_brings_old_data_back(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned int nth = 2; failed; nth++) {
		struct fixture *fx = opened(MIB, 64 * KIB);
		unsigned char *data = filled(65536, 0x83);
		unsigned char buf[512];
		int r;

		assert_true(nth < 100);
		assert_int_equal(do_write(fx, 65536, data, 65536), 0);
		memory_io_fail(fx->metadata_io, MEMORY_IO_CHANGES, nth / 2, -EIO, nth % 2);
		r = do_flush(fx);
		failed = memory_io_nr_failed(fx->metadata_io) > 0;
		assert_int_equal(r, failed ? -EIO : 0);
		assert_int_equal(status_of(fx).mode, failed ? IMAGE_RO : IMAGE_RW);
		r = do_read(fx, buf, 65536, sizeof(buf));
		if (r == 0)
			assert_memory_equal(buf, data, sizeof(buf));
		else
			assert_int_equal(r, -EIO);
		assert_true(failed || r == 0);
		free(data);
		fixture_free(fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_failed_destination_sync_loses_all_writes_since_the_last),
	        cmocka_unit_test(a_failed_metadata_write_loses_what_is_not_committed),
	        cmocka_unit_test(what_was_only_fetched_is_missing_again),
	        cmocka_unit_test(a_failed_reload_is_fail_mode),
	        cmocka_unit_test(who_waits_is_answered_from_the_reply),
	        cmocka_unit_test(a_short_destination_is_fail_mode),
	        cmocka_unit_test(a_short_destination_is_found_by_a_read_in_parts),
	        cmocka_unit_test(a_failed_read_of_the_destination_is_that_readers),
	        cmocka_unit_test(a_write_beside_a_failing_commit_is_lost_or_refused),
	        cmocka_unit_test(writes_before_and_after_the_freeze_are_lost_with_the_metadata),
	        cmocka_unit_test(a_write_between_two_commits_belongs_to_one_of_them),
	        cmocka_unit_test(who_waits_to_write_is_told_at_once),
	        cmocka_unit_test(mounted_read_only_it_does_all_but_change),
	        cmocka_unit_test(no_failure_of_a_commit_brings_old_data_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
