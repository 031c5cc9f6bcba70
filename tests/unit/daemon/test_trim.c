#include "tests/unit/engine/engine_fixture.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "daemon/reply_buffer.h"
#include "daemon/trim.h"
#include "tests/support/residency.h"
#include "tests/support/sanitized.h"

#define PERIOD_NS (TRIM_PERIOD_MS * CF_NS_PER_MS)

#define NR_ALLOCATING 8

static void *allocate_beside_others(void *arg)
{
	/* Not one that the compiler may leave out. */
	void *volatile kept = malloc(1000);

	(void)pthread_barrier_wait(arg);
	free(kept);
	return NULL;
}

static unsigned int count_heaps(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	unsigned int nr = 0;

	assert_non_null(stream);
	assert_int_equal(malloc_info(0, stream), 0);
	assert_int_equal(fclose(stream), 0);
	for (const char *at = text; (at = strstr(at, "<heap nr=")); at++)
		nr++;
	free(text);
	return nr;
}

/* First of all: heaps that are there stay. */
static void threads_share_a_few_heaps(void **state)
{
	pthread_barrier_t all_have;
	pthread_t threads[NR_ALLOCATING];
	unsigned int nr;

	(void)state;
	if (HAS_OWN_MALLOC)
		skip();
	trim_prepare();
	assert_int_equal(pthread_barrier_init(&all_have, NULL, NR_ALLOCATING), 0);
	for (int i = 0; i < NR_ALLOCATING; i++)
		assert_int_equal(
		        pthread_create(&threads[i], NULL, allocate_beside_others, &all_have), 0);
	for (int i = 0; i < NR_ALLOCATING; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)pthread_barrier_destroy(&all_have);
	nr = count_heaps();
	assert_in_range(nr, 1, 2);
}

static void *use_large_buffer(void)
{
	void *buffer = reply_buffer_get(REPLY_BUFFER_MAX);

	memset(buffer, 1, REPLY_BUFFER_MAX);
	reply_buffer_put(buffer);
	return buffer;
}

static void what_a_whole_period_did_not_need_is_given_back(void **state)
{
	struct fixture *fx = fixture_opened(4 * MIB, 64 * KIB);
	struct trim trim = {0};
	void *buffer = use_large_buffer();

	(void)state;
	trim_keep(&trim, fx->img, 7);
	assert_int_equal(resident_bytes(buffer, REPLY_BUFFER_MAX), REPLY_BUFFER_MAX);
	trim_keep(&trim, fx->img, 7 + PERIOD_NS - 1);
	assert_int_equal(resident_bytes(buffer, REPLY_BUFFER_MAX), REPLY_BUFFER_MAX);
	trim_keep(&trim, fx->img, 7 + PERIOD_NS);
	assert_int_equal(resident_bytes(buffer, REPLY_BUFFER_MAX), 0);
	fixture_free(fx);
}

/* A reply's own memory, to be looked at when it is not used any more. */
static void keep_address(void *user, int error, const void *data, size_t length)
{
	_Atomic(uintptr_t) *address = user;

	assert_int_equal(error, 0);
	assert_int_equal(length, MIB);
	atomic_store(address, (uintptr_t)data);
}

static void the_images_buffers_are_given_back_as_well(void **state)
{
	struct fixture *fx = fixture_opened(4 * MIB, 64 * KIB);
	struct trim trim = {0};
	_Atomic(uintptr_t) address = 0;
	uint64_t now = 0;

	(void)state;
	do {
		/* The engine has it back a moment after the answer. Once it is unmapped a sanitizer
		 * may map something of its own there: then another reply is looked at. */
		if (now % (5000 * PERIOD_NS) == 0) {
			atomic_store(&address, 0);
			image_request_put(image_read(fx->img, 0, MIB, keep_address, &address));
			wait_until(atomic_load(&address));
		}
		now += PERIOD_NS;
		trim_keep(&trim, fx->img, now);
		fixture_sleep_ms(1);
	} while (resident_bytes((void *)atomic_load(&address), MIB) && now < 60000 * PERIOD_NS);
	assert_int_equal(resident_bytes((void *)atomic_load(&address), MIB), 0);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(threads_share_a_few_heaps),
	        cmocka_unit_test(what_a_whole_period_did_not_need_is_given_back),
	        cmocka_unit_test(the_images_buffers_are_given_back_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
