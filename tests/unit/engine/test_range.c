/* Punch, zero-range, allocate and seek. */
#include "engine_fixture.h"

#include <unistd.h>

#include "gate_io.h"

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

/* Zeros find their way down whatever the destination can do. */
static void zeros_reach_any_destination(void **state)
{
	static const struct {
		bool no_punch, no_zero, no_discard;
	} cases[] = {{false, false, true},
	             {true, false, false},
	             {true, true, false},
	             {true, true, true}};
	void *zeros = filled(3 * 65536, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fx = fixture_new(MIB + 100, 64 * KIB);
		struct gate_io gate;

		gate_io_init(&gate, fx->destination);
		gate.no_punch = cases[i].no_punch;
		gate.no_zero = cases[i].no_zero;
		fx->params.destination = &gate.io;
		fx->params.no_discard_passdown = cases[i].no_discard;
		fixture_open(fx);
		assert_int_equal(do_range(fx, IMAGE_PUNCH, 65536, 3 * 65536), 0);
		assert_int_equal(do_range(fx, IMAGE_ZERO, MIB, 100), 0);
		assert_int_equal(memory_source_nr_asked(fx->source), 0);
		assert_memory_equal(memory_io_data(fx->destination) + 65536, zeros, 3 * 65536);
		assert_memory_equal(memory_io_data(fx->destination) + MIB, zeros, 100);
		assert_int_equal(gate_io_bytes_written(&gate),
		                 cases[i].no_zero ? 3 * 65536 + 100 : 0);
		/* Edges, and zeros of the source: region 4. */
		assert_int_equal(do_range(fx, IMAGE_PUNCH, 6 * 65536 + 7, 1000), 0);
		assert_reads(fx, 6 * 65536 + 7, 1000, zeros);
		assert_reads_source(fx, 6 * 65536, 7);
		assert_reads_source(fx, 6 * 65536 + 1007, 65536 - 1007);
		assert_reads_source(fx, 4 * 65536, 65536);
		wait_until(status_of(fx).regions_hydrated == 6);
		assert_memory_equal(memory_io_data(fx->destination) + 4 * 65536, zeros, 65536);
		fixture_free(fx);
		gate_io_fini(&gate);
	}
	free(zeros);
}

/* R3 for a punch: it does not wait for the source, and readers of the region see zeros. */
static void a_punch_of_a_region_being_fetched_wins(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	unsigned char zeros[4096] = {0};
	struct answer *reader;

	(void)state;
	memory_source_set_chunk(fx->source, 4096);
	memory_source_gate(fx->source, 8192);
	reader = start_read(fx, 65536 + 32768, 4096);
	memory_source_wait_held(fx->source, 1);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 65536, 65536), 0);
	assert_int_equal(answer_wait(reader), 0);
	assert_memory_equal(reader->data, zeros, 4096);
	(void)answer_free(reader);
	memory_source_gate(fx->source, UINT64_MAX);
	wait_until(memory_source_nr_open(fx->source) == 0);
	assert_reads(fx, 65536, 4096, zeros);
	fixture_free(fx);
}

static void a_failed_punch_leaves_the_regions_missing(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_PUNCH, 1, -EIO, false);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 3 * 65536), -EIO);
	assert_int_equal(status_of(fx).regions_hydrated, 0);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_reads_source(fx, 0, 3 * 65536);
	fixture_free(fx);
}

static uint64_t seek(struct fixture *fx, uint64_t offset, int whence)
{
	uint64_t found = UINT64_MAX;
	int r = image_seek(fx->img, offset, whence, &found);

	return r < 0 ? (uint64_t)r : found;
}

/* A destination that is a real file, which has holes. */
struct file_image {
	struct fixture *fx;
	struct block_io *io;
	int fd;
	char path[32];
};

static void file_image_open(struct file_image *file, uint64_t size, uint64_t region_size)
{
	file->fx = fixture_new(size, region_size);
	(void)snprintf(file->path, sizeof(file->path), "/tmp/clonefs-seek-XXXXXX");
	file->fd = mkstemp(file->path);
	assert_true(file->fd >= 0);
	assert_int_equal(ftruncate(file->fd, (off_t)size), 0);
	assert_int_equal(block_io_open(file->path, 0, &file->io, NULL), 0);
	(void)unlink(file->path);
	file->fx->params.destination = file->io;
	fixture_open(file->fx);
}

static void file_image_free(struct file_image *file)
{
	assert_int_equal(fixture_close(file->fx), 0);
	block_io_close(file->io);
	(void)close(file->fd);
	fixture_free(file->fx);
}

static void seek_tells_holes_of_hydrated_regions_only(void **state)
{
	void *data = filled(65536, 0x71);
	struct file_image file;
	struct fixture *fx;

	(void)state;
	file_image_open(&file, MIB, 64 * KIB);
	fx = file.fx;
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
	free(data);
	file_image_free(&file);
}

/* Hydrated holes and data in turn, a missing region among them, and a short last one. */
static void seek_goes_through_all_kinds_of_regions(void **state)
{
	const uint64_t size = 8 * 65536 + 777;
	void *data = filled(65536, 0x72);
	struct file_image file;
	struct fixture *fx;

	(void)state;
	file_image_open(&file, size, 64 * KIB);
	fx = file.fx;
	/* 0 and 1 holes, 2 data, 3 a hole, 4 and 5 missing, 6 a hole, 7 data, 8 a hole. */
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 2 * 65536), 0);
	assert_int_equal(do_write(fx, 2 * 65536, data, 65536), 0);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 3 * 65536, 65536), 0);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 6 * 65536, 65536), 0);
	assert_int_equal(do_write(fx, 7 * 65536, data, 65536), 0);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 8 * 65536, 777), 0);
	assert_int_equal(seek(fx, 0, SEEK_HOLE), 0);
	assert_int_equal(seek(fx, 100, SEEK_DATA), 2 * 65536);
	assert_int_equal(seek(fx, 2 * 65536 + 1, SEEK_HOLE), 3 * 65536);
	assert_int_equal(seek(fx, 3 * 65536 + 1, SEEK_DATA), 4 * 65536);
	assert_int_equal(seek(fx, 4 * 65536 + 9, SEEK_DATA), 4 * 65536 + 9);
	assert_int_equal(seek(fx, 4 * 65536, SEEK_HOLE), 6 * 65536);
	assert_int_equal(seek(fx, 6 * 65536, SEEK_DATA), 7 * 65536);
	assert_int_equal(seek(fx, 7 * 65536, SEEK_HOLE), 8 * 65536);
	assert_int_equal(seek(fx, 8 * 65536, SEEK_DATA), (uint64_t)-ENXIO);
	assert_int_equal(seek(fx, size - 1, SEEK_HOLE), size - 1);
	assert_int_equal(seek(fx, size, SEEK_HOLE), (uint64_t)-ENXIO);
	/* What is fetched counts as soon as it is here: a run of zeros becomes a hole (R7). */
	assert_reads_source(fx, 4 * 65536, 65536);
	wait_until(status_of(fx).regions_hydrated == 8);
	assert_int_equal(seek(fx, 3 * 65536, SEEK_DATA), 5 * 65536);
	free(data);
	file_image_free(&file);
}

static void where_the_destination_cannot_tell_all_is_data(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, MIB), 0);
	assert_int_equal(seek(fx, 5, SEEK_DATA), 5);
	assert_int_equal(seek(fx, 5, SEEK_HOLE), MIB);
	assert_int_equal(seek(fx, MIB, SEEK_HOLE), (uint64_t)-ENXIO);
	fixture_free(fx);
}

static void seek_of_a_read_only_mount_works(void **state)
{
	struct file_image file;

	(void)state;
	file_image_open(&file, MIB, 64 * KIB);
	assert_int_equal(do_range(file.fx, IMAGE_PUNCH, 0, 65536), 0);
	assert_int_equal(fixture_close(file.fx), 0);
	file.fx->params.read_only = true;
	fixture_open(file.fx);
	assert_int_equal(seek(file.fx, 0, SEEK_HOLE), 0);
	assert_int_equal(seek(file.fx, 0, SEEK_DATA), 65536);
	file_image_free(&file);
}

/* In mode ro the destination's holes may be where data was lost. */
static void after_a_failure_all_is_data(void **state)
{
	struct file_image file;
	struct fixture *fx;

	(void)state;
	file_image_open(&file, MIB, 64 * KIB);
	fx = file.fx;
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 0, 4 * 65536), 0);
	assert_int_equal(do_flush(fx), 0);
	assert_int_equal(seek(fx, 0, SEEK_DATA), 4 * 65536);
	assert_int_equal(do_range(fx, IMAGE_PUNCH, 5 * 65536, 65536), 0);
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	assert_int_equal(do_flush(fx), -EIO);
	assert_int_equal(seek(fx, 0, SEEK_DATA), 0);
	assert_int_equal(seek(fx, 5 * 65536, SEEK_DATA), 5 * 65536);
	assert_int_equal(seek(fx, 0, SEEK_HOLE), MIB);
	memory_io_fail(fx->metadata_io, 0, 0, 0, false);
	assert_int_equal(fixture_close(fx), -EIO);
	fixture_open(fx);
	file_image_free(&file);
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
	        cmocka_unit_test(zeros_reach_any_destination),
	        cmocka_unit_test(a_punch_of_a_region_being_fetched_wins),
	        cmocka_unit_test(a_failed_punch_leaves_the_regions_missing),
	        cmocka_unit_test(seek_tells_holes_of_hydrated_regions_only),
	        cmocka_unit_test(seek_goes_through_all_kinds_of_regions),
	        cmocka_unit_test(where_the_destination_cannot_tell_all_is_data),
	        cmocka_unit_test(seek_of_a_read_only_mount_works),
	        cmocka_unit_test(after_a_failure_all_is_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
