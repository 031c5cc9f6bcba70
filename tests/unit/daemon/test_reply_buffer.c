#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/reply_buffer.h"
#include "tests/support/residency.h"

static void small_replies_use_the_threads_own_buffer(void **state)
{
	void *first = reply_buffer_get(1);

	(void)state;
	assert_non_null(first);
	memset(first, 1, REPLY_BUFFER_SMALL);
	reply_buffer_put(first);
	assert_ptr_equal(reply_buffer_get(REPLY_BUFFER_SMALL), first);
	reply_buffer_put(first);
}

static void a_large_buffer_given_back_is_the_next_one(void **state)
{
	void *first = reply_buffer_get(REPLY_BUFFER_SMALL + 1);
	void *second = reply_buffer_get(REPLY_BUFFER_MAX);

	(void)state;
	assert_ptr_not_equal(first, second);
	reply_buffer_put(first);
	assert_ptr_equal(reply_buffer_get(REPLY_BUFFER_MAX), first);
	reply_buffer_put(first);
	reply_buffer_put(second);
}

static void longer_ones_are_not_there(void **state)
{
	(void)state;
	assert_null(reply_buffer_get(REPLY_BUFFER_MAX + 1));
	reply_buffer_put(NULL);
}

static void *fill_small(void *arg)
{
	void *buffer = reply_buffer_get(REPLY_BUFFER_SMALL);

	(void)arg;
	memset(buffer, 1, REPLY_BUFFER_SMALL);
	reply_buffer_put(buffer);
	return buffer;
}

static void a_threads_buffer_leaves_no_memory_behind(void **state)
{
	pthread_t thread;
	void *buffer;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fill_small, NULL), 0);
	assert_int_equal(pthread_join(thread, &buffer), 0);
	assert_int_equal(resident_bytes(buffer, REPLY_BUFFER_SMALL), 0);
}

static void use_large(unsigned char *buffers[], int nr)
{
	for (int i = 0; i < nr; i++) {
		buffers[i] = reply_buffer_get(REPLY_BUFFER_MAX);
		memset(buffers[i], 1, REPLY_BUFFER_MAX);
	}
	for (int i = 0; i < nr; i++)
		reply_buffer_put(buffers[i]);
}

static size_t large_resident(unsigned char *buffers[], int nr)
{
	size_t resident = 0;

	for (int i = 0; i < nr; i++)
		resident += resident_bytes(buffers[i], REPLY_BUFFER_MAX);
	return resident;
}

static void a_trim_gives_back_what_was_not_taken_since_the_last(void **state)
{
	unsigned char *all[REPLY_BUFFER_NR];
	unsigned char *one[1];

	(void)state;
	use_large(all, REPLY_BUFFER_NR);
	reply_buffer_trim();
	assert_int_equal(large_resident(all, REPLY_BUFFER_NR), REPLY_BUFFER_NR * REPLY_BUFFER_MAX);
	/* The other one of the huge page stays as well. */
	use_large(one, 1);
	reply_buffer_trim();
	assert_int_equal(large_resident(all, REPLY_BUFFER_NR), 2 * REPLY_BUFFER_MAX);
	reply_buffer_trim();
	assert_int_equal(large_resident(all, REPLY_BUFFER_NR), 0);
}

static void a_trim_leaves_a_buffer_alone_that_is_in_use(void **state)
{
	unsigned char *buffer = reply_buffer_get(REPLY_BUFFER_MAX);

	(void)state;
	memset(buffer, 7, REPLY_BUFFER_MAX);
	for (int i = 0; i < 3; i++)
		reply_buffer_trim();
	assert_int_equal(buffer[0], 7);
	assert_int_equal(buffer[REPLY_BUFFER_MAX - 1], 7);
	reply_buffer_put(buffer);
}

#define NR_THREADS (2 * REPLY_BUFFER_NR)
#define NR_ROUNDS  200

static atomic_uint nr_wrong;

/* Whoever has a buffer is alone in it. */
static void *fill_and_look(void *arg)
{
	unsigned char mark = (unsigned char)(uintptr_t)arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		unsigned char *buffer = reply_buffer_get(REPLY_BUFFER_MAX);

		memset(buffer, mark, 4096);
		for (int at = 0; at < 4096; at++) {
			if (buffer[at] != mark)
				nr_wrong++;
		}
		reply_buffer_put(buffer);
	}
	return NULL;
}

static void more_threads_than_buffers_take_turns_beside_trims(void **state)
{
	pthread_t threads[NR_THREADS];

	(void)state;
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fill_and_look, (void *)i), 0);
	for (int i = 0; i < NR_ROUNDS; i++)
		reply_buffer_trim();
	for (int i = 0; i < NR_THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(nr_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(small_replies_use_the_threads_own_buffer),
	        cmocka_unit_test(a_large_buffer_given_back_is_the_next_one),
	        cmocka_unit_test(longer_ones_are_not_there),
	        cmocka_unit_test(a_threads_buffer_leaves_no_memory_behind),
	        cmocka_unit_test(a_trim_gives_back_what_was_not_taken_since_the_last),
	        cmocka_unit_test(a_trim_leaves_a_buffer_alone_that_is_in_use),
	        cmocka_unit_test(more_threads_than_buffers_take_turns_beside_trims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
