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
	unsigned int most; /* requests that background can have under way */
	bool reads;        /* somebody does, all the time */
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
	rig.most = CONNECTIONS - FEW;
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
	struct fetch background = {.class = SOURCE_BACKGROUND, .pos = 8 * MIB};
	struct fetch reader = {.class = SOURCE_FOREGROUND, .submitted_ns = rig->now_ns};
	unsigned int *running = &img->fetches.nr_running[SOURCE_BACKGROUND];
	uint64_t bytes;

	image_lock(img);
	if (rig->reads)
		pacing_reader_locked(img, rig->now_ns);
	*running = limit_of(rig) < rig->most ? limit_of(rig) : rig->most;
	bytes = *running * rig->each < rig->all ? *running * rig->each : rig->all;
	if (rig->reads)
		pacing_first_byte_locked(img, &reader,
		                         rig->now_ns + rig->first_byte_ms * CF_NS_PER_MS);
	rig->now_ns += CF_NS_PER_S / 10;
	img->fetches.nr_bytes += bytes / 10;
	--*running;
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
	go_on_for(&rig, 100);
	assert_in_range(limit_of(&rig), CONNECTIONS - FEW, CONNECTIONS);
	rig_free(&rig);
}

/* Where a rate or a threshold bounds background, its limit says nothing. */
static void what_is_not_used_is_not_raised(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	rig.most = FEW - 2;
	for (int i = 0; i < 300; i++) {
		go_on(&rig);
		assert_int_equal(limit_of(&rig), FEW);
	}
	rig_free(&rig);
}

/* Far away it takes longer until one sees what a step brings, but not for ever. */
static void a_far_source_is_given_time(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	rig.first_byte_ms = 400;
	go_on(&rig);
	go_on_for(&rig, 30);
	assert_int_equal(limit_of(&rig), FEW);
	go_on_for(&rig, 3);
	assert_int_equal(limit_of(&rig), FEW + 1);
	rig_free(&rig);
	rig = rig_new(8 * MIB, 1024 * MIB);
	rig.first_byte_ms = 5000;
	go_on(&rig);
	go_on_for(&rig, 38);
	assert_int_equal(limit_of(&rig), FEW);
	go_on_for(&rig, 3);
	assert_int_equal(limit_of(&rig), FEW + 1);
	rig_free(&rig);
}

/* One who waits for long is still there. */
static void who_waits_is_a_reader(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	rig.most = FEW;
	go_on(&rig);
	rig.reads = false;
	rig.img->fetches.nr_running[SOURCE_FOREGROUND] = 1;
	go_on_for(&rig, 40);
	assert_in_range(limit_of(&rig), FEW, FEW + 1);
	rig.img->fetches.nr_running[SOURCE_FOREGROUND] = 0;
	go_on_for(&rig, 20);
	assert_true(limit_of(&rig) > CONNECTIONS);
	rig_free(&rig);
}

/* One who comes now and then leaves background time to grow. */
static void a_rare_reader_does_not_hold_it_down(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	go_on(&rig);
	rig.img->pacing.background_limit = 1;
	rig.now_ns += 10 * CF_NS_PER_S;
	for (int i = 0; i < 10; i++) {
		rig.reads = true;
		go_on(&rig);
		assert_true(i || limit_of(&rig) == 1);
		rig.reads = false;
		go_on_for(&rig, 21);
	}
	assert_true(limit_of(&rig) >= FEW);
	rig_free(&rig);
}

static void only_what_background_brought_lets_it_grow(void **state)
{
	static const struct fetch others[] = {
	        {.class = SOURCE_BACKGROUND},
	        {.class = SOURCE_READAHEAD, .pos = MIB},
	        {.class = SOURCE_FOREGROUND, .pos = MIB},
	};
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);

	(void)state;
	go_on(&rig);
	image_lock(rig.img);
	for (unsigned int i = 0; i < 30; i++) {
		rig.now_ns += CF_NS_PER_S;
		pacing_fetch_over_locked(rig.img, &others[i % 3], rig.now_ns);
		assert_int_equal(limit_of(&rig), FEW);
	}
	image_unlock(rig.img);
	rig_free(&rig);
}

static void pushback_halves_it(void **state)
{
	struct rig rig = rig_new(8 * MIB, 1024 * MIB);
	unsigned int before;

	(void)state;
	go_on_for(&rig, 100);
	before = limit_of(&rig);
	rig.now_ns += CF_NS_PER_S;
	rig.img->fetches.nr_running[SOURCE_BACKGROUND] = 7;
	image_lock(rig.img);
	pacing_pushback_locked(rig.img, rig.now_ns);
	assert_true(before >= 8);
	assert_int_equal(limit_of(&rig), 4);
	/* Those that were refused with it say nothing new. */
	pacing_pushback_locked(rig.img, rig.now_ns + CF_NS_PER_MS);
	assert_int_equal(limit_of(&rig), 4);
	image_unlock(rig.img);
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
	go_on_for(&rig, 100);
	before = limit_of(&rig);
	rig.first_byte_ms = 2 * CALM_MS;
	go_on_for(&rig, 6);
	assert_in_range(limit_of(&rig), FEW, before / 2);
	go_on_for(&rig, 40);
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
	go_on_for(&rig, 20);
	/* At most twice a second, and until all connections are used. */
	for (int i = 0; i < 4; i++) {
		unsigned int before = limit_of(&rig);

		go_on_for(&rig, 5);
		assert_in_range(limit_of(&rig), before, 2 * before);
	}
	assert_true(limit_of(&rig) >= CONNECTIONS);
	go_on_for(&rig, 1000);
	assert_true(limit_of(&rig) >= CONNECTIONS);
	rig_free(&rig);
}

static uint64_t two_seconds_hence(uint64_t bytes, uint64_t after_ms)
{
	struct rig rig = rig_new(8 * MIB, 1000 * MIB);
	uint64_t hence;

	image_lock(rig.img);
	/* What came before does not count, but for the ten seconds before. */
	pacing_begin_locked(rig.img, rig.now_ns - 30 * CF_NS_PER_S);
	pacing_bytes_locked(rig.img, 100 * MIB, rig.now_ns - 30 * CF_NS_PER_S);
	pacing_bytes_locked(rig.img, 3 * MIB, rig.now_ns - 5 * CF_NS_PER_S);
	pacing_begin_locked(rig.img, rig.now_ns);
	rig.now_ns += after_ms * CF_NS_PER_MS;
	pacing_bytes_locked(rig.img, bytes, rig.now_ns);
	hence = pacing_two_seconds_hence_locked(rig.img, rig.now_ns);
	image_unlock(rig.img);
	rig_free(&rig);
	return hence;
}

static void what_requests_bring_is_known_soon_after_they_begin(void **state)
{
	(void)state;
	assert_int_equal(two_seconds_hence(2 * MIB, 40), 100 * MIB);
	assert_int_equal(two_seconds_hence(8 * MIB, 1000), 16 * MIB);
	assert_int_equal(two_seconds_hence(8 * MIB, 1999), 8 * MIB * 2000 / 1999);
	/* Too early, too little, too late. */
	assert_int_equal(two_seconds_hence(2 * MIB, 9), 3 * MIB);
	assert_int_equal(two_seconds_hence(MIB - 1, 40), 3 * MIB);
	assert_int_equal(two_seconds_hence(8 * MIB, 2001), 8 * MIB);
	/* Less than there was before. */
	assert_int_equal(two_seconds_hence(MIB, 1500), 3 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_connections_are_used_while_nobody_reads),
	        cmocka_unit_test(a_reader_leaves_it_a_few_and_then_all_that_bring_something),
	        cmocka_unit_test(what_is_not_used_is_not_raised),
	        cmocka_unit_test(a_far_source_is_given_time),
	        cmocka_unit_test(who_waits_is_a_reader),
	        cmocka_unit_test(a_rare_reader_does_not_hold_it_down),
	        cmocka_unit_test(only_what_background_brought_lets_it_grow),
	        cmocka_unit_test(pushback_halves_it),
	        cmocka_unit_test(a_link_that_is_full_gets_no_more_requests),
	        cmocka_unit_test(what_slows_readers_down_is_halved),
	        cmocka_unit_test(it_doubles_when_the_reader_has_left),
	        cmocka_unit_test(what_requests_bring_is_known_soon_after_they_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
