/* Clones that are there: mounted again, refused, marked as modified. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/metadata/metadata.h"
#include "core/state/holder.h"
#include "state_fixture.h"

#define NR(array) (sizeof(array) / sizeof(*(array)))

static void a_clone_is_opened_again_with_what_it_had(void **context)
{
	struct cf_error err;
	struct state *state;
	uint64_t json;

	(void)context;
	fixture.request.name = "mine";
	fixture.request.region_size = 4096;
	fixture_create();
	json = fixture_digest(fixture_path("state/clone.json"));
	fixture_metadata(fixture_path("state/metadata"), IMAGE_SECTORS, 4096, 5);
	fixture.request.name = NULL;
	fixture.request.region_size = 0;
	fixture.request.overwrite_dest = true;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_string_equal(state_name(state), "mine");
	assert_int_equal(state_config(state)->region_size, 4096);
	assert_int_equal(state_open(state, &err), 0);
	assert_int_equal(state_open(state, &err), 0);
	assert_int_equal(metadata_nr_hydrated(state_metadata(state)), 5);
	assert_false(state_is_modified(state));
	assert_int_equal(state_check_new(state, &fixture.identity, &err), -EEXIST);
	state_release(state);
	assert_int_equal(fixture_digest(fixture_path("state/clone.json")), json);
	assert_true(fixture_exists(fixture_path("state/disk.img")));
}

static void the_same_places_may_be_given_again_in_other_words(void **context)
{
	struct cf_error err;

	(void)context;
	fixture.request.destination = fixture_path("d");
	fixture.request.metadata = fixture_path("m");
	fixture.request.name = "n";
	fixture_create();
	assert_int_equal(symlink("d", fixture_path("link")), 0);
	fixture.request.destination = fixture_path("link");
	fixture.request.metadata = fixture_path("state/../m");
	fixture.request.region_size = 65536;
	assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
}

static void lose_destination(void)
{
	assert_int_equal(unlink(fixture_path("state/disk.img")), 0);
}

static void cut_destination(void)
{
	fixture_truncate(fixture_path("state/disk.img"), IMAGE_SIZE - 1);
}

static void extend_destination(void)
{
	fixture_truncate(fixture_path("state/disk.img"), IMAGE_SIZE + 1);
}

static void lose_metadata(void)
{
	assert_int_equal(unlink(fixture_path("state/metadata")), 0);
}

static void zero_metadata(void)
{
	char zeros[4096] = "";

	fixture_write(fixture_path("state/metadata"), zeros, sizeof(zeros), 0);
}

static void empty_metadata(void)
{
	fixture_truncate(fixture_path("state/metadata"), 0);
}

static void damage_metadata(void)
{
	fixture_write(fixture_path("state/metadata"), "x", 1, 3000);
}

static void short_metadata(void)
{
	fixture_truncate(fixture_path("state/metadata"), 128 * 4096);
}

static void metadata_of_other_regions(void)
{
	fixture_metadata(fixture_path("state/metadata"), IMAGE_SECTORS, 4096, 1);
}

static void damage_json(void)
{
	fixture_truncate(fixture_path("state/clone.json"), 100);
}

static void pipe_as_destination(void)
{
	lose_destination();
	assert_int_equal(mkfifo(fixture_path("state/disk.img"), 0600), 0);
}

static void ask_other_name(struct state_request *request)
{
	request->name = "other";
}

static void ask_other_regions(struct state_request *request)
{
	request->region_size = 131072;
}

static void ask_other_destination(struct state_request *request)
{
	request->destination = fixture_path("d");
}

static void ask_other_metadata(struct state_request *request)
{
	request->metadata = fixture_path("m");
}

static void ask_mount_above(struct state_request *request)
{
	request->mountpoint = fixture_path("state/disk.img");
}

static void nothing(void)
{
}

static void what_does_not_fit_is_refused_and_stays_as_it_is(void **context)
{
	static const struct {
		const char *name;
		void (*spoil)(void);
		void (*ask)(struct state_request *request);
		int code;
		const char *sentence; /* NULL: @part is in it */
		const char *part;
	} cases[] = {
	        {"no destination", lose_destination, NULL, -ENOENT,
	         .sentence = "destination @/state/disk.img is missing"},
	        {"short destination", cut_destination, NULL, -EINVAL,
	         .sentence = "destination @/state/disk.img has 1000000 bytes, expected 1000001"},
	        {"long destination", extend_destination, NULL, -EINVAL,
	         .sentence = "destination @/state/disk.img has 1000002 bytes, expected 1000001"},
	        {"a pipe", pipe_as_destination, NULL, -EINVAL,
	         .sentence = "destination: @/state/disk.img is neither a regular file nor a block "
	                     "device"},
	        {"no metadata", lose_metadata, NULL, -ENOENT,
	         .sentence = "metadata @/state/metadata is missing"},
	        {"zeroed metadata", zero_metadata, NULL, -EPERM,
	         .sentence = "metadata @/state/metadata begins with zeros, expected the metadata "
	                     "of this "
	                     "clone: "
	                     "which regions are in the destination is not known any more"},
	        {"empty metadata", empty_metadata, NULL, -EIO, .part = "/state/metadata: "},
	        {"damaged metadata", damage_metadata, NULL, -EILSEQ, .part = "superblock"},
	        {"short metadata", short_metadata, NULL, -EINVAL,
	         .part = "expected 1 to 128, found 256"},
	        {"other regions", metadata_of_other_regions, NULL, -EINVAL, .part = "region size"},
	        {"damaged clone.json", damage_json, NULL, -EUCLEAN,
	         .part = "clone.json is damaged: line "},
	        {"name", nothing, ask_other_name, -EINVAL,
	         .sentence = "the clone in @/state has the name own, found name=other"},
	        {"region_size", nothing, ask_other_regions, -EINVAL,
	         .sentence = "the clone in @/state has regions of 65536 bytes, found "
	                     "region_size=131072"},
	        {"dest", nothing, ask_other_destination, -EINVAL,
	         .sentence = "dest=@/d is not what this clone was made with: expected "
	                     "@/state/disk.img"},
	        {"metadata", nothing, ask_other_metadata, -EINVAL,
	         .sentence = "metadata=@/m is not what this clone was made with: expected "
	                     "@/state/metadata"},
	        {"mountpoint", nothing, ask_mount_above, -EINVAL,
	         .sentence = "destination @/state/disk.img lies in the clone's own mountpoint "
	                     "@/state/disk.img"},
	};
	static const char *const files[] = {"state/disk.img", "state/metadata", "state/clone.json"};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		uint64_t before[NR(files)] = {0};
		struct cf_error err = {0};
		int r;

		print_message("case %s\n", cases[i].name);
		fixture_again();
		fixture.request.name = "own";
		fixture_create();
		cases[i].spoil();
		if (cases[i].ask)
			cases[i].ask(&fixture.request);
		for (size_t f = 0; f < NR(files); f++)
			if (cases[i].spoil != pipe_as_destination &&
			    fixture_exists(fixture_path(files[f])))
				before[f] = fixture_digest(fixture_path(files[f]));
		r = fixture_try_open(&fixture.request, &err);
		if (r != cases[i].code)
			print_error("%d: %s\n", r, err.text);
		assert_int_equal(r, cases[i].code);
		if (cases[i].sentence)
			fixture_assert_sentence(err.text, cases[i].sentence);
		else
			assert_non_null(strstr(err.text, cases[i].part));
		for (size_t f = 0; f < NR(files); f++) {
			if (before[f])
				assert_int_equal(fixture_digest(fixture_path(files[f])), before[f]);
			else if (cases[i].spoil != pipe_as_destination)
				assert_false(fixture_exists(fixture_path(files[f])));
		}
	}
}

static void another_source_is_refused_with_both(void **context)
{
	struct source_name *other = NULL;
	struct state_request request;
	struct cf_error err;

	(void)context;
	fixture_create();
	assert_int_equal(source_name_parse("http://u:p@h/d?sig=1", &other, &err), 0);
	request = fixture.request;
	request.source = other;
	assert_int_equal(fixture_try_open(&request, &err), -EINVAL);
	fixture_assert_sentence(err.text, "@/state holds a clone of another source: expected "
	                                  "@/source, found http://h/d?...");
	source_name_free(other);
}

static void a_signed_url_is_the_same_source_with_another_signature(void **context)
{
	struct source_name *first = NULL, *second = NULL;
	struct cf_error err;
	char json[2048] = "";
	FILE *file;

	(void)context;
	assert_int_equal(source_name_parse("http://u:SECRET@h/d?sig=SECRET", &first, &err), 0);
	assert_int_equal(source_name_parse("http://h/d?sig=other", &second, &err), 0);
	fixture.request.source = first;
	fixture_create();
	fixture.request.source = second;
	assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
	file = fopen(fixture_path("state/clone.json"), "r");
	assert_non_null(file);
	assert_true(fread(json, 1, sizeof(json) - 1, file) > 0);
	assert_int_equal(fclose(file), 0);
	assert_null(strstr(json, "SECRET"));
	source_name_free(first);
	source_name_free(second);
}

static void the_second_of_two_is_refused_with_the_process(void **context)
{
	struct state_request second = fixture.request;
	struct state *state, *other;
	struct cf_error err;
	char expected[256];
	char *other_dir = strdup(fixture_path("other"));

	(void)context;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	assert_int_equal(state_acquire(&second, &other, &err), -EBUSY);
	(void)snprintf(expected, sizeof(expected), "the clone in @/state is in use by process %d",
	               (int)getpid());
	fixture_assert_sentence(err.text, expected);
	second.state_dir = other_dir;
	second.destination = fixture_path("state/disk.img");
	assert_int_equal(fixture_try_create(&second, &err), -EBUSY);
	(void)snprintf(expected, sizeof(expected),
	               "destination @/state/disk.img is in use by process %d", (int)getpid());
	fixture_assert_sentence(err.text, expected);
	second.destination = fixture_path("d");
	second.metadata = fixture_path("state/metadata");
	assert_int_equal(fixture_try_create(&second, &err), -EBUSY);
	(void)snprintf(expected, sizeof(expected),
	               "metadata @/state/metadata is in use by process %d", (int)getpid());
	fixture_assert_sentence(err.text, expected);
	state_release(state);
	assert_false(fixture_exists(fixture_path("d")));
	assert_false(fixture_exists(fixture_path("other")));
	assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
	free(other_dir);
}

static void closing_is_seen_from_outside(void **context)
{
	struct lock_holder holder;
	struct state *state;
	struct cf_error err;

	(void)context;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	assert_int_equal(holder_find(fixture.request.state_dir, &holder, &err), 0);
	assert_int_equal(holder.pid, getpid());
	assert_false(holder.closing);
	state_set_closing(state);
	assert_int_equal(holder_find(fixture.request.state_dir, &holder, &err), 0);
	assert_true(holder.closing);
	state_release(state);
	assert_int_equal(holder_find(fixture.request.state_dir, &holder, &err), 0);
	assert_int_equal(holder.pid, 0);
}

static void modified_is_remembered_with_its_time(void **context)
{
	const int64_t times[] = {1700000000123456789, 1, 0, -1, -1500000000};
	struct state *state;
	struct cf_error err;

	(void)context;
	fixture_create();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_false(state_is_modified(state));
	assert_int_equal(state_modified_mtime_ns(state), 0);
	assert_int_equal(state_set_modified_mtime_ns(state, 5), -ENOENT);
	assert_int_equal(state_mark_modified(state), 0);
	assert_int_equal(state_mark_modified(state), 0);
	assert_true(state_is_modified(state));
	state_release(state);
	assert_int_equal(fixture_mode(fixture_path("state/modified")), 0600);
	assert_int_equal(fixture_size(fixture_path("state/modified")), 0);
	for (size_t i = 0; i < NR(times); i++) {
		assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
		assert_true(state_is_modified(state));
		assert_int_equal(state_set_modified_mtime_ns(state, times[i]), 0);
		state_release(state);
		assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
		assert_true(state_modified_mtime_ns(state) == times[i]);
		state_release(state);
	}
}

static void a_mark_that_cannot_be_made_is_an_error_each_time(void **context)
{
	struct state *state;
	struct cf_error err;

	(void)context;
	fixture_create();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(symlink("elsewhere", fixture_path("state/modified")), 0);
	assert_int_equal(state_mark_modified(state), -ELOOP);
	assert_false(state_is_modified(state));
	assert_int_equal(unlink(fixture_path("state/modified")), 0);
	assert_int_equal(state_mark_modified(state), 0);
	state_release(state);
}

static void a_new_one_cannot_be_opened(void **context)
{
	struct state *state;
	struct cf_error err;

	(void)context;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_open(state, &err), -ENOENT);
	fixture_assert_sentence(err.text, "@/state holds no clone");
	state_release(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_clone_is_opened_again_with_what_it_had),
	        TEST(the_same_places_may_be_given_again_in_other_words),
	        TEST(what_does_not_fit_is_refused_and_stays_as_it_is),
	        TEST(another_source_is_refused_with_both),
	        TEST(a_signed_url_is_the_same_source_with_another_signature),
	        TEST(the_second_of_two_is_refused_with_the_process),
	        TEST(closing_is_seen_from_outside),
	        TEST(modified_is_remembered_with_its_time),
	        TEST(a_mark_that_cannot_be_made_is_an_error_each_time),
	        TEST(a_new_one_cannot_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
