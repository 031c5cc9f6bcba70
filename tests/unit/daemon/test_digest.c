#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mutex.h"
#include "core/state/sha256.h"
#include "daemon/digest.h"
#include "tests/support/memory_io.h"

#define SIZE (UINT64_C(3) << 20)

struct listener {
	struct block_io *io;
	atomic_bool modified;
	struct cf_mutex lock; /* protects: nr_told, told, sentence */
	struct cf_cond cond;
	unsigned int nr_told;
	enum digest_state told;
	char sentence[300];
};

static bool is_modified(void *user)
{
	struct listener *l = user;

	return atomic_load(&l->modified);
}

static void known(void *user, enum digest_state state, const char *sentence)
{
	struct listener *l = user;

	cf_lock(&l->lock);
	l->nr_told++;
	l->told = state;
	(void)snprintf(l->sentence, sizeof(l->sentence), "%s", sentence);
	cf_cond_signal(&l->cond);
	cf_unlock(&l->lock);
}

/* Bytes in the middle, zeros (holes) around them, an end that is no whole block. */
static void listener_init(struct listener *l, uint64_t device_size)
{
	*l = (struct listener){.io = memory_io_new(device_size, NULL)};
	atomic_init(&l->modified, false);
	cf_mutex_init(&l->lock);
	cf_cond_init(&l->cond);
	memset(memory_io_data(l->io) + SIZE / 2, 0x5a, SIZE / 4);
}

static void listener_fini(struct listener *l)
{
	block_io_close(l->io);
	cf_cond_fini(&l->cond);
	cf_mutex_fini(&l->lock);
}

static struct digest *make(struct listener *l, const char *expected, uint64_t size)
{
	const struct digest_params params = {
	        .expected = expected,
	        .io = l->io,
	        .size = size,
	        .is_modified = is_modified,
	        .known = known,
	        .user = l,
	};
	struct digest *digest = NULL;

	assert_int_equal(digest_new(&params, &digest, NULL), 0);
	return digest;
}

static void wait_told(struct listener *l)
{
	cf_lock(&l->lock);
	while (!l->nr_told)
		cf_cond_wait(&l->cond, &l->lock);
	cf_unlock(&l->lock);
}

static void the_verdict_is_told_once_and_stays(void **state)
{
	static const char wrong[] =
	        "0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		uint64_t size, device_size;
		bool right, modified;
		int read_fails;
		enum digest_state verdict;
		const char *part;
	} cases[] = {
	        {SIZE, SIZE, true, false, 0, DIGEST_OK, "has the SHA-256"},
	        {SIZE - 77, SIZE - 77, true, false, 0, DIGEST_OK, "has the SHA-256"},
	        {SIZE - 77, SIZE, true, false, 0, DIGEST_OK, "has the SHA-256"},
	        {1, 1, true, false, 0, DIGEST_OK, "has the SHA-256"},
	        {SIZE, SIZE, false, false, 0, DIGEST_MISMATCH, "expected 0000"},
	        {SIZE, SIZE, true, true, 0, DIGEST_IMPOSSIBLE, "users have written"},
	        {SIZE, SIZE, false, true, 0, DIGEST_IMPOSSIBLE, "users have written"},
	        {SIZE, SIZE, true, false, -EIO, DIGEST_IMPOSSIBLE, "cannot be read"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[SHA256_HEX_LENGTH + 1];
		struct listener l;
		struct digest *digest;

		listener_init(&l, SIZE);
		l.io->size = cases[i].device_size;
		assert_int_equal(sha256_hex(memory_io_data(l.io), cases[i].size, expected), 0);
		atomic_store(&l.modified, cases[i].modified);
		if (cases[i].read_fails)
			memory_io_fail(l.io, MEMORY_IO_READ, 1, cases[i].read_fails, true);
		digest = make(&l, cases[i].right ? expected : wrong, cases[i].size);
		assert_int_equal(digest_get(digest, false), DIGEST_UNVERIFIED);
		digest_begin(digest);
		digest_begin(digest);
		wait_told(&l);
		digest_stop(digest);
		assert_int_equal(l.nr_told, 1);
		assert_int_equal(l.told, cases[i].verdict);
		assert_non_null(strstr(l.sentence, cases[i].part));
		assert_int_equal(digest_get(digest, false), cases[i].verdict);
		/* Later writes do not change what was found. */
		assert_int_equal(digest_get(digest, true), cases[i].verdict);
		digest_free(digest);
		l.io->size = SIZE;
		listener_fini(&l);
	}
}

static void without_a_beginning_nothing_is_told(void **state)
{
	struct listener l;
	struct digest *digest;

	(void)state;
	listener_init(&l, SIZE);
	digest = make(&l, "", SIZE);
	assert_int_equal(digest_get(digest, false), DIGEST_UNVERIFIED);
	assert_int_equal(digest_get(digest, true), DIGEST_IMPOSSIBLE);
	digest_stop(digest);
	assert_int_equal(l.nr_told, 0);
	digest_begin(digest);
	digest_free(digest);
	assert_int_equal(digest_get(NULL, true), DIGEST_UNVERIFIED);
	digest_begin(NULL);
	digest_stop(NULL);
	digest_free(NULL);
	listener_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_verdict_is_told_once_and_stays),
	        cmocka_unit_test(without_a_beginning_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
