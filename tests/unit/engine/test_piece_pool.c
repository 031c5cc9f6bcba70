#include "engine_fixture.h"

#include "core/engine/piece_pool.h"
#include "tests/support/residency.h"

#define CAPACITY  (4 * PIECE_POOL_BLOCK)
#define SIZE      (64 * KIB)
#define PER_BLOCK (PIECE_POOL_BLOCK / SIZE)
#define NR        (CAPACITY / SIZE)

struct pool {
	struct piece_pool pool;
	unsigned char *pieces[NR];
};

static int setup(void **state)
{
	struct pool *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	assert_int_equal(piece_pool_init(&fx->pool, CAPACITY, SIZE), 0);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct pool *fx = *state;

	piece_pool_fini(&fx->pool);
	free(fx);
	return 0;
}

/* Pieces [0, nr), each touched. */
static void take(struct pool *fx, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		fx->pieces[i] = piece_pool_get(&fx->pool);
		assert_non_null(fx->pieces[i]);
		memset(fx->pieces[i], (int)i + 1, SIZE);
	}
}

static void put(struct pool *fx, size_t from, size_t to)
{
	while (from < to)
		piece_pool_put(&fx->pool, fx->pieces[from++]);
}

static size_t resident(struct pool *fx)
{
	return resident_bytes(fx->pool.base, CAPACITY);
}

static void all_of_it_is_handed_out_once(void **state)
{
	struct pool *fx = *state;

	take(fx, NR);
	assert_null(piece_pool_get(&fx->pool));
	for (size_t i = 0; i < NR; i++) {
		assert_int_equal(fx->pieces[i][0], i + 1);
		assert_int_equal(fx->pieces[i][SIZE - 1], i + 1);
	}
	assert_int_equal(piece_pool_idle_bytes(&fx->pool), 0);
	put(fx, 17, 18);
	assert_ptr_equal(piece_pool_get(&fx->pool), fx->pieces[17]);
	put(fx, 0, NR);
	assert_int_equal(piece_pool_idle_bytes(&fx->pool), CAPACITY);
}

/* Huge pages begin at multiples of their size; the first block is in small ones. */
static void blocks_can_be_huge_pages_but_the_first(void **state)
{
	struct pool *fx = *state;

	assert_int_equal((uintptr_t)fx->pool.base % PIECE_POOL_BLOCK, 0);
	take(fx, 1);
	assert_ptr_equal(fx->pieces[0], fx->pool.base);
	assert_int_equal(resident(fx), SIZE);
}

static void the_smallest_pieces_fill_a_block(void **state)
{
	struct piece_pool pool;
	size_t nr = 0;

	(void)state;
	assert_int_equal(piece_pool_init(&pool, 2 * PIECE_POOL_BLOCK, PIECE_POOL_MIN_SIZE), 0);
	for (unsigned char *piece; (piece = piece_pool_get(&pool)); nr++)
		assert_ptr_equal(piece, pool.base + nr * PIECE_POOL_MIN_SIZE);
	assert_int_equal(nr, 2 * PIECE_POOL_BLOCK / PIECE_POOL_MIN_SIZE);
	piece_pool_fini(&pool);
}

/* Whatever order they come back in, pieces in use gather in low blocks. */
static void what_is_in_use_gathers_in_low_blocks(void **state)
{
	struct pool *fx = *state;

	take(fx, NR);
	put(fx, 0, PER_BLOCK);
	put(fx, 3 * PER_BLOCK, NR);
	take(fx, PER_BLOCK);
	for (size_t i = 0; i < PER_BLOCK; i++)
		assert_true(fx->pieces[i] < fx->pool.base + PIECE_POOL_BLOCK);
	assert_true(piece_pool_shrink(&fx->pool));
	assert_false(piece_pool_shrink(&fx->pool));
	assert_int_equal(resident(fx), 3 * PIECE_POOL_BLOCK);
}

/* Wherever they lie: also below blocks that are in use. */
static void empty_blocks_go_back_wherever_they_lie(void **state)
{
	struct pool *fx = *state;

	take(fx, NR);
	put(fx, PER_BLOCK, 2 * PER_BLOCK);
	put(fx, 2 * PER_BLOCK, 3 * PER_BLOCK - 1);
	assert_int_equal(resident(fx), CAPACITY);
	assert_true(piece_pool_shrink(&fx->pool));
	assert_int_equal(resident_bytes(fx->pool.base + PIECE_POOL_BLOCK, PIECE_POOL_BLOCK), 0);
	assert_int_equal(resident(fx), CAPACITY - PIECE_POOL_BLOCK);
	/* One piece holds the third. */
	assert_false(piece_pool_shrink(&fx->pool));
	assert_int_equal(piece_pool_idle_bytes(&fx->pool), PIECE_POOL_BLOCK - SIZE);
	put(fx, 3 * PER_BLOCK - 1, 3 * PER_BLOCK);
	assert_true(piece_pool_shrink(&fx->pool));
	assert_int_equal(fx->pieces[0][0], 1);
	assert_int_equal(fx->pieces[NR - 1][0], NR);
}

static void a_trim_gives_back_what_was_empty_since_the_last(void **state)
{
	struct pool *fx = *state;

	take(fx, NR);
	put(fx, 0, NR);
	piece_pool_trim(&fx->pool);
	assert_int_equal(resident(fx), CAPACITY);
	take(fx, PER_BLOCK + 1);
	put(fx, 0, PER_BLOCK + 1);
	piece_pool_trim(&fx->pool);
	assert_int_equal(resident(fx), 2 * PIECE_POOL_BLOCK);
	piece_pool_trim(&fx->pool);
	assert_int_equal(resident(fx), 0);
	assert_int_equal(piece_pool_idle_bytes(&fx->pool), 0);
	take(fx, NR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(all_of_it_is_handed_out_once, setup, teardown),
	        cmocka_unit_test_setup_teardown(blocks_can_be_huge_pages_but_the_first, setup,
	                                        teardown),
	        cmocka_unit_test(the_smallest_pieces_fill_a_block),
	        cmocka_unit_test_setup_teardown(what_is_in_use_gathers_in_low_blocks, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(empty_blocks_go_back_wherever_they_lie, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(a_trim_gives_back_what_was_empty_since_the_last,
	                                        setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
