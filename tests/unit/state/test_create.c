/* New clones: what is made, what is refused, what is taken over. */
#include <endian.h>
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

#include "core/base/checksum.h"
#include "core/metadata/metadata.h"
#include "state_fixture.h"

#define NR(array) (sizeof(array) / sizeof(*(array)))
#define KIB       UINT64_C(1024)

static void a_new_clone_has_its_files_with_their_sizes_and_modes(void **context)
{
	struct state *state;
	struct cf_error err;
	struct stat st;
	mode_t mask = umask(0);

	(void)context;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	umask(mask);
	assert_int_equal(fixture_mode(fixture_path("state")), 0700);
	assert_int_equal(fixture_mode(fixture_path("state/lock")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/clone.json")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/disk.img")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/metadata")), 0600);
	assert_int_equal(fixture_size(fixture_path("state/disk.img")), IMAGE_SIZE);
	assert_int_equal(fixture_size(fixture_path("state/metadata")), 1024 * KIB);
	assert_int_equal(stat(fixture_path("state/metadata"), &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= 1024 * KIB);
	assert_int_equal(stat(fixture_path("state/disk.img"), &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_false(fixture_exists(fixture_path("state/modified")));
	assert_false(state_is_modified(state));
	assert_string_equal(state_name(state), fixture.source->name);
	assert_string_equal(state_dir(state), fixture_path("state"));
	state_release(state);
}

static void modes_do_not_depend_on_a_strict_umask(void **context)
{
	mode_t mask = umask(0777);

	(void)context;
	fixture_create();
	umask(mask);
	assert_int_equal(fixture_mode(fixture_path("state")), 0700);
	assert_int_equal(fixture_mode(fixture_path("state/lock")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/clone.json")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/disk.img")), 0600);
	assert_int_equal(fixture_mode(fixture_path("state/metadata")), 0600);
}

static void a_new_clone_says_what_it_is(void **context)
{
	const struct clone_config *config;
	struct state *state;
	struct cf_error err;

	(void)context;
	fixture.request.name = "other";
	strcpy(fixture.identity.etag, "\"e\"");
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	config = state_config(state);
	assert_string_equal(config->name, "other");
	assert_string_equal(config->source_url, fixture_path("source"));
	assert_string_equal(config->source_sha256, fixture.source->identity_sha256);
	assert_memory_equal(&config->source, &fixture.identity, sizeof(config->source));
	assert_int_equal(config->region_size, 64 * KIB);
	assert_int_equal(config->target_sectors, IMAGE_SECTORS);
	assert_string_equal(config->destination, fixture_path("state/disk.img"));
	assert_string_equal(config->metadata, fixture_path("state/metadata"));
	assert_true(config->created > 1500000000);
	assert_int_equal(state_open(state, &err), 0);
	assert_int_equal(metadata_nr_regions(state_metadata(state)), 16);
	assert_int_equal(metadata_nr_hydrated(state_metadata(state)), 0);
	assert_int_equal(state_destination(state)->size, IMAGE_SIZE);
	assert_int_equal(state_create(state, &fixture.identity, &err), -EEXIST);
	state_release(state);
}

/* The first mount failed, after @nr_hydrated regions had come. */
static void forget(uint64_t nr_hydrated)
{
	struct state *state;
	struct cf_error err;

	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_create(state, &fixture.identity, &err), 0);
	assert_int_equal(state_open(state, &err), 0);
	if (nr_hydrated)
		assert_int_equal(metadata_set_range(state_metadata(state), 0, nr_hydrated), 0);
	state_forget_new(state);
	state_release(state);
}

static void a_forgotten_clone_leaves_nothing(void **context)
{
	(void)context;
	forget(3);
	assert_false(fixture_exists(fixture_path("state")));
}

static void regions_in_given_parts_keep_their_clone(void **context)
{
	struct cf_error err;

	(void)context;
	for (int given = 0; given < 2; given++) {
		const char *path;

		fixture_again();
		path = fixture_path("given");
		if (given == 0) {
			fixture_truncate(path, IMAGE_SIZE);
			fixture.request.destination = path;
		} else {
			fixture_truncate(path, 1024 * KIB);
			fixture.request.metadata = path;
		}
		forget(0);
		assert_false(fixture_exists(fixture_path("state")));
		assert_true(fixture_exists(fixture_path("given")));
		forget(3);
		assert_true(fixture_exists(fixture_path("state/clone.json")));
		assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
	}
}

static void the_metadata_grows_with_the_number_of_regions(void **context)
{
	(void)context;
	/* 2^27 regions: some 8290 blocks to be safe, 33 MiB rounded up */
	fixture.identity.size = UINT64_C(1) << 39;
	fixture.request.region_size = 4 * KIB;
	fixture_create();
	assert_int_equal(fixture_size(fixture_path("state/metadata")), 33 * 1024 * KIB);
}

static void a_given_destination_and_metadata_are_made(void **context)
{
	(void)context;
	fixture.request.destination = fixture_path("d.img");
	fixture.request.metadata = fixture_path("m.bin");
	fixture_create();
	assert_int_equal(fixture_size(fixture_path("d.img")), IMAGE_SIZE);
	assert_int_equal(fixture_mode(fixture_path("d.img")), 0600);
	assert_int_equal(fixture_size(fixture_path("m.bin")), 1024 * KIB);
	assert_int_equal(fixture_mode(fixture_path("m.bin")), 0600);
	assert_false(fixture_exists(fixture_path("state/disk.img")));
	assert_false(fixture_exists(fixture_path("state/metadata")));
}

/* With a size and no space, a later commit would find the file system full. */
static void a_given_sparse_metadata_file_gets_its_space(void **context)
{
	struct stat st;

	(void)context;
	fixture_truncate(fixture_path("m.bin"), 1024 * KIB);
	fixture.request.metadata = fixture_path("m.bin");
	fixture_create();
	assert_int_equal(stat(fixture_path("m.bin"), &st), 0);
	assert_int_equal(st.st_size, 1024 * KIB);
	assert_true((uint64_t)st.st_blocks * 512 >= 1024 * KIB);
}

/* What a test puts there before it asks for a new clone. */
static void empty_parts(void)
{
	fixture_truncate(fixture_path("d"), 0);
	fixture_truncate(fixture_path("m"), 0);
}

static void zeroed_parts(void)
{
	fixture_truncate(fixture_path("d"), IMAGE_SIZE);
	fixture_truncate(fixture_path("m"), 40 * KIB);
}

static void written_zeros(void)
{
	char zeros[4096] = "";

	zeroed_parts();
	fixture_write(fixture_path("d"), zeros, sizeof(zeros), 100000);
	fixture_write(fixture_path("m"), zeros, sizeof(zeros), 0);
}

static void half_formatted_metadata(void)
{
	char zeros[4096] = "";

	zeroed_parts();
	fixture_metadata(fixture_path("m"), IMAGE_SECTORS, 64 * KIB, 0);
	fixture_write(fixture_path("m"), zeros, sizeof(zeros), 0);
}

static void data_in_destination(void)
{
	zeroed_parts();
	fixture_write(fixture_path("d"), "x", 1, IMAGE_SIZE - 1);
}

static void long_destination(void)
{
	zeroed_parts();
	fixture_truncate(fixture_path("d"), IMAGE_SIZE + 5);
}

static void long_destination_with_data(void)
{
	long_destination();
	fixture_write(fixture_path("d"), "x", 1, 0);
}

static void small_metadata(void)
{
	zeroed_parts();
	fixture_truncate(fixture_path("m"), 36 * KIB);
}

static void foreign_metadata(void)
{
	zeroed_parts();
	/* as btrfs: nothing below 64 KiB */
	fixture_truncate(fixture_path("m"), 1024 * KIB);
	fixture_write(fixture_path("m"), "_BHRfS_M", 8, 64 * KIB + 64);
}

static void garbage_metadata(void)
{
	zeroed_parts();
	fixture_write(fixture_path("m"), "garbage", 7, 0);
}

static void fresh_metadata(void)
{
	zeroed_parts();
	fixture_metadata(fixture_path("m"), IMAGE_SECTORS, 4 * KIB, 0);
}

static void fresh_metadata_and_data(void)
{
	fresh_metadata();
	fixture_write(fixture_path("d"), "x", 1, 77);
}

static void hydrated_metadata(void)
{
	fixture_truncate(fixture_path("d"), IMAGE_SIZE);
	fixture_write(fixture_path("d"), "data", 4, 0);
	fixture_metadata(fixture_path("m"), IMAGE_SECTORS, 4 * KIB, 7);
}

static void hydrated_metadata_alone(void)
{
	hydrated_metadata();
	assert_int_equal(unlink(fixture_path("d")), 0);
}

static void hydrated_metadata_and_an_empty_destination(void)
{
	hydrated_metadata();
	fixture_truncate(fixture_path("d"), 0);
}

static void metadata_of_another_size(void)
{
	zeroed_parts();
	fixture_metadata(fixture_path("m"), IMAGE_SECTORS + 1, 4 * KIB, 7);
}

/* Something that an open does not look at: the superblock's uuid, with a good checksum. */
static void odd_metadata(void)
{
	unsigned char block[4096];
	uint32_t checksum;
	FILE *file;

	hydrated_metadata();
	file = fopen(fixture_path("m"), "r");
	assert_non_null(file);
	assert_int_equal(fread(block, 1, sizeof(block), file), sizeof(block));
	assert_int_equal(fclose(file), 0);
	block[16] = 1;
	checksum = htole32(crc32c_update(0xffffffff, block + 4, sizeof(block) - 4) ^ 0x0f5b6b54);
	memcpy(block, &checksum, sizeof(checksum));
	fixture_write(fixture_path("m"), block, sizeof(block), 0);
}

static void damaged_metadata(void)
{
	hydrated_metadata();
	fixture_write(fixture_path("m"), "\xff", 1, 2 * 4096 + 100);
}

static void folders(void)
{
	assert_int_equal(mkdir(fixture_path("d"), 0700), 0);
	fixture_truncate(fixture_path("m"), 40 * KIB);
}

static void destination_is_source(void)
{
	assert_int_equal(symlink("source", fixture_path("d")), 0);
	fixture_truncate(fixture_path("m"), 40 * KIB);
}

static void destination_is_metadata(void)
{
	fixture_truncate(fixture_path("d"), IMAGE_SIZE);
	assert_int_equal(link(fixture_path("d"), fixture_path("m")), 0);
}

static void given_parts_are_taken_or_refused_with_a_sentence(void **context)
{
	static const struct {
		const char *name;
		void (*prepare)(void);
		bool no_dest, no_metadata, overwrite;
		uint64_t region_size;
		int code;
		const char *sentence;
	} cases[] = {
	        {"empty files", .prepare = empty_parts},
	        {"zeroed", .prepare = zeroed_parts},
	        {"zeros that take space", .prepare = written_zeros},
	        {"format cut by a crash", .prepare = half_formatted_metadata},
	        {"data", data_in_destination, .no_metadata = true, .code = -EEXIST,
	         .sentence = "destination @/d holds data already: give another one, or "
	                     "overwrite_dest to lose what is in it"},
	        {"data, zeroed metadata", data_in_destination, .code = -EEXIST,
	         .sentence = "destination @/d holds data already: give another one, or "
	                     "overwrite_dest to lose what is in it"},
	        {"data that may go", data_in_destination, .overwrite = true},
	        {"too long", long_destination, .code = -EINVAL,
	         .sentence = "destination @/d has 1000006 bytes, the image needs 1000001"},
	        {"too long, may be cut", long_destination_with_data, .overwrite = true},
	        {"metadata below the safe size", small_metadata, .code = -EINVAL,
	         .sentence = "metadata @/m has 36864 bytes, a clone of this size needs 40960"},
	        {"another file system", foreign_metadata, .code = -EEXIST,
	         .sentence = "metadata @/m is not zeroed, though its first block is"},
	        {"garbage", garbage_metadata, .code = -EILSEQ, .sentence = NULL},
	        {"fresh metadata", .prepare = fresh_metadata},
	        {"fresh metadata, own destination", fresh_metadata, .no_dest = true},
	        {"fresh metadata, data", fresh_metadata_and_data, .code = -EEXIST,
	         .sentence = "destination @/d holds data already: give another one, or "
	                     "overwrite_dest to lose what is in it"},
	        {"fresh metadata, data that may go", fresh_metadata_and_data, .overwrite = true},
	        {"adopted", .prepare = hydrated_metadata},
	        {"adopted, region size given", hydrated_metadata, .region_size = 4 * KIB},
	        {"adopted, another region size", hydrated_metadata, .region_size = 64 * KIB,
	         .code = -EINVAL,
	         .sentence = "metadata @/m is of a clone with regions of 4096 bytes, found "
	                     "region_size=65536"},
	        {"adopted, no destination given", hydrated_metadata, .no_dest = true,
	         .code = -EINVAL,
	         .sentence = "metadata @/m shows 7 hydrated regions: give the destination that "
	                     "they are in with dest="},
	        {"adopted, destination missing", hydrated_metadata_alone, .code = -ENOENT,
	         .sentence = "destination @/d is missing, and metadata @/m is that of a clone: "
	                     "expected the destination of the same clone"},
	        {"adopted, destination empty", hydrated_metadata_and_an_empty_destination,
	         .overwrite = true, .code = -EINVAL,
	         .sentence = "destination @/d has 0 bytes, the image needs 1000001"},
	        {"of another size", metadata_of_another_size, .code = -EINVAL,
	         .sentence = "metadata @/m is of a clone of 1955 sectors, the source has 1954"},
	        {"damaged", damaged_metadata, .code = -EILSEQ, .sentence = NULL},
	        {"odd", odd_metadata, .code = -EUCLEAN, .sentence = NULL},
	        {"not files", folders, .code = -EINVAL,
	         .sentence = "destination: @/d is neither a regular file nor a block device"},
	        {"the source", destination_is_source, .code = -EINVAL,
	         .sentence = "destination @/d is the source itself"},
	        {"one file", destination_is_metadata, .code = -EINVAL,
	         .sentence = "destination @/d and metadata @/m are the same file"},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct cf_error err = {0};
		uint64_t before[2] = {0};
		int r;

		print_message("case %s\n", cases[i].name);
		fixture_again();
		cases[i].prepare();
		fixture.request.destination = cases[i].no_dest ? NULL : fixture_path("d");
		fixture.request.metadata = cases[i].no_metadata ? NULL : fixture_path("m");
		fixture.request.overwrite_dest = cases[i].overwrite;
		fixture.request.region_size = cases[i].region_size;
		if (cases[i].code && cases[i].prepare != folders) {
			before[0] = fixture_exists(fixture_path("d"))
			                    ? fixture_digest(fixture_path("d"))
			                    : 0;
			before[1] = fixture_digest(fixture_path("m"));
		}
		r = fixture_try_create(&fixture.request, &err);
		if (r != cases[i].code)
			print_error("%d: %s\n", r, err.text);
		assert_int_equal(r, cases[i].code);
		if (r < 0) {
			if (cases[i].sentence)
				fixture_assert_sentence(err.text, cases[i].sentence);
			/* Nothing is left, nothing changed. */
			assert_false(fixture_exists(fixture_path("state")));
			if (before[0])
				assert_int_equal(fixture_digest(fixture_path("d")), before[0]);
			if (before[1])
				assert_int_equal(fixture_digest(fixture_path("m")), before[1]);
		} else {
			assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
			if (!cases[i].no_dest)
				assert_int_equal(fixture_size(fixture_path("d")), IMAGE_SIZE);
		}
	}
}

static void what_is_adopted_stays_as_it_is_and_counts_as_modified(void **context)
{
	struct cf_error err;
	struct state *state;
	uint64_t data, metadata;

	(void)context;
	hydrated_metadata();
	data = fixture_digest(fixture_path("d"));
	metadata = fixture_digest(fixture_path("m"));
	fixture.request.destination = fixture_path("d");
	fixture.request.metadata = fixture_path("m");
	fixture_create();
	assert_int_equal(fixture_digest(fixture_path("d")), data);
	assert_int_equal(fixture_digest(fixture_path("m")), metadata);
	assert_true(fixture_exists(fixture_path("state/modified")));
	fixture.request.destination = NULL;
	fixture.request.metadata = NULL;
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_true(state_is_modified(state));
	assert_int_equal(state_config(state)->region_size, 4096);
	assert_int_equal(state_open(state, &err), 0);
	assert_int_equal(metadata_nr_hydrated(state_metadata(state)), 7);
	state_release(state);
}

static void a_clone_whose_clone_json_is_lost_can_be_taken_over(void **context)
{
	struct cf_error err;

	(void)context;
	fixture_create();
	fixture_metadata(fixture_path("state/metadata"), IMAGE_SECTORS, 64 * KIB, 3);
	assert_int_equal(unlink(fixture_path("state/clone.json")), 0);
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EEXIST);
	fixture_assert_sentence(
	        err.text, "metadata @/state/metadata shows 3 hydrated regions, but there is no "
	                  "clone.json beside it: this is not begun again (dest= and metadata= "
	                  "take over what a clone left)");
	assert_true(fixture_exists(fixture_path("state/disk.img")));
	fixture.request.destination = fixture_path("state/disk.img");
	fixture.request.metadata = fixture_path("state/metadata");
	fixture_create();
}

/* What a crashed creation may leave, and more than that. */
static void folder_only(void)
{
	assert_int_equal(mkdir(fixture_path("state"), 0700), 0);
}

static void destination_only(void)
{
	folder_only();
	fixture_truncate(fixture_path("state/disk.img"), 123);
}

static void zero_metadata(void)
{
	destination_only();
	fixture_truncate(fixture_path("state/metadata"), 1024 * KIB);
}

static void fresh_left(void)
{
	folder_only();
	fixture_truncate(fixture_path("state/disk.img"), IMAGE_SIZE + 100);
	fixture_metadata(fixture_path("state/metadata"), 77, 4 * KIB, 0);
	fixture_write(fixture_path("state/modified"), "", 0, 0);
	fixture_write(fixture_path("state/clone.json.new"), "{", 1, 0);
	fixture_write(fixture_path("state/metadata.clonefs-new"), "x", 1, 9);
}

static void empty_files(void)
{
	folder_only();
	fixture_truncate(fixture_path("state/disk.img"), 0);
	fixture_truncate(fixture_path("state/metadata"), 0);
}

/* Not left by us: somebody's folder, with somebody's image in it. */
static void image_in_the_folder(void)
{
	folder_only();
	fixture_truncate(fixture_path("state/disk.img"), 4000);
	fixture_write(fixture_path("state/disk.img"), "precious", 8, 3000);
}

static void hydrated_left(void)
{
	folder_only();
	fixture_metadata(fixture_path("state/metadata"), IMAGE_SECTORS, 4 * KIB, 1);
}

static void garbage_left(void)
{
	folder_only();
	fixture_write(fixture_path("state/metadata"), "garbage", 7, 4095);
}

static void first_block_zeroed(void)
{
	char zeros[4096] = "";

	hydrated_left();
	fixture_write(fixture_path("state/metadata"), zeros, sizeof(zeros), 0);
}

static void only_what_shows_nothing_hydrated_is_begun_again(void **context)
{
	static const struct {
		const char *name;
		void (*prepare)(void);
		int code;
	} cases[] = {
	        {"folder", folder_only, 0},
	        {"destination", destination_only, 0},
	        {"empty files", empty_files, 0},
	        {"zeroed metadata", zero_metadata, 0},
	        {"data in disk.img", image_in_the_folder, -EEXIST},
	        {"fresh metadata and more", fresh_left, 0},
	        {"hydrated metadata", hydrated_left, -EEXIST},
	        {"garbage", garbage_left, -EILSEQ},
	        {"hydrated metadata, first block zeroed", first_block_zeroed, -EINVAL},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct cf_error err = {0};
		int r;

		print_message("case %s\n", cases[i].name);
		fixture_again();
		cases[i].prepare();
		r = fixture_try_create(&fixture.request, &err);
		if (cases[i].code == -EILSEQ)
			assert_true(r == -EILSEQ || r == -ENOTBLK);
		else
			assert_int_equal(r, cases[i].code);
		if (r == 0) {
			assert_int_equal(fixture_try_open(&fixture.request, &err), 0);
			assert_int_equal(fixture_size(fixture_path("state/disk.img")), IMAGE_SIZE);
			assert_false(fixture_exists(fixture_path("state/modified")));
			assert_false(fixture_exists(fixture_path("state/clone.json.new")));
			assert_false(fixture_exists(fixture_path("state/metadata.clonefs-new")));
		} else if (cases[i].prepare == image_in_the_folder) {
			fixture_assert_sentence(
			        err.text, "destination @/state/disk.img holds data already: give "
			                  "another one, or overwrite_dest to lose what is in it");
			assert_int_equal(fixture_size(fixture_path("state/disk.img")), 4000);
			assert_false(fixture_exists(fixture_path("state/metadata")));
			fixture.request.overwrite_dest = true;
			fixture_create();
		} else {
			assert_non_null(strstr(err.text, "there is no clone.json beside it"));
			assert_true(fixture_exists(fixture_path("state/metadata")));
		}
	}
}

static void too_many_regions_are_refused_with_the_size_that_fits(void **context)
{
	struct cf_error err;

	(void)context;
	fixture.request.region_size = 4 * KIB;
	fixture.identity.size = (UINT64_C(1) << 43) + 1;
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_string_equal(err.text,
	                    "a source of 8796093022209 bytes has too many regions of 4096 "
	                    "bytes: the smallest region_size= that fits is 8192");
	fixture.request.region_size = 0;
	fixture.identity.size = INT64_MAX;
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is too large"));
	fixture.identity.size = 0;
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_string_equal(err.text, "the image is empty (0 bytes): there is nothing to show");
	fixture.request.region_size = 5000;
	fixture.identity.size = IMAGE_SIZE;
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "region_size=5000: expected a power of two"));
	assert_false(fixture_exists(fixture_path("state")));
}

static void a_refused_clone_leaves_no_folder_that_was_made_for_it(void **context)
{
	struct state *state;
	struct cf_error err;
	char *own = strdup(fixture_path("a/b/c"));

	(void)context;
	free((char *)(uintptr_t)fixture.request.state_dir);
	fixture.request.state_dir = own;
	assert_int_equal(mkdir(fixture_path("a"), 0700), 0);
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	assert_int_equal(state_check_new(state, &fixture.identity, &err), 0);
	assert_true(fixture_exists(fixture_path("a/b/c/lock")));
	assert_false(fixture_exists(fixture_path("a/b/c/disk.img")));
	state_release(state);
	assert_false(fixture_exists(fixture_path("a/b")));
	assert_true(fixture_exists(fixture_path("a")));
}

static void a_folder_that_was_there_stays(void **context)
{
	struct state *state;
	struct cf_error err;

	(void)context;
	folder_only();
	assert_int_equal(state_acquire(&fixture.request, &state, &err), 0);
	state_release(state);
	assert_true(fixture_exists(fixture_path("state")));
}

static void places_are_checked_before_anything_is_made(void **context)
{
	struct cf_error err;

	(void)context;
	fixture.request.mountpoint = fixture_path("");
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "lies in the clone's own mountpoint"));
	fixture.request.mountpoint = fixture_path("m");
	fixture.request.metadata = fixture_path("m/x");
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	fixture_assert_sentence(err.text, "metadata @/m/x lies in the clone's own mountpoint @/m");
	fixture.request.name = ".bad";
	assert_int_equal(fixture_try_create(&fixture.request, &err), -EINVAL);
	assert_non_null(strstr(err.text, "name=.bad: expected 1 to 64"));
	assert_false(fixture_exists(fixture_path("state")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_new_clone_has_its_files_with_their_sizes_and_modes),
	        TEST(modes_do_not_depend_on_a_strict_umask),
	        TEST(a_new_clone_says_what_it_is),
	        TEST(a_forgotten_clone_leaves_nothing),
	        TEST(regions_in_given_parts_keep_their_clone),
	        TEST(the_metadata_grows_with_the_number_of_regions),
	        TEST(a_given_destination_and_metadata_are_made),
	        TEST(a_given_sparse_metadata_file_gets_its_space),
	        TEST(given_parts_are_taken_or_refused_with_a_sentence),
	        TEST(what_is_adopted_stays_as_it_is_and_counts_as_modified),
	        TEST(a_clone_whose_clone_json_is_lost_can_be_taken_over),
	        TEST(only_what_shows_nothing_hydrated_is_begun_again),
	        TEST(too_many_regions_are_refused_with_the_size_that_fits),
	        TEST(a_refused_clone_leaves_no_folder_that_was_made_for_it),
	        TEST(a_folder_that_was_there_stays),
	        TEST(places_are_checked_before_anything_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
