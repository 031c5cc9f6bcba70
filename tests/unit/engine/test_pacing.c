/* How many requests background has beside readers, with a clock and sources of the test's own. */
#include "engine_fixture.h"

#include "core/engine/engine_internal.h"
#include "core/engine/fetch.h"
#include "core/engine/pacing.h"
#include "core/engine/request.h"

#define CALM_MS     20
#define CONNECTIONS 16u
/* What background goes on with when a reader comes. */
#define FEW (CONNECTIONS / 4)

struct rig {
	struct image *img; /* only what the functions under test look at */
	uint64_t now_ns;
	uint64_t each, all; /* bytes per second: of a connection, of all together */
	uint64_t first_byte_ms;
	bool reads; /* somebody does, all the time */
};

static struct rig rig_new(uint64_t each, uint64_t all)
{
	struct rig rig = {.now_ns = 1000 * CF_NS_PER_S, .each = each, .all = all};

	rig.img = calloc(1, sizeof(*rig.img));
	assert_non_null(rig.img);
	cf_mutex_init(&rig.img->lock);
	list_init(&rig.img->ended);
	fetch_init(&rig.img->fetches);
	pacing_init(&rig.img->pacing);
	pushback_init(&rig.img->pushback);
	rig.img->settings.max_connections = CONNECTIONS;
	rig.first_byte_ms = CALM_MS;
	rig.reads = true;
	return rig;
}

static void rig_free(struct rig *rig)
{
	cf_mutex_fini(&rig->img->lock);
	free(rig->img);
}

static unsigned int limit_of(const struct rig *rig)
{
	return rig->img->pacing.background_limit;
}

/* A tenth of a second: what background brings in it, one reader, and a request that is over. */
static void go_on(struct rig *rig)
{
	struct image *img = rig->img;
	unsigned int nr = limit_of(rig) < CONNECTIONS - FEW ? limit_of(rig) : CONNECTIONS - FEW;
	uint64_t bytes = nr * rig->each < rig->all ? nr * rig->each : rig->all;
	struct fetch background = {.class = SOURCE_BACKGROUND, .pos = 8 * MIB};
	struct fetch reader = {.class = SOURCE_FOREGROUND, .submitted_ns = rig->now_ns};

	image_lock(img);
	if (rig->reads) {
		pacing_reader_locked(img, rig->now_ns);
		img->fetches.nr_running[SOURCE_BACKGROUND] = nr;
		pacing_first_byte_locked(img, &reader,
		                         rig->now_ns + rig->first_byte_ms * CF_NS_PER_MS);
	}
	rig->now_ns += CF_NS_PER_S / 10;
	img->fetches.nr_bytes += bytes / 10;
	pacing_fetch_over_locked(img, &background, rig->now_ns);
	image_unlock(img);
}

static void go_on_for(struct rig *rig, unsigned int tenths)
{
	while (tenths--)
		go_on(rig);
}

static void all_connections_are_used_while_nobody_reads(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	rig.reads = false;
	go_on(&rig);
	assert_true(limit_of(&rig) >= CONNECTIONS);
	rig_free(&rig);
}

static void a_reader_leaves_it_a_few_and_then_all_that_bring_something(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	go_on(&rig);
	assert_int_equal(limit_of(&rig), FEW);
	go_on_for(&rig, 70);
	/* One more than there are is tried. */
	assert_in_range(limit_of(&rig), CONNECTIONS - FEW, CONNECTIONS - FEW + 1);
	rig_free(&rig);
}

static void a_link_that_is_full_gets_no_more_requests(void **state)
{
	struct rig rig = rig_new(100 * MIB, 119 * MIB);
	unsigned int most = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		go_on(&rig);
		if (limit_of(&rig) > most)
			most = limit_of(&rig);
	}
	assert_int_equal(most, FEW + 1);
	rig_free(&rig);
}

static void what_slows_readers_down_is_halved(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);
	unsigned int before;

	(void)state;
	go_on_for(&rig, 70);
	before = limit_of(&rig);
	rig.first_byte_ms = 2 * CALM_MS;
	go_on_for(&rig, 5);
	assert_in_range(limit_of(&rig), before / 2 - 1, before / 2);
	go_on_for(&rig, 30);
	assert_int_equal(limit_of(&rig), 1);
	/* And it comes back. */
	rig.first_byte_ms = CALM_MS;
	go_on_for(&rig, 200);
	assert_true(limit_of(&rig) > FEW);
	rig_free(&rig);
}

static void it_doubles_when_the_reader_has_left(void **state)
{
	struct rig rig = rig_new(100 * MIB, 119 * MIB);

	(void)state;
	go_on_for(&rig, 30);
	assert_in_range(limit_of(&rig), FEW, FEW + 1);
	rig.reads = false;
	go_on_for(&rig, 40);
	assert_true(limit_of(&rig) >= CONNECTIONS);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_connections_are_used_while_nobody_reads),
	        cmocka_unit_test(a_reader_leaves_it_a_few_and_then_all_that_bring_something),
	        cmocka_unit_test(a_link_that_is_full_gets_no_more_requests),
	        cmocka_unit_test(what_slows_readers_down_is_halved),
	        cmocka_unit_test(it_doubles_when_the_reader_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
