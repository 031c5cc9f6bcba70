#include "engine_fixture.h"

#include "core/engine/engine_internal.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"
#include "gate_io.h"

#define MS    CF_NS_PER_MS
#define BEGIN (UINT64_C(7000) * MS)
#define FAST  (32 * MIB) /* in two seconds */

static struct patience patient_at(uint64_t now_ns)
{
	struct patience patience;

	patience_init(&patience);
	patience_stream(&patience, FAST, now_ns);
	assert_true(patience_holds(&patience, 0, now_ns));
	return patience;
}

static void there_is_none_without_a_stream(void **state)
{
	struct patience patience;

	(void)state;
	patience_init(&patience);
	assert_false(patience_holds(&patience, 0, 1));
	patience_stream(&patience, FAST - 1, BEGIN);
	assert_false(patience_holds(&patience, 0, BEGIN));
}

static void there_is_none_for_more_than_two_gigabytes(void **state)
{
	struct patience patience = patient_at(BEGIN);

	(void)state;
	assert_true(patience_holds(&patience, PATIENCE_BYTES - 1, BEGIN));
	assert_false(patience_holds(&patience, PATIENCE_BYTES, BEGIN));
	assert_true(patience_holds(&patience, 0, BEGIN));
}

static void it_ends_half_a_second_after_the_stream(void **state)
{
	struct patience patience = patient_at(BEGIN);

	(void)state;
	assert_true(patience_holds(&patience, 0, BEGIN + 499 * MS));
	assert_false(patience_holds(&patience, 0, BEGIN + 500 * MS));
	patience_stream(&patience, FAST, BEGIN + 600 * MS);
	assert_true(patience_holds(&patience, 0, BEGIN + 1099 * MS));
}

/* It asks less than patience_holds(), and takes nothing from it. */
static void calm_is_a_stream_and_no_user(void **state)
{
	struct patience patience;

	(void)state;
	patience_init(&patience);
	assert_false(patience_is_calm(&patience, BEGIN));
	patience = patient_at(BEGIN);
	assert_true(patience_is_calm(&patience, BEGIN + 499 * MS));
	assert_false(patience_is_calm(&patience, BEGIN + 500 * MS));
	patience_user(&patience);
	assert_false(patience_is_calm(&patience, BEGIN));
	assert_false(patience_holds(&patience, 0, BEGIN));
	patience_stream(&patience, FAST, BEGIN + 9900 * MS);
	assert_false(patience_is_calm(&patience, BEGIN + 9999 * MS));
	assert_true(patience_is_calm(&patience, BEGIN + 10000 * MS));
}

static void a_user_ends_it_for_ten_seconds(void **state)
{
	struct patience patience = patient_at(BEGIN);

	(void)state;
	patience_user(&patience);
	assert_false(patience_holds(&patience, 0, BEGIN));
	patience_stream(&patience, FAST, BEGIN + 9900 * MS);
	assert_false(patience_holds(&patience, 0, BEGIN + 9999 * MS));
	assert_true(patience_holds(&patience, 0, BEGIN + 10000 * MS));
}

static void every_change_counts_from_its_look(void **state)
{
	struct patience patience = patient_at(BEGIN);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		patience_user(&patience);
		patience_user(&patience);
		assert_false(patience_holds(&patience, 0, BEGIN + i * 6000 * MS));
	}
	patience_stream(&patience, FAST, BEGIN + 21900 * MS);
	assert_false(patience_holds(&patience, 0, BEGIN + 21999 * MS));
	assert_true(patience_holds(&patience, 0, BEGIN + 22000 * MS));
}

/* ---- the committer ---- */

/* An image whose commits are due each millisecond. */
struct committing {
	struct gate_io gate;
	struct fixture *fx;
	uint64_t next;
};

static void committing_init(struct committing *c, uint64_t size)
{
	struct fixture *fx = fixture_new(size, 64 * KIB);

	*c = (struct committing){.fx = fx};
	gate_io_init(&c->gate, fx->destination);
	fx->params.destination = &c->gate.io;
	fx->params.commit_interval_ms = 1;
	fixture_open(fx);
}

static void committing_fini(struct committing *c)
{
	fixture_free(c->fx);
	gate_io_fini(&c->gate);
}

static void stream_moves_on(struct committing *c)
{
	struct image *img = c->fx->img;

	image_lock(img);
	patience_stream(&img->committer.patience, FAST, clock_monotonic_ns());
	image_unlock(img);
}

/* A region is hydrated, by a reader who is not sequential. */
static void hydrate_one(struct committing *c)
{
	assert_reads_source(c->fx, c->next, 64 * KIB);
	c->next += 2 * 64 * KIB;
}

/* Ten regions are hydrated in 20 ms beside a stream: how many syncs there were. -1: the machine was
 * so busy that it was none. */
static int syncs_beside_a_stream(struct committing *c)
{
	unsigned int nr = gate_io_nr_syncs(&c->gate);
	uint64_t begin_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < 10; i++) {
		stream_moves_on(c);
		hydrate_one(c);
		fixture_sleep_ms(2);
	}
	if (clock_monotonic_ns() - begin_ns > 450 * MS)
		return -1;
	return (int)(gate_io_nr_syncs(&c->gate) - nr);
}

static void wait_committed(struct committing *c)
{
	wait_until(status_of(c->fx).regions_committed == status_of(c->fx).regions_hydrated);
}

static void commits_wait_beside_a_stream_and_come_behind_it(void **state)
{
	struct committing c;
	int nr;

	(void)state;
	committing_init(&c, 64 * MIB);
	hydrate_one(&c);
	wait_committed(&c);
	for (unsigned int i = 0; i < 20; i++) {
		nr = syncs_beside_a_stream(&c);
		wait_committed(&c);
		if (nr >= 0)
			break;
	}
	committing_fini(&c);
	if (nr < 0) {
		print_message("the machine is too busy\n");
		skip();
	}
	assert_int_equal(nr, 0);
}

/* Until there is a sync; the stream goes on all the time. */
static void wait_sync_beside_a_stream(struct committing *c)
{
	unsigned int nr = gate_io_nr_syncs(&c->gate);
	uint64_t begin_ns = clock_monotonic_ns();

	hydrate_one(c);
	while (gate_io_nr_syncs(&c->gate) == nr) {
		stream_moves_on(c);
		fixture_sleep_ms(1);
	}
	/* It would not have waited longer than this in any case. */
	assert_true(clock_monotonic_ns() - begin_ns < PATIENCE_MS * MS);
}

/* How long a commit waits while a stream goes on, and the write-backs before it. 0: it was none,
 * the machine was so busy. */
static uint64_t ns_until_commit(unsigned int *ret_nr_write_backs)
{
	struct committing c;
	uint64_t begin_ns, now_ns, last_ns;
	bool is_stream = true;

	committing_init(&c, MIB);
	/* It is the change that counts, not when there last was a commit. */
	fixture_sleep_ms(300);
	begin_ns = now_ns = clock_monotonic_ns();
	stream_moves_on(&c);
	hydrate_one(&c);
	while (status_of(c.fx).regions_committed == 0 && now_ns < begin_ns + FIXTURE_WAIT) {
		stream_moves_on(&c);
		fixture_sleep_ms(1);
		last_ns = now_ns;
		now_ns = clock_monotonic_ns();
		is_stream &= now_ns - last_ns < 450 * MS;
	}
	*ret_nr_write_backs = gate_io_nr_write_backs(&c.gate);
	committing_fini(&c);
	return is_stream ? now_ns - begin_ns : 0;
}

static void a_commit_waits_five_seconds_at_the_most(void **state)
{
	unsigned int nr_write_backs;
	uint64_t ns = 0;

	(void)state;
	for (unsigned int i = 0; i < 5 && !ns; i++)
		ns = ns_until_commit(&nr_write_backs);
	if (!ns) {
		print_message("the machine is too busy\n");
		skip();
	}
	assert_true(ns >= PATIENCE_MS * MS);
	assert_true(ns < 2 * PATIENCE_MS * MS);
	assert_int_equal(nr_write_backs, 0);
}

static void a_commit_does_not_wait_once_a_user_writes(void **state)
{
	struct committing c;
	unsigned char byte = 1;

	(void)state;
	committing_init(&c, MIB);
	hydrate_one(&c);
	wait_committed(&c);
	/* Of a hydrated region: no bit changes. */
	assert_int_equal(do_write(c.fx, 0, &byte, 1), 0);
	stream_moves_on(&c);
	wait_sync_beside_a_stream(&c);
	committing_fini(&c);
}

static void a_commit_does_not_wait_once_a_user_syncs(void **state)
{
	struct committing c;

	(void)state;
	committing_init(&c, MIB);
	hydrate_one(&c);
	wait_committed(&c);
	assert_int_equal(do_flush(c.fx), 0);
	stream_moves_on(&c);
	wait_sync_beside_a_stream(&c);
	committing_fini(&c);
}

/* As if no user had been there for a long time. */
static void forget_user(struct committing *c)
{
	struct patience *patience = &c->fx->img->committer.patience;

	image_lock(c->fx->img);
	atomic_store(&patience->user, false);
	patience->user_ns = 0;
	image_unlock(c->fx->img);
}

/* Begins to keep @length bytes at @offset while the source is silent, which ends long after. */
static void assert_late_write_does_not_wait(uint64_t offset, size_t length)
{
	struct committing c;
	struct answer *answer;
	void *data = filled(length, 0x5A);

	committing_init(&c, MIB);
	stream_moves_on(&c);
	c.next = 512 * KIB;
	memory_source_gate(c.fx->source, 0);
	answer = start_write(c.fx, offset, data, length);
	memory_source_wait_held(c.fx->source, 1);
	forget_user(&c);
	memory_source_gate(c.fx->source, UINT64_MAX);
	wait_sync_beside_a_stream(&c);
	assert_int_equal(answer_free(answer), 0);
	free(data);
	committing_fini(&c);
}

static void a_commit_does_not_wait_for_a_write_that_ends_late(void **state)
{
	(void)state;
	/* In place: the rest of the region comes late. Edges within a sector: parked until it is
	 * there. */
	assert_late_write_does_not_wait(64 * KIB + 512, 512);
	assert_late_write_does_not_wait(64 * KIB + 100, 100);
}

static bool is_stream_known(struct committing *c)
{
	struct image *img = c->fx->img;
	bool known;

	image_lock(img);
	known = img->committer.patience.stream_ns != 0;
	image_unlock(img);
	return known;
}

/* As if the source had just brought so much. */
static void source_brings(struct committing *c, uint64_t bytes)
{
	struct image *img = c->fx->img;

	image_lock(img);
	pacing_bytes_locked(img, bytes, clock_monotonic_ns());
	image_unlock(img);
}

/* Is there a stream for the committer once 16 MiB were read, in order or backwards, of a source
 * that has brought @bytes before? */
static bool makes_a_stream(bool in_order, uint64_t bytes)
{
	struct committing c;
	unsigned char buf[64 * KIB];
	bool known;

	committing_init(&c, 16 * MIB);
	source_brings(&c, bytes);
	for (uint64_t i = 0; i < 256; i++)
		assert_int_equal(
		        do_read(c.fx, buf, (in_order ? i : 255 - i) * sizeof(buf), sizeof(buf)), 0);
	known = is_stream_known(&c);
	committing_fini(&c);
	return known;
}

static void who_reads_in_order_from_a_fast_source_is_a_stream(void **state)
{
	(void)state;
	assert_false(makes_a_stream(false, FAST));
	assert_false(makes_a_stream(true, 0));
	assert_true(makes_a_stream(true, FAST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(there_is_none_without_a_stream),
	        cmocka_unit_test(there_is_none_for_more_than_two_gigabytes),
	        cmocka_unit_test(it_ends_half_a_second_after_the_stream),
	        cmocka_unit_test(calm_is_a_stream_and_no_user),
	        cmocka_unit_test(a_user_ends_it_for_ten_seconds),
	        cmocka_unit_test(every_change_counts_from_its_look),
	        cmocka_unit_test(commits_wait_beside_a_stream_and_come_behind_it),
	        cmocka_unit_test(a_commit_waits_five_seconds_at_the_most),
	        cmocka_unit_test(a_commit_does_not_wait_once_a_user_writes),
	        cmocka_unit_test(a_commit_does_not_wait_once_a_user_syncs),
	        cmocka_unit_test(a_commit_does_not_wait_for_a_write_that_ends_late),
	        cmocka_unit_test(who_reads_in_order_from_a_fast_source_is_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
