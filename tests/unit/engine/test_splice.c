/* Hydrated reads into a pipe: what they bring, and when they leave it to somebody else. */
#include "engine_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "gate_io.h"

#define LENGTH ((size_t)65536) /* what a new pipe holds */

struct ends {
	int out;
	int in;
};

static struct ends new_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	return (struct ends){.out = ends[0], .in = ends[1]};
}

static void close_pipe(struct ends *pipe)
{
	(void)close(pipe->out);
	(void)close(pipe->in);
}

/* The pipe holds the source's @length bytes from @offset on, and nothing else. */
static void assert_holds_source(const struct fixture *fx, const struct ends *pipe, uint64_t offset,
                                size_t length)
{
	unsigned char buf[LENGTH + 1];

	assert_int_equal(read(pipe->out, buf, sizeof(buf)), length);
	assert_memory_equal(buf, fx->source_data + offset, length);
}

static struct fixture *opened_with(struct gate_io *gate, bool no_splice)
{
	struct fixture *fx = fixture_new(2 * MIB, 64 * KIB);

	gate_io_init(gate, fx->destination);
	gate->no_splice = no_splice;
	fx->params.destination = &gate->io;
	fixture_open(fx);
	return fx;
}

static void hydrate(struct fixture *fx, uint64_t region)
{
	unsigned char byte;

	assert_int_equal(do_read(fx, &byte, region * 65536, 1), 0);
	wait_until(image_read_hydrated(fx->img, &byte, 1, region * 65536) == 0);
}

static void only_hydrated_bytes_are_spliced(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct ends pipe = new_pipe();

	(void)state;
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, 4096, 65536), -EAGAIN);
	hydrate(fx, 1);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, LENGTH, 65536), 0);
	assert_holds_source(fx, &pipe, 65536, LENGTH);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, 5000, 65536 + 77), 0);
	assert_holds_source(fx, &pipe, 65536 + 77, 5000);
	/* Into a region that is missing. */
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, 200, 2 * 65536 - 100), -EAGAIN);
	close_pipe(&pipe);
	fixture_free(fx);
}

static void a_stream_that_is_spliced_is_read_ahead_for(void **state)
{
	struct fixture *fx = fixture_opened(16 * MIB, 64 * KIB);
	struct ends pipe = new_pipe();
	size_t asked;

	(void)state;
	for (uint64_t region = 0; region < 3; region++)
		assert_reads_source(fx, region * 65536, 65536);
	wait_until(status_of(fx).regions_hydrating == 0);
	asked = memory_source_nr_asked(fx->source);
	for (uint64_t region = 3;
	     image_splice_hydrated(fx->img, pipe.in, LENGTH, region * 65536) == 0 &&
	     memory_source_nr_asked(fx->source) == asked;
	     region++)
		assert_holds_source(fx, &pipe, region * 65536, LENGTH);
	assert_true(memory_source_nr_asked(fx->source) > asked);
	close_pipe(&pipe);
	fixture_free(fx);
}

static void a_destination_that_cannot_leaves_it_to_a_copy(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate, true);
	struct ends pipe = new_pipe();
	unsigned char buf[4096];

	(void)state;
	hydrate(fx, 0);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, sizeof(buf), 0), -EOPNOTSUPP);
	assert_int_equal(image_read_hydrated(fx->img, buf, sizeof(buf), 0), 0);
	assert_memory_equal(buf, fx->source_data, sizeof(buf));
	close_pipe(&pipe);
	fixture_free(fx);
	gate_io_fini(&gate);
}

static void what_fails_is_left_to_a_copy_to_judge(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);
	struct ends pipe = new_pipe();
	unsigned char buf[4096];

	(void)state;
	hydrate(fx, 0);
	memory_io_fail(fx->destination, MEMORY_IO_READ, 1, -EIO, true);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, sizeof(buf), 0), -EOPNOTSUPP);
	assert_int_equal(image_read_hydrated(fx->img, buf, sizeof(buf), 0), -EIO);
	memory_io_fail(fx->destination, 0, 0, 0, false);
	assert_int_equal(status_of(fx).mode, IMAGE_RW);
	image_stop(fx->img);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, sizeof(buf), 0), -EIO);
	close_pipe(&pipe);
	fixture_free(fx);
}

static void what_was_lost_is_not_spliced(void **state)
{
	struct fixture *fx = fixture_opened(2 * MIB, 64 * KIB);
	struct ends pipe = new_pipe();
	char data[4096] = "written";

	(void)state;
	assert_int_equal(do_write(fx, 65536, data, sizeof(data)), 0);
	wait_until(status_of(fx).regions_hydrated == 1);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, 4096, 65536), 0);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	wait_until(status_of(fx).mode == IMAGE_RO && status_of(fx).regions_hydrated == 0);
	assert_int_equal(image_splice_hydrated(fx->img, pipe.in, 4096, 65536), -EIO);
	close_pipe(&pipe);
	fixture_free(fx);
}

struct splicer {
	struct fixture *fx;
	int pipe;
	int result;
};

static void *splice_first(void *arg)
{
	struct splicer *splicer = arg;

	splicer->result = image_splice_hydrated(splicer->fx->img, splicer->pipe, 4096, 0);
	return NULL;
}

static void bits_that_were_reloaded_meanwhile_are_looked_at_again(void **state)
{
	struct gate_io gate;
	struct fixture *fx = opened_with(&gate, false);
	struct ends pipe = new_pipe();
	struct splicer splicer = {.fx = fx, .pipe = pipe.in};
	pthread_t thread;

	(void)state;
	hydrate(fx, 0);
	gate_io_hold(&gate, true, false, false);
	assert_int_equal(pthread_create(&thread, NULL, splice_first, &splicer), 0);
	gate_io_wait_held(&gate, 1);
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, false);
	assert_int_equal(do_flush(fx), -EIO);
	wait_until(status_of(fx).regions_hydrated == 0);
	gate_io_hold(&gate, false, false, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(splicer.result, -EAGAIN);
	close_pipe(&pipe);
	fixture_free(fx);
	gate_io_fini(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_hydrated_bytes_are_spliced),
	        cmocka_unit_test(a_stream_that_is_spliced_is_read_ahead_for),
	        cmocka_unit_test(a_destination_that_cannot_leaves_it_to_a_copy),
	        cmocka_unit_test(what_fails_is_left_to_a_copy_to_judge),
	        cmocka_unit_test(what_was_lost_is_not_spliced),
	        cmocka_unit_test(bits_that_were_reloaded_meanwhile_are_looked_at_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
