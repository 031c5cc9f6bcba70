/* Queues of fetches that a busy source has refused, without an image that would send them. That it
 * is asked when something is over is seen in test_source_errors.c. */
#include "engine_fixture.h"

#include "core/engine/engine_internal.h"
#include "core/engine/fetch.h"
#include "core/engine/inflight.h"
#include "core/engine/request.h"
#include "core/engine/room.h"

#define NR_REFUSED 3

/* Only what the functions under test look at. */
static struct image *idle_image(void)
{
	struct image *img = calloc(1, sizeof(*img));

	assert_non_null(img);
	cf_mutex_init(&img->lock);
	img->geo = geometry_make(8 * MIB, 64 * KIB);
	list_init(&img->ended);
	fetch_init(&img->fetches);
	assert_int_equal(inflight_init(&img->inflight), 0);
	return img;
}

static void free_image(struct image *img)
{
	for (int i = 0; i < FETCH_NR_CLASSES; i++) {
		for (struct list *link; (link = list_pop(&img->fetches.queued[i]));)
			free(list_entry(link, struct fetch, link));
	}
	inflight_fini(&img->inflight);
	cf_mutex_fini(&img->lock);
	free(img);
}

/* A fetch that has just come back refused. */
static struct fetch *refused(struct image *img, uint64_t start, enum source_class class)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	assert_non_null(fetch);
	fetch->img = img;
	fetch->class = class;
	fetch->start = fetch->pos = start;
	fetch->end = start + 64 * KIB;
	fetch->refused = true;
	list_init(&fetch->link);
	return fetch;
}

/* How many of @fetches need not wait any longer; those must be the first ones. */
static unsigned int nr_hurried(struct fetch *const *fetches)
{
	unsigned int nr = 0;

	while (nr < NR_REFUSED && !fetches[nr]->not_before_ns)
		nr++;
	for (unsigned int i = nr; i < NR_REFUSED; i++)
		assert_int_not_equal(fetches[i]->not_before_ns, 0);
	return nr;
}

static void readers_go_in_the_order_in_which_they_were_refused(void **state)
{
	/* A reader has joined the last one. */
	static const enum source_class classes[NR_REFUSED] = {SOURCE_FOREGROUND, SOURCE_FOREGROUND,
	                                                      SOURCE_READAHEAD};
	static const uint64_t waits[NR_REFUSED] = {2, 3, 1};
	struct image *img = idle_image();
	struct fetch *fetches[NR_REFUSED];

	(void)state;
	image_lock(img);
	/* Neither the offsets nor the waits say which one was first. */
	for (unsigned int i = 0; i < NR_REFUSED; i++) {
		fetches[i] = refused(img, (i + 2) % NR_REFUSED * MIB, classes[i]);
		fetch_requeue_locked(img, fetches[i], CF_NS_PER_S * waits[i]);
		if (classes[i] != SOURCE_FOREGROUND)
			fetch_promote_locked(img, fetches[i]);
	}
	assert_int_equal(nr_hurried(fetches), 0);
	for (unsigned int i = 1; i <= NR_REFUSED; i++) {
		room_again_locked(img);
		assert_int_equal(nr_hurried(fetches), i);
	}
	/* One more that is over changes nothing. */
	room_again_locked(img);
	assert_int_equal(nr_hurried(fetches), NR_REFUSED);
	image_unlock(img);
	free_image(img);
}

static void who_waits_for_other_reasons_is_not_hurried(void **state)
{
	struct image *img = idle_image();
	struct fetch *broken = refused(img, 0, SOURCE_FOREGROUND);

	(void)state;
	broken->refused = false;
	image_lock(img);
	fetch_requeue_locked(img, broken, CF_NS_PER_S);
	room_again_locked(img);
	assert_int_equal(broken->not_before_ns, CF_NS_PER_S);
	image_unlock(img);
	free_image(img);
}

static void read_ahead_goes_in_the_order_of_its_offsets(void **state)
{
	/* As they come back, in MiB; 1 was never sent. */
	static const uint64_t back[] = {4, 2, 5, 3};
	static const uint64_t order[] = {2, 3, 4, 5, 1};
	struct image *img = idle_image();
	unsigned int nr = 0;

	(void)state;
	image_lock(img);
	assert_true(fetch_add_locked(img, 1 * MIB, 1 * MIB + 64 * KIB, SOURCE_READAHEAD));
	for (size_t i = 0; i < sizeof(back) / sizeof(back[0]); i++)
		fetch_requeue_refused_locked(img, refused(img, back[i] * MIB, SOURCE_READAHEAD));
	assert_int_equal(img->fetches.nr_queued[SOURCE_READAHEAD], 5);
	list_for_each (link, &img->fetches.queued[SOURCE_READAHEAD])
		assert_int_equal(list_entry(link, struct fetch, link)->start, order[nr++] * MIB);
	assert_int_equal(nr, 5);
	image_unlock(img);
	free_image(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(readers_go_in_the_order_in_which_they_were_refused),
	        cmocka_unit_test(who_waits_for_other_reasons_is_not_hurried),
	        cmocka_unit_test(read_ahead_goes_in_the_order_of_its_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
