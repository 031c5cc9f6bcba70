#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/pending.h"

/* An engine that counts; its requests are plain addresses. */
struct engine {
	atomic_int nr_cancels;
	atomic_int last_error;
	_Atomic(struct image_request *) last_request;
};

static atomic_int nr_puts;

static void engine_cancel(void *user, struct image_request *req, int error)
{
	struct engine *engine = user;

	atomic_store(&engine->last_error, error);
	atomic_store(&engine->last_request, req);
	atomic_fetch_add(&engine->nr_cancels, 1);
}

static void engine_put(struct image_request *req)
{
	assert_non_null(req);
	atomic_fetch_add(&nr_puts, 1);
}

static char requests[4];
#define REQUEST(n) ((struct image_request *)(void *)&requests[n])

struct fixture {
	struct engine engine;
	struct pending_table *table;
};

static int setup(void **state)
{
	static struct fixture f;
	const struct pending_engine engine = {
	        .cancel = engine_cancel, .put = engine_put, .user = &f.engine};

	memset(&f, 0, sizeof(f));
	atomic_store(&nr_puts, 0);
	f.table = pending_table_new(&engine);
	*state = &f;
	return f.table ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pending_table_free(f->table);
	return 0;
}

static void a_request_is_forgotten_after_attach_and_finish(void **state)
{
	struct fixture *f = *state;

	for (int finish_first = 0; finish_first < 2; finish_first++) {
		struct pending *p = pending_add(f->table, 1);

		assert_int_equal(pending_count(f->table), 1);
		if (finish_first)
			pending_finish(p);
		pending_attach(p, REQUEST(0));
		if (!finish_first)
			pending_finish(p);
		assert_int_equal(pending_count(f->table), 0);
		assert_int_equal(nr_puts, finish_first + 1);
	}
	pending_wait_empty(f->table);
}

static void a_request_that_could_not_be_made_is_not_put(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);

	pending_finish(p);
	pending_attach(p, NULL);
	assert_int_equal(nr_puts, 0);
}

static void a_cancel_reaches_the_engine(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);

	pending_attach(p, REQUEST(1));
	pending_cancel(f->table, pending_number(p), -EINTR);
	assert_int_equal(f->engine.nr_cancels, 1);
	assert_int_equal(f->engine.last_error, -EINTR);
	assert_ptr_equal(atomic_load(&f->engine.last_request), REQUEST(1));
	pending_finish(p);
}

static void a_cancel_before_attach_is_made_up_for(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);

	pending_cancel(f->table, pending_number(p), -EINTR);
	assert_int_equal(f->engine.nr_cancels, 0);
	pending_attach(p, REQUEST(2));
	assert_int_equal(f->engine.nr_cancels, 1);
	assert_int_equal(f->engine.last_error, -EINTR);
	pending_finish(p);
}

static void what_is_answered_is_neither_interrupted_nor_cancelled(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);
	struct pending *other = pending_add(f->table, 1);
	uint64_t number = pending_number(p);

	pending_attach(p, REQUEST(0));
	pending_finish(p);
	assert_false(pending_interrupt(f->table, number, 5));
	pending_cancel(f->table, number, -EINTR);
	assert_int_equal(f->engine.nr_cancels, 0);
	pending_finish(other);
	pending_attach(other, REQUEST(1));
}

static void a_cancel_before_attach_of_what_is_answered_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);

	pending_cancel(f->table, pending_number(p), -EINTR);
	pending_finish(p);
	pending_attach(p, REQUEST(0));
	assert_int_equal(f->engine.nr_cancels, 0);
	assert_int_equal(nr_puts, 1);
}

static void the_first_interrupt_counts(void **state)
{
	struct fixture *f = *state;
	struct pending *p = pending_add(f->table, 1);
	struct pending_view view;

	assert_true(pending_interrupt(f->table, pending_number(p), 7));
	assert_true(pending_interrupt(f->table, pending_number(p), 9));
	assert_int_equal(pending_list(f->table, 0, &view, 1), 1);
	assert_int_equal(view.interrupted_ns, 7);
	pending_attach(p, REQUEST(0));
	pending_finish(p);
}

static void views_come_in_order_and_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct proc_task task = {.tgid = 77, .started = 5};
	struct pending *p[5];
	struct pending_view views[2];
	uint64_t after = 0;

	for (int i = 0; i < 5; i++)
		p[i] = pending_add(f->table, 100 + i);
	pending_set_task(f->table, pending_number(p[2]), &task);
	for (int i = 0; i < 5; i += 2) {
		size_t n = pending_list(f->table, after, views, 2);

		assert_int_equal(n, i == 4 ? 1 : 2);
		assert_int_equal(views[0].number, pending_number(p[i]));
		assert_int_equal(views[0].pid, 100 + i);
		assert_int_equal(views[0].task.tgid, i == 2 ? 77 : 0);
		after = views[n - 1].number;
	}
	assert_int_equal(pending_list(f->table, after, views, 2), 0);
	for (int i = 0; i < 5; i++) {
		pending_finish(p[i]);
		pending_attach(p[i], NULL);
	}
}

/* Adding, cancelling and finishing at once: each request is put once and none is left. */

#define NR_ROUNDS 2000

struct race {
	struct pending_table *table;
	_Atomic(struct pending *) handed;
	atomic_ullong number;
	atomic_bool over;
};

static void *finisher(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->over)) {
		struct pending *p = atomic_exchange(&race->handed, NULL);

		if (p)
			pending_finish(p);
	}
	return NULL;
}

static void *canceller(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->over))
		pending_cancel(race->table, atomic_load(&race->number), -EINTR);
	return NULL;
}

static void everything_at_once_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct race race = {.table = f->table};
	pthread_t threads[2];

	assert_int_equal(pthread_create(&threads[0], NULL, finisher, &race), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, canceller, &race), 0);
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct pending *p = pending_add(f->table, 1);

		atomic_store(&race.number, pending_number(p));
		atomic_store(&race.handed, p);
		pending_attach(p, REQUEST(0));
		pending_wait_empty(f->table);
	}
	atomic_store(&race.over, true);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	assert_int_equal(nr_puts, NR_ROUNDS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_request_is_forgotten_after_attach_and_finish),
	        TEST(a_request_that_could_not_be_made_is_not_put),
	        TEST(a_cancel_reaches_the_engine),
	        TEST(a_cancel_before_attach_is_made_up_for),
	        TEST(what_is_answered_is_neither_interrupted_nor_cancelled),
	        TEST(a_cancel_before_attach_of_what_is_answered_is_dropped),
	        TEST(the_first_interrupt_counts),
	        TEST(views_come_in_order_and_in_pieces),
	        TEST(everything_at_once_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
