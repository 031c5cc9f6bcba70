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

#include "core/state/clone_json.h"

#define NR(array) (sizeof(array) / sizeof(*(array)))
#define THURSDAY  "Thu, 01 Jan 1970 00:00:00 GMT"
#define FRIDAY    "Fri, 02 Jan 1970 00:00:00 GMT"
#define DIGEST    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* A whole one, as a person would write it down; tests replace single fields. */
static const char sample[] =
        "{\"version\":1,\"name\":\"disk\",\"source\":{\"url\":\"http://h/d?...\","
        "\"identity\":\"" DIGEST "\",\"size\":1000001,\"etag\":\"\\\"e\\\"\","
        "\"last_modified\":\"\",\"mtime_ns\":0},\"region_size\":4096,\"target_sectors\":1954,"
        "\"destination\":\"/s/disk.img\",\"metadata\":\"/s/metadata\",\"created\":1700000000}";

static struct clone_config make_config(void)
{
	static char url[] = "http://h/\xc3\xa4\"\\";
	static char destination[] = "/a b/disk.img";
	static char metadata[] = "/dev/mapper/m";

	return (struct clone_config){
	        .name = "disk",
	        .source_url = url,
	        .source_sha256 = DIGEST,
	        .source = {.size = 1000001,
	                   .etag = "W/\"x\"",
	                   .last_modified = THURSDAY,
	                   .mtime_ns = -5},
	        .region_size = 65536,
	        .target_sectors = 1954,
	        .destination = destination,
	        .metadata = metadata,
	        .created = 1700000000,
	};
}

static void assert_same(const struct clone_config *a, const struct clone_config *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->source_url, b->source_url);
	assert_string_equal(a->source_sha256, b->source_sha256);
	assert_int_equal(a->source.size, b->source.size);
	assert_string_equal(a->source.etag, b->source.etag);
	assert_string_equal(a->source.last_modified, b->source.last_modified);
	assert_int_equal(a->source.mtime_ns, b->source.mtime_ns);
	assert_int_equal(a->region_size, b->region_size);
	assert_int_equal(a->target_sectors, b->target_sectors);
	assert_string_equal(a->destination, b->destination);
	assert_string_equal(a->metadata, b->metadata);
	assert_int_equal(a->created, b->created);
}

static int parse(const char *text, struct cf_error *err)
{
	struct clone_config *config = NULL;
	int r = clone_config_parse(text, strlen(text), &config, err);

	assert_true((r == 0) == (config != NULL));
	clone_config_free(config);
	return r;
}

/* sample with the first @old replaced by @new. */
static int parse_changed(const char *old, const char *new, struct cf_error *err)
{
	const char *at = strstr(sample, old);
	char text[2048];

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - sample), sample, new,
	               at + strlen(old));
	return parse(text, err);
}

static void make_folder(char *folder)
{
	strcpy(folder, "/tmp/clonefs-json-XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static void what_is_saved_is_loaded(void **context)
{
	const struct clone_config saved = make_config();
	struct clone_config *loaded;
	struct cf_error err;
	char folder[64], path[128];
	struct stat st;
	mode_t mask;

	(void)context;
	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/clone.json", folder);
	mask = umask(0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(clone_config_save(folder, &saved, &err), 0);
	umask(mask);
	assert_int_equal(clone_config_load(folder, &loaded, &err), 0);
	assert_same(loaded, &saved);
	clone_config_free(loaded);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(unlink(path), 0);
	/* Nothing else is left. */
	assert_int_equal(rmdir(folder), 0);
}

static void no_file_is_told_from_a_damaged_one(void **context)
{
	struct clone_config *config = NULL;
	struct cf_error err;
	char folder[64], path[128];
	FILE *file;

	(void)context;
	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/clone.json", folder);
	assert_int_equal(clone_config_load(folder, &config, &err), -ENOENT);
	file = fopen(path, "w");
	fputs("{\n\"version\": 1,\n\"name\" \"x\"}\n", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(clone_config_load(folder, &config, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, folder));
	assert_non_null(strstr(err.text, "clone.json is damaged: line 3"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(clone_config_load(folder, &config, &err), -EINVAL);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_null(config);
}

static void a_failed_save_keeps_the_old_file(void **context)
{
	struct clone_config config = make_config();
	struct clone_config *loaded;
	struct cf_error err;
	char folder[64], path[128];

	(void)context;
	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/clone.json", folder);
	assert_int_equal(clone_config_save(folder, &config, &err), 0);
	config.destination = (char[]){"/not utf-8 \xff"};
	assert_int_equal(clone_config_save(folder, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not UTF-8"));
	assert_int_equal(clone_config_load(folder, &loaded, &err), 0);
	assert_string_equal(loaded->destination, "/a b/disk.img");
	clone_config_free(loaded);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void the_sample_of_the_contract_is_understood(void **context)
{
	struct clone_config *config = NULL;
	struct cf_error err;

	(void)context;
	assert_int_equal(clone_config_parse(sample, strlen(sample), &config, &err), 0);
	assert_string_equal(config->name, "disk");
	assert_string_equal(config->source.etag, "\"e\"");
	assert_int_equal(config->source.size, 1000001);
	clone_config_free(config);
}

static void a_file_cut_anywhere_is_damaged(void **context)
{
	struct clone_config whole = make_config();
	struct clone_config *config = NULL;
	struct cf_error err;
	char *text;
	size_t last;

	(void)context;
	assert_int_equal(clone_config_format(&whole, &text), 0);
	last = (size_t)(strrchr(text, '}') - text);
	for (size_t length = 0; length <= last; length++) {
		assert_int_equal(clone_config_parse(text, length, &config, &err), -EUCLEAN);
		assert_non_null(strstr(err.text, "clone.json is damaged: line "));
	}
	assert_int_equal(clone_config_parse(text, last + 1, &config, &err), 0);
	assert_same(config, &whole);
	clone_config_free(config);
	free(text);
}

/* Cut by a file system that had given the length but not the bytes. */
static void a_file_whose_end_became_zeros_is_damaged(void **context)
{
	struct clone_config *config = NULL;
	char text[sizeof(sample)];
	struct cf_error err;

	(void)context;
	for (size_t length = 0; length < sizeof(sample) - 1; length++) {
		memset(text, 0, sizeof(text));
		memcpy(text, sample, length);
		assert_int_equal(clone_config_parse(text, sizeof(sample) - 1, &config, &err),
		                 -EUCLEAN);
	}
}

static void each_field_must_be_there_and_possible(void **context)
{
	static const struct {
		const char *old, *new, *field;
	} cases[] = {
	        {"\"version\":1,", "", "version"},
	        {"\"version\":1,", "\"version\":0,", "version"},
	        {"\"version\":1,", "\"version\":\"1\",", "version"},
	        {"\"name\":\"disk\",", "", "name"},
	        {"\"disk\"", "\"\"", "name"},
	        {"\"disk\"", "\".disk\"", "name"},
	        {"\"disk\"", "\"a/b\"", "name"},
	        {"\"disk\"",
	         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "name"},
	        {"\"source\":{", "\"sauce\":{", "source"},
	        {"\"url\":\"http://h/d?...\"", "\"url\":\"\"", "url"},
	        {"\"url\":", "\"uri\":", "url"},
	        {DIGEST, "", "identity"},
	        {"0011", "zz11", "identity"},
	        {"0011", "00A1", "identity"},
	        {"0011", "001", "identity"},
	        {"\"size\":1000001", "\"size\":0", "size"},
	        {"\"size\":1000001", "\"size\":-1", "size"},
	        {"\"size\":1000001", "\"size\":1000001.0", "size"},
	        {"\"size\":1000001", "\"size\":null", "size"},
	        {"\"etag\":", "\"tag\":", "etag"},
	        {"\"last_modified\":\"\"", "\"last_modified\":null", "last_modified"},
	        {"\"mtime_ns\":0", "\"mtime_ns\":\"0\"", "mtime_ns"},
	        {"\"region_size\":4096", "\"region_size\":4095", "region_size"},
	        {"\"region_size\":4096", "\"region_size\":2048", "region_size"},
	        {"\"region_size\":4096", "\"region_size\":2147483648", "region_size"},
	        {"\"target_sectors\":1954", "\"target_sectors\":1953", "target_sectors"},
	        {"\"destination\":\"/s", "\"destination\":\"s", "destination"},
	        {"\"metadata\":\"/s/metadata\"", "\"metadata\":\"\"", "metadata"},
	        {"\"created\":", "\"begun\":", "created"},
	        /* 2^31 + 1 regions of 4 KiB */
	        {"\"size\":1000001", "\"size\":8796093026304", "target_sectors"},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct cf_error err = {0};
		char field[64];
		int r = parse_changed(cases[i].old, cases[i].new, &err);

		if (r != -EUCLEAN)
			print_error("case %zu (%s)\n", i, cases[i].new);
		assert_int_equal(r, -EUCLEAN);
		(void)snprintf(field, sizeof(field), "\"%s\"", cases[i].field);
		assert_non_null(strstr(err.text, field));
	}
}

static void more_regions_than_the_format_has_are_damage(void **context)
{
	char text[2048];
	struct cf_error err;
	/* 2^31 regions of 4 KiB, and one byte more. */
	const struct {
		unsigned long long size;
		int result;
	} cases[] = {{8796093022208ull, 0}, {8796093022209ull, -EUCLEAN}};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		(void)snprintf(
		        text, sizeof(text),
		        "{\"version\":1,\"name\":\"d\",\"source\":{\"url\":\"u\",\"identity\":"
		        "\"" DIGEST "\",\"size\":%llu,\"etag\":\"\",\"last_modified\":\"\","
		        "\"mtime_ns\":0},\"region_size\":4096,\"target_sectors\":%llu,"
		        "\"destination\":\"/d\",\"metadata\":\"/m\",\"created\":0}",
		        cases[i].size, (cases[i].size + 511) / 512);
		assert_int_equal(parse(text, &err), cases[i].result);
	}
}

static void unknown_fields_are_ignored_unless_they_must_be_known(void **context)
{
	struct cf_error err;

	(void)context;
	assert_int_equal(parse_changed("{", "{\"later\":[1],", &err), 0);
	assert_int_equal(parse_changed("\"url\"", "\"later\":{},\"url\"", &err), 0);
	assert_int_equal(parse_changed("{", "{\"must_x\":0,", &err), -EUCLEAN);
	assert_string_equal(err.text,
	                    "clone.json has the field \"must_x\", which this version does "
	                    "not know: a newer one is needed");
	assert_int_equal(parse_changed("\"url\"", "\"must_y\":0,\"url\"", &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "must_y"));
}

static void a_higher_version_is_refused_with_both_numbers(void **context)
{
	struct cf_error err;

	(void)context;
	assert_int_equal(parse_changed("\"version\":1", "\"version\":99", &err), -EUCLEAN);
	assert_string_equal(err.text,
	                    "clone.json has version 99, this version of clonefs knows up to 1");
}

static void other_texts_are_damage(void **context)
{
	static const char *const cases[] = {
	        "",      "null", "[]", "1", "{}", "\"x\"", "{\"version\":1,\"version\":1}",
	        "{} {}", "\xff",
	};
	struct cf_error err;

	(void)context;
	for (size_t i = 0; i < NR(cases); i++)
		assert_int_equal(parse(cases[i], &err), -EUCLEAN);
}

static void a_changed_source_is_told_by_what_both_sides_know(void **context)
{
	static const struct {
		struct source_identity pinned, found;
		const char *differs; /* NULL: nothing */
	} cases[] = {
	        {{.size = 5}, {.size = 5}, NULL},
	        {{.size = 5}, {.size = 6}, "its size was 5 bytes, now 6"},
	        {{.size = 5, .etag = "\"a\""}, {.size = 6, .etag = "\"a\""}, "size"},
	        {{.size = 5, .etag = "\"a\""}, {.size = 5, .etag = "\"a\""}, NULL},
	        {{.size = 5, .etag = "\"a\""},
	         {.size = 5, .etag = "\"b\""},
	         "its ETag was \"a\", now \"b\""},
	        {{.size = 5, .etag = "\"a\""}, {.size = 5}, NULL},
	        {{.size = 5}, {.size = 5, .etag = "\"b\""}, NULL},
	        {{.size = 5, .etag = "W/\"a\""}, {.size = 5, .etag = "W/\"b\""}, NULL},
	        {{.size = 5, .etag = "\"a\""}, {.size = 5, .etag = "W/\"a\""}, NULL},
	        {{.size = 5, .last_modified = THURSDAY},
	         {.size = 5, .last_modified = FRIDAY},
	         "its Last-Modified was Thu"},
	        {{.size = 5, .last_modified = THURSDAY}, {.size = 5}, NULL},
	        /* The strong ETag says that the bytes are the same. */
	        {{.size = 5, .etag = "\"a\"", .last_modified = THURSDAY},
	         {.size = 5, .etag = "\"a\"", .last_modified = FRIDAY},
	         NULL},
	        {{.size = 5, .mtime_ns = 7},
	         {.size = 5, .mtime_ns = 8},
	         "modification time was 7 ns"},
	        {{.size = 5, .mtime_ns = 7}, {.size = 5, .mtime_ns = 7}, NULL},
	        {{.size = 5, .mtime_ns = 7}, {.size = 5}, NULL},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct clone_config config = make_config();
		struct cf_error err = {0};
		int r;

		config.source = cases[i].pinned;
		r = clone_config_check_source(&config, &cases[i].found, &err);
		assert_int_equal(r, cases[i].differs ? -ESTALE : 0);
		if (cases[i].differs) {
			assert_non_null(strstr(err.text, cases[i].differs));
			assert_non_null(
			        strstr(err.text, "(the option offline mounts what is here)"));
		}
	}
}

static void a_moved_source_needs_a_proof(void **context)
{
	static const struct {
		struct source_identity pinned, found;
		int expected;
	} cases[] = {
	        {{.size = 8, .etag = "\"a\""}, {.size = 8, .etag = "\"a\""}, 0},
	        {{.size = 8, .last_modified = "then"}, {.size = 8, .last_modified = "then"}, 0},
	        {{.size = 8, .mtime_ns = 5}, {.size = 8, .mtime_ns = 5}, 0},
	        {{.size = 8, .etag = "\"a\"", .last_modified = "then"},
	         {.size = 8, .etag = "W/\"a\"", .last_modified = "then"},
	         0},
	        {{.size = 8, .etag = "\"a\""}, {.size = 8, .etag = "\"b\""}, -ESTALE},
	        {{.size = 8, .etag = "\"a\""}, {.size = 9, .etag = "\"a\""}, -ESTALE},
	        {{.size = 8, .last_modified = "then"},
	         {.size = 8, .last_modified = "now"},
	         -ESTALE},
	        {{.size = 8}, {.size = 8}, -EINVAL},
	        {{.size = 8, .etag = "\"a\""}, {.size = 8, .last_modified = "then"}, -EINVAL},
	        {{.size = 8, .etag = "W/\"a\""}, {.size = 8, .etag = "W/\"a\""}, -EINVAL},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct clone_config config = make_config();
		struct cf_error err;

		config.source = cases[i].pinned;
		assert_int_equal(clone_config_check_moved(&config, &cases[i].found, &err),
		                 cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_saved_is_loaded),
	        cmocka_unit_test(no_file_is_told_from_a_damaged_one),
	        cmocka_unit_test(a_failed_save_keeps_the_old_file),
	        cmocka_unit_test(the_sample_of_the_contract_is_understood),
	        cmocka_unit_test(a_file_cut_anywhere_is_damaged),
	        cmocka_unit_test(a_file_whose_end_became_zeros_is_damaged),
	        cmocka_unit_test(each_field_must_be_there_and_possible),
	        cmocka_unit_test(more_regions_than_the_format_has_are_damage),
	        cmocka_unit_test(unknown_fields_are_ignored_unless_they_must_be_known),
	        cmocka_unit_test(a_higher_version_is_refused_with_both_numbers),
	        cmocka_unit_test(other_texts_are_damage),
	        cmocka_unit_test(a_moved_source_needs_a_proof),
	        cmocka_unit_test(a_changed_source_is_told_by_what_both_sides_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
