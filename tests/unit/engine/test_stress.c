/*
 * Many threads read, write, punch, flush and cancel while the source brings pieces late, out of
 * order and broken off; everything is held against a model in memory, also after a reopen. Each
 * 4 KiB chunk of the model has a lock, held while an operation on it is under way: so operations on
 * one region run at the same time, and every byte's value is known.
 *
 * CLONEFS_STRESS_SEED and CLONEFS_STRESS_OPS change the seed and the operations of each thread.
 */
#include "engine_fixture.h"

#include <pthread.h>

#define CHUNK      4096u
#define NR_THREADS 8

struct stress {
	struct fixture *fx;
	unsigned char *model; /* owned */
	struct cf_mutex lock; /* protects: chunks */
	struct cf_cond changed;
	int *chunks; /* owned; readers of each, or -1: a writer */
	uint64_t nr_chunks;
	unsigned int nr_ops;
	uint64_t seed;
	unsigned int nr_running; /* workers; under fx->lock */
};

struct worker {
	struct stress *stress;
	uint64_t random;
	pthread_t thread;
};

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t below(struct worker *worker, uint64_t limit)
{
	return next_random(&worker->random) % limit;
}

static void check(bool ok, const struct stress *stress, const char *what, uint64_t at)
{
	if (ok)
		return;
	(void)fprintf(stderr, "seed %" PRIu64 ", region size %" PRIu64 ": %s at %" PRIu64 "\n",
	              stress->seed, stress->fx->region_size, what, at);
	abort();
}

static bool is_free(const struct stress *stress, uint64_t first, uint64_t last, bool write)
{
	for (uint64_t chunk = first; chunk <= last; chunk++) {
		if (stress->chunks[chunk] < 0 || (write && stress->chunks[chunk]))
			return false;
	}
	return true;
}

static void lock_range(struct stress *stress, uint64_t offset, uint64_t length, bool write)
{
	uint64_t first = offset / CHUNK;
	uint64_t last = (offset + length - 1) / CHUNK;

	cf_lock(&stress->lock);
	while (!is_free(stress, first, last, write))
		cf_cond_wait(&stress->changed, &stress->lock);
	for (uint64_t chunk = first; chunk <= last; chunk++)
		stress->chunks[chunk] = write ? -1 : stress->chunks[chunk] + 1;
	cf_unlock(&stress->lock);
}

static void unlock_range(struct stress *stress, uint64_t offset, uint64_t length)
{
	cf_lock(&stress->lock);
	for (uint64_t chunk = offset / CHUNK; chunk <= (offset + length - 1) / CHUNK; chunk++)
		stress->chunks[chunk] = stress->chunks[chunk] < 0 ? 0 : stress->chunks[chunk] - 1;
	cf_cond_broadcast(&stress->changed);
	cf_unlock(&stress->lock);
}

/* A range of at most @most bytes; half of them whole chunks, some of them whole regions. */
static void pick_range(struct worker *worker, uint64_t most, uint64_t *offset, uint64_t *length)
{
	struct fixture *fx = worker->stress->fx;
	uint64_t whole = fx->region_size <= MIB ? 4 : 100;
	uint64_t unit = below(worker, whole) == 0 ? fx->region_size : below(worker, 2) ? CHUNK : 1;

	*offset = below(worker, fx->size) / unit * unit;
	*length = (1 + below(worker, most)) / unit * unit;
	if (*length == 0)
		*length = unit;
	if (*length > fx->size - *offset)
		*length = fx->size - *offset;
}

static void check_bytes(struct worker *worker, const unsigned char *bytes, uint64_t offset,
                        uint64_t length)
{
	struct stress *stress = worker->stress;
	uint64_t i = 0;

	if (memcmp(bytes, stress->model + offset, length) == 0)
		return;
	while (bytes[i] == stress->model[offset + i])
		i++;
	check(false, stress, "wrong byte", offset + i);
}

static void op_read(struct worker *worker, uint64_t most)
{
	struct stress *stress = worker->stress;
	uint64_t offset, length;
	unsigned char *buf;

	pick_range(worker, most, &offset, &length);
	buf = filled(length, 0x77);
	lock_range(stress, offset, length, false);
	check(do_read(stress->fx, buf, offset, length) == 0, stress, "read failed", offset);
	check_bytes(worker, buf, offset, length);
	unlock_range(stress, offset, length);
	free(buf);
}

static void op_cancel_read(struct worker *worker)
{
	struct stress *stress = worker->stress;
	struct answer *answer;
	uint64_t offset, length;

	pick_range(worker, 65536, &offset, &length);
	lock_range(stress, offset, length, false);
	answer = start_read(stress->fx, offset, length);
	answer_cancel(answer, -EINTR);
	if (answer_wait(answer) == 0)
		check_bytes(worker, answer->data, offset, length);
	else
		check(answer->error == -EINTR, stress, "cancelled read", offset);
	(void)answer_free(answer);
	unlock_range(stress, offset, length);
}

static void op_write(struct worker *worker, uint64_t most, bool cancel)
{
	struct stress *stress = worker->stress;
	uint64_t offset, length;
	struct answer *answer;
	unsigned char *data;

	pick_range(worker, most, &offset, &length);
	data = filled(length, (int)below(worker, 256));
	for (uint64_t i = 0; i < length; i += 97)
		data[i] = (unsigned char)below(worker, 256);
	lock_range(stress, offset, length, true);
	if (cancel) {
		answer = start_write(stress->fx, offset, data, length);
		answer_cancel(answer, -EINTR);
		if (answer_free(answer) == 0)
			memcpy(stress->model + offset, data, length);
	}
	/* What a cancelled write left is not known: written again. */
	check(do_write(stress->fx, offset, data, length) == 0, stress, "write failed", offset);
	memcpy(stress->model + offset, data, length);
	unlock_range(stress, offset, length);
	free(data);
}

static void op_zeros(struct worker *worker, enum image_range_op op, uint64_t most)
{
	struct stress *stress = worker->stress;
	uint64_t offset, length;

	pick_range(worker, most, &offset, &length);
	lock_range(stress, offset, length, true);
	check(do_range(stress->fx, op, offset, length) == 0, stress, "zeroing failed", offset);
	memset(stress->model + offset, 0, length);
	unlock_range(stress, offset, length);
}

static void op_settings(struct worker *worker)
{
	struct image_settings settings;

	image_get_settings(worker->stress->fx->img, &settings);
	settings.hydration_threshold = below(worker, 40);
	settings.hydration_batch_size = below(worker, 10);
	settings.max_connections = 1 + (unsigned int)below(worker, 10);
	image_configure(worker->stress->fx->img, &settings);
}

static void one_op(struct worker *worker)
{
	struct stress *stress = worker->stress;
	uint64_t large = stress->fx->region_size < 512 * KIB ? 3 * stress->fx->region_size : MIB;
	uint64_t dice = below(worker, 100);

	if (dice < 40)
		op_read(worker, 8192);
	else if (dice < 52)
		op_read(worker, large);
	else if (dice < 68)
		op_write(worker, 8192, false);
	else if (dice < 78)
		op_write(worker, large, false);
	else if (dice < 82)
		op_write(worker, 8192, true);
	else if (dice < 86)
		op_zeros(worker, IMAGE_PUNCH, large);
	else if (dice < 89)
		op_zeros(worker, IMAGE_ZERO, 10000);
	else if (dice < 94)
		op_cancel_read(worker);
	else if (dice < 97)
		check(do_flush(stress->fx) == 0, stress, "flush failed", 0);
	else if (dice < 98)
		check(do_pause(stress->fx) == 0, stress, "pause failed", 0);
	else if (dice < 99)
		image_resume(stress->fx->img);
	else
		op_settings(worker);
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;

	for (unsigned int i = 0; i < worker->stress->nr_ops; i++)
		one_op(worker);
	cf_lock(&worker->stress->fx->lock);
	worker->stress->nr_running--;
	cf_unlock(&worker->stress->fx->lock);
	return NULL;
}

static bool is_running(struct stress *stress)
{
	bool running;

	cf_lock(&stress->fx->lock);
	running = stress->nr_running > 0;
	cf_unlock(&stress->fx->lock);
	return running;
}

/* Breaks requests off while the workers run. */
static void disturb(struct stress *stress)
{
	static const enum source_result results[] = {SOURCE_SHORT, SOURCE_FAILED,
	                                             SOURCE_WRONG_REPLY, SOURCE_CANCELLED};
	uint64_t random = stress->seed * 2654435761u + 1;

	while (is_running(stress)) {
		uint64_t dice = next_random(&random);

		memory_source_plan(stress->fx->source, 1, results[dice % 4], dice / 7 % 40000, 0);
		memory_source_set_chunk(stress->fx->source, 512 + dice / 11 % 65536);
		fixture_sleep_ms(2);
	}
}

static void run_round(struct stress *stress, uint64_t round)
{
	struct worker workers[NR_THREADS];

	stress->nr_running = NR_THREADS;
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		workers[i].stress = stress;
		workers[i].random =
		        (stress->seed * 1000 + round * 100 + i + 1) * 0x9E3779B97F4A7C15u;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]),
		                 0);
	}
	disturb(stress);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		(void)pthread_join(workers[i].thread, NULL);
}

static void check_all(struct stress *stress)
{
	unsigned char *buf = filled(stress->fx->size, 0);

	assert_int_equal(do_read(stress->fx, buf, 0, stress->fx->size), 0);
	check(memcmp(buf, stress->model, stress->fx->size) == 0, stress, "wrong after a reopen", 0);
	free(buf);
}

static unsigned int number_from(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 10) : otherwise;
}

static void stress_one(uint64_t size, uint64_t region_size)
{
	struct stress stress = {
	        .fx = fixture_new(size, region_size),
	        .nr_chunks = (size - 1) / CHUNK + 1,
	        .nr_ops = number_from("CLONEFS_STRESS_OPS", 120),
	        .seed = number_from("CLONEFS_STRESS_SEED", 1),
	};
	struct fixture *fx = stress.fx;

	stress.model = filled(size, 0);
	memcpy(stress.model, fx->source_data, size);
	stress.chunks = calloc(stress.nr_chunks, sizeof(stress.chunks[0]));
	assert_non_null(stress.chunks);
	cf_mutex_init(&stress.lock);
	cf_cond_init(&stress.changed);
	memory_source_set_delay(fx->source, 300, stress.seed);
	fx->params.settings.hydration_threshold = 4;
	for (uint64_t round = 0; round < 2; round++) {
		fixture_open(fx);
		run_round(&stress, round);
		assert_int_equal(do_flush(fx), 0);
		assert_int_equal(fixture_close(fx), 0);
	}
	fx->params.settings.hydration_threshold = 64;
	fixture_open(fx);
	check_all(&stress);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	assert_int_equal(status_of(fx).regions_hydrating, 0);
	assert_memory_equal(memory_io_data(fx->destination), stress.model, size);
	assert_int_equal(fixture_close(fx), 0);
	cf_cond_fini(&stress.changed);
	cf_mutex_fini(&stress.lock);
	free(stress.chunks);
	free(stress.model);
	fixture_free(fx);
}

static void regions_of_one_piece(void **state)
{
	(void)state;
	stress_one(4 * MIB + 1234, 64 * KIB);
}

static void regions_of_a_chunk(void **state)
{
	(void)state;
	stress_one(MIB + 1, 4 * KIB);
}

static void regions_of_many_pieces(void **state)
{
	(void)state;
	stress_one(8 * MIB + 513, MIB);
}

static void regions_of_many_requests(void **state)
{
	(void)state;
	stress_one(24 * MIB + 5, 16 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(regions_of_one_piece),
	        cmocka_unit_test(regions_of_a_chunk),
	        cmocka_unit_test(regions_of_many_pieces),
	        cmocka_unit_test(regions_of_many_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
