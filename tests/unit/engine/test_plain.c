/* When the image is no more than its destination, for who wants to use that directly. */
#include "engine_fixture.h"

#include "core/engine/image.h"

static struct fixture *complete(void)
{
	struct fixture *fx = fixture_new(MIB, 64 * KIB);

	fx->params.settings.hydration_threshold = 16;
	fixture_open(fx);
	wait_until(status_of(fx).hydration == HYDRATION_DONE);
	return fx;
}

static void only_what_is_committed_is_plain(void **state)
{
	struct fixture *fx = fixture_opened(MIB, 64 * KIB);

	(void)state;
	assert_false(image_is_plain(fx->img));
	memory_io_fail(fx->metadata_io, MEMORY_IO_WRITE, 1, -EIO, true);
	for (uint64_t region = 0; region < 16; region++)
		assert_reads_source(fx, region * 64 * KIB, 100);
	wait_until(status_of(fx).mode == IMAGE_RO);
	assert_false(image_is_plain(fx->img));
	fixture_free(fx);
	fx = complete();
	assert_true(image_is_plain(fx->img));
	fixture_free(fx);
}

static void a_failed_sync_ends_it(void **state)
{
	struct fixture *fx = complete();
	unsigned char *data = filled(4096, 1);

	(void)state;
	memory_io_fail(fx->destination, MEMORY_IO_SYNC, 1, -EIO, true);
	assert_int_equal(do_write(fx, 0, data, 4096), 0);
	assert_int_equal(do_flush(fx), -EIO);
	assert_false(image_is_plain(fx->img));
	free(data);
	fixture_free(fx);
}

static void failing_and_stopping_end_it(void **state)
{
	struct fixture *fx = complete();

	(void)state;
	image_fail(fx->img, "a reason");
	assert_false(image_is_plain(fx->img));
	fixture_free(fx);
	fx = complete();
	image_stop(fx->img);
	assert_false(image_is_plain(fx->img));
	fixture_free(fx);
}

static void expected_changes_count_as_modifications(void **state)
{
	struct fixture *fx = complete();

	(void)state;
	fx->first_modify_error = -EIO;
	assert_int_equal(image_expect_changes(fx->img), -EIO);
	assert_false(status_of(fx).modified);
	fx->first_modify_error = 0;
	assert_int_equal(image_expect_changes(fx->img), 0);
	assert_int_equal(image_expect_changes(fx->img), 0);
	assert_true(status_of(fx).modified);
	assert_int_equal(fx->nr_first_modify, 2);
	fixture_free(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_what_is_committed_is_plain),
	        cmocka_unit_test(a_failed_sync_ends_it),
	        cmocka_unit_test(failing_and_stopping_end_it),
	        cmocka_unit_test(expected_changes_count_as_modifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
