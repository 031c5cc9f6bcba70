/* Clones whose source has moved to another place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "state_fixture.h"

#define NEW_URL "https://new.example/disk.raw"

static struct source_name *moved;

/* Asks for the fixture's clone by its new URL. */
static void ask_by_new_url(void)
{
	assert_int_equal(source_name_parse(NEW_URL "?token=geheim", &moved, NULL), 0);
	fixture.request.source = moved;
}

static void forget_new_url(void)
{
	fixture.request.source = fixture.source;
	source_name_free(moved);
}

static void only_relocate_takes_another_url(void **context)
{
	struct cf_error err;
	struct state *state;
	uint64_t json;

	(void)context;
	fixture_create();
	json = fixture_digest(fixture_path("state/clone.json"));
	ask_by_new_url();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), -EINVAL);
	assert_non_null(strstr(err.text, "another source"));
	assert_null(strstr(err.text, "geheim"));
	fixture.request.relocate = true;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_true(state_is_elsewhere(state));
	/* Looking is not moving. */
	state_release(state);
	assert_int_equal(fixture_digest(fixture_path("state/clone.json")), json);
	forget_new_url();
}

static void a_relocated_clone_is_one_of_the_new_url(void **context)
{
	struct source_identity other = fixture.identity;
	struct cf_error err;
	struct state *state;

	(void)context;
	fixture_create();
	ask_by_new_url();
	fixture.request.relocate = true;
	for (int turn = 0; turn < 2; turn++) {
		strcpy(other.etag, turn ? "" : "\"other\"");
		assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
		assert_int_equal(state_relocate(state, &other, &err), 0);
		assert_false(state_is_elsewhere(state));
		assert_string_equal(state_config(state)->source_url, NEW_URL "?...");
		state_release(state);
		/* As it is on disk, for those who do not relocate any more. */
		fixture.request.relocate = false;
		assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
		assert_string_equal(state_config(state)->source_url, NEW_URL "?...");
		assert_string_equal(state_config(state)->source.etag, other.etag);
		assert_int_equal(state_open(state, &err), 0);
		state_release(state);
		fixture.request.relocate = true;
	}
	/* The old URL is another source by now. */
	forget_new_url();
	fixture.request.relocate = false;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), -EINVAL);
}

static void what_is_not_there_is_not_relocated(void **context)
{
	struct cf_error err;
	struct state *state;

	(void)context;
	fixture.request.relocate = true;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), -ENOENT);
	assert_non_null(strstr(err.text, "holds no clone"));
	assert_false(fixture_exists(fixture_path("state")));
}

static void the_same_url_is_no_move(void **context)
{
	struct cf_error err;
	struct state *state;

	(void)context;
	fixture_create();
	fixture.request.relocate = true;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_false(state_is_elsewhere(state));
	state_release(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(only_relocate_takes_another_url, fixture_setup,
	                                        fixture_teardown),
	        cmocka_unit_test_setup_teardown(a_relocated_clone_is_one_of_the_new_url,
	                                        fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(what_is_not_there_is_not_relocated, fixture_setup,
	                                        fixture_teardown),
	        cmocka_unit_test_setup_teardown(the_same_url_is_no_move, fixture_setup,
	                                        fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
