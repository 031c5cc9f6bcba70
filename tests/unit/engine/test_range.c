/* Punch, zero-range, allocate and seek. */
#include "engine_fixture.h"

#include <unistd.h>

static void whole_regions_are_punched_without_a_fetch(void **state)
{
	static const enum image_range_op ops[] = {IMAGE_PUNCH, IMAGE_ZERO};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *fx = fixture_opened(MIB, 64 * KIB);
		void *zeros = filled(4 * 65536, 0);

		assert_int_equal(do_range(fx, ops[i], 65536, 4 * 65536), 0);
		assert_int_equal(status_of(fx).regions_hydrated, 4);
		assert_reads(fx, 65536, 4 * 65536, zeros);
		assert_reads_source(fx, 0, 65536);
		assert_int_equal(memory_source_nr_bytes(fx->source), 65536);
		assert_memory_equal(memory_io_data(fx->destination) + 65536, zeros, 4 * 65536);
		free(zeros);
		fixture_free(fx);
	}
}

static void edges_are_hydrated_and_zeroed(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	void *zeros = filled(200000, 0);

	(void)state;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 1000, 200000), 0);
	assert_reads_source(fx, 0, 1000);
	assert_reads(fx, 1000, 200000, zeros);
	assert_reads_source(fx, 201000, 4 * 65536 - 201000);
	assert_int_equal(memory_source_nr_bytes(fx->source), 2 * 65536);
	free(zeros);
	fixture_free(fx);
}

static void a_punch_to_the_end_covers_the_short_last_region(void **state)
{
	struct fixture *fx = fixture_opened(65536 * 2 + 10, 64 * KIB);
	unsigned char zeros[10] = {0};

	(void)state;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 131072, 10), 0);
	assert_reads(fx, 131072, 10, zeros);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	fixture_free(fx);
}

static void all_of_a_large_image_can_be_punched(void **state)
{
	struct fixture *fx = fixture_opened(32 * MIB + 3, 4 * KIB);

	(void)state;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 32 * MIB + 3), 0);
	assert_int_equal(status_of(fx).regions_hydrated, 8193);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(status_of(fx).hydration, HYDRATION_DONE);
	assert_int_equal(memory_source_nr_asked(fx->source), 0);
	fixture_free(fx);
}

static void a_punch_ends_requests_for_what_it_covers(void **state)
{
	struct fixture *fx = fixture_new(4 * MIB, 64 * KIB);

	(void)state;
	fx->params.settings.hydration_threshold = 64;
	fx->params.settings.hydration_batch_size = 16;
	memory_source_gate(fx->source, 0);
	fixture_open(fx);
	memory_source_wait_held(fx->source, 4);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, MIB, 2 * MIB), 0);
	wait_until(memory_source_nr_cancelled(fx->source) == 2);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(memory_source_nr_bytes(fx->source), 2 * MIB);
	fixture_free(fx);
}

static void allocate_changes_nothing(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	int r = do_range(fx, IMAGE_ALLOCATE, 0, MIB);

	(void)state;
	assert_true(r == 0 || r == -EOPNOTSUPP);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_false(status_of(fx).modified);
	assert_reads_source(fx, 0, MIB);
	fixture_free(fx);
}

static uint64_t seek(struct fixture *fx, uint64_t offset, int whence)
{
	uint64_t found = UINT64_MAX;
	int r = image_seek(fx->img, offset, whence, &found);

	return r < 0 ? (uint64_t)r : found;
}

/* On a real file, which has holes. */
static void seek_tells_holes_of_hydrated_regions_only(void **state)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);
	char path[] = "/tmp/clonefs-seek-XXXXXX";
	int fd = mkstemp(path);
	struct block_io *io;
	void *data = filled(65536, 0x71);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(block_io_open(path, 0, &io, NULL), 0);
	fx->params.destination = io;
	fixture_open(fx);
	assert_int_equal(seek(fx, 0, SEEK_DATA), 0);
	assert_int_equal(seek(fx, 5, SEEK_HOLE), MIB);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 65536, 131072), 0);
	assert_int_equal(do_write(fx, 3 * 65536, data, 65536), 0);
	assert_int_equal(seek(fx, 0, SEEK_HOLE), 65536);
	assert_int_equal(seek(fx, 65536, SEEK_DATA), 3 * 65536);
	assert_int_equal(seek(fx, 100000, SEEK_HOLE), 100000);
	assert_int_equal(seek(fx, 3 * 65536, SEEK_HOLE), MIB);
	assert_int_equal(seek(fx, MIB - 1, SEEK_DATA), MIB - 1);
	assert_int_equal(seek(fx, MIB, SEEK_DATA), (uint64_t)-ENXIO);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, MIB), 0);
	assert_int_equal(seek(fx, 0, SEEK_DATA), (uint64_t)-ENXIO);
	assert_int_equal(seek(fx, 0, SEEK_HOLE), 0);
	assert_int_equal(fixture_close(fx), 0);
	block_io_close(io);
	(void)close(fd);
	(void)unlink(path);
	free(data);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(whole_regions_are_punched_without_a_fetch),
	        cmocka_unit_test(edges_are_hydrated_and_zeroed),
	        cmocka_unit_test(a_punch_to_the_end_covers_the_short_last_region),
	        cmocka_unit_test(all_of_a_large_image_can_be_punched),
	        cmocka_unit_test(a_punch_ends_requests_for_what_it_covers),
	        cmocka_unit_test(allocate_changes_nothing),
	        cmocka_unit_test(seek_tells_holes_of_hydrated_regions_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
