#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/state/names.h"

#define NR(array) (sizeof(array) / sizeof(*(array)))

static struct source_name *parse(const char *source)
{
	struct source_name *name = NULL;
	struct cf_error err = {0};
	int r = source_name_parse(source, &name, &err);

	if (r < 0)
		print_error("%s: %s\n", source, err.text);
	assert_int_equal(r, 0);
	return name;
}

static void urls_are_shown_without_secrets_and_identified_without_signatures(void **context)
{
	static const struct {
		const char *url;
		const char *fetch; /* NULL: the URL itself */
		const char *shown;
		const char *identity;
	} cases[] = {
	        {"http://h/d.raw", NULL, "http://h/d.raw", "http://h/d.raw"},
	        {"HTTP://Host.Example/D.raw", NULL, "http://Host.Example/D.raw",
	         "http://host.example/D.raw"},
	        {"https://h:443/d", NULL, "https://h/d", "https://h/d"},
	        {"http://h:80/d", NULL, "http://h/d", "http://h/d"},
	        {"http://h:443/d", NULL, "http://h:443/d", "http://h:443/d"},
	        {"https://h:080/d", NULL, "https://h:80/d", "https://h:80/d"},
	        {"http://h:/d", NULL, "http://h/d", "http://h/d"},
	        {"http://h", NULL, "http://h", "http://h/"},
	        {"http://h?a=1", NULL, "http://h?...", "http://h/?a=1"},
	        {"http://h/d?", NULL, "http://h/d", "http://h/d"},
	        {"http://h/d#part", "http://h/d", "http://h/d", "http://h/d"},
	        {"http://h/d?a=1#part", "http://h/d?a=1", "http://h/d?...", "http://h/d?a=1"},
	        {"http://u:secret@h/d", NULL, "http://h/d", "http://h/d"},
	        {"http://u:sec@ret@h:8080/d", NULL, "http://h:8080/d", "http://h:8080/d"},
	        {"http://u@h/d@2", NULL, "http://h/d@2", "http://h/d@2"},
	        {"http://[::1]/d", NULL, "http://[::1]/d", "http://[::1]/d"},
	        {"http://[2001:DB8::1]:8080/d", NULL, "http://[2001:DB8::1]:8080/d",
	         "http://[2001:db8::1]:8080/d"},
	        {"http://u:p@[::1]:80/d", NULL, "http://[::1]/d", "http://[::1]/d"},
	        {"http://h/a%20b/c?x=%2F", NULL, "http://h/a%20b/c?...", "http://h/a%20b/c?x=%2F"},
	        {"https://b.s3/d?X-Amz-Signature=abc&versionId=7&X-Amz-Date=x", NULL,
	         "https://b.s3/d?...", "https://b.s3/d?versionId=7"},
	        {"https://h/d?X-Goog-Signature=abc", NULL, "https://h/d?...", "https://h/d"},
	        {"https://h/d?X-Oss-Signature=abc&X-Oss-Expires=1", NULL, "https://h/d?...",
	         "https://h/d"},
	        {"https://h/d?AWSAccessKeyId=a&Signature=b&Expires=1&Key-Pair-Id=k&Policy=p", NULL,
	         "https://h/d?...", "https://h/d"},
	        {"https://h/d?sv=1&sr=b&sig=x&se=2&sp=r&st=3&snapshot=4", NULL, "https://h/d?...",
	         "https://h/d?snapshot=4"},
	        {"https://h/d?token=t&access_token=u&a=1&b", NULL, "https://h/d?...",
	         "https://h/d?a=1&b"},
	        {"https://h/d?tokens=t&sigma=1", NULL, "https://h/d?...",
	         "https://h/d?tokens=t&sigma=1"},
	        {"https://h/d?token", NULL, "https://h/d?...", "https://h/d"},
	        {"https://h/d?&&a=1&&", NULL, "https://h/d?...", "https://h/d?a=1"},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct source_name *name = parse(cases[i].url);

		assert_int_equal(name->kind, SOURCE_KIND_HTTP);
		assert_string_equal(name->fetch, cases[i].fetch ? cases[i].fetch : cases[i].url);
		assert_string_equal(name->shown, cases[i].shown);
		assert_string_equal(name->identity, cases[i].identity);
		source_name_free(name);
	}
}

static void a_name_is_the_sanitised_last_element_and_eight_digits_of_the_digest(void **context)
{
	/* Digits: printf %s IDENTITY | sha256sum */
	static const struct {
		const char *source;
		const char *name;
	} cases[] = {
	        {"http://h/d.raw", "d.raw-04b19a8f"},
	        {"http://h/d.raw?token=1", "d.raw-04b19a8f"},
	        {"http://h/d.raw?v=1", "d.raw-f1163386"},
	        {"http://h", "disk.img-ad8295a7"},
	        {"http://h/a%20b(1).raw", "a_b_1_.raw-ed9dcffd"},
	        {"http://h/.hidden", "_hidden-542ab973"},
	        {"http://h/%c3%a4.raw", "__.raw-56706d95"},
	        {"http://h/01234567890123456789012345678901234567890123456789",
	         "0123456789012345678901234567890123456789-a37fcaf1"},
	        {"http://h/a-b+c_d.1", "a-b+c_d.1-26fb1022"},
	        {"/no-such-folder/d.raw", "d.raw-eecac23f"},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct source_name *name = parse(cases[i].source);

		assert_string_equal(name->name, cases[i].name);
		assert_true(clone_name_is_valid(name->name));
		assert_memory_equal(strrchr(name->name, '-') + 1, name->identity_sha256, 8);
		source_name_free(name);
	}
}

static void the_base_name_is_decoded_or_replaced_when_it_is_no_file_name(void **context)
{
	static const struct {
		const char *source;
		const char *basename;
	} cases[] = {
	        {"http://h/a/disk.raw", "disk.raw"},
	        {"http://h/a/disk%20one.raw", "disk one.raw"},
	        {"http://h/a/100%25", "100%"},
	        {"http://h/a/100%", "100%"},
	        {"http://h/a/%zz%4", "%zz%4"},
	        {"http://h/a/%41%62", "Ab"},
	        {"http://h/a/%c3%a4", "\xc3\xa4"},
	        {"http://h/a/d.raw?x=/y", "d.raw"},
	        {"http://h/a/d.raw;v=1", "d.raw;v=1"},
	        {"http://h", "disk.img"},
	        {"http://h/", "disk.img"},
	        {"http://h/a/", "disk.img"},
	        {"http://h/a/.", "disk.img"},
	        {"http://h/a/..", "disk.img"},
	        {"http://h/a/%2e%2E", "disk.img"},
	        {"http://h/a/...", "..."},
	        {"http://h/a/b%2fc", "disk.img"},
	        {"http://h/a/b%00c", "disk.img"},
	        {"http://h/a/b%0ac", "disk.img"},
	        {"http://h/a/b%7fc", "disk.img"},
	        {"/tmp/a%20b.raw", "a%20b.raw"},
	        {"file:///tmp/a%20b.raw", "a b.raw"},
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct source_name *name = parse(cases[i].source);

		assert_string_equal(name->basename, cases[i].basename);
		source_name_free(name);
	}
}

static void a_base_name_may_have_255_bytes_and_no_more(void **context)
{
	(void)context;
	for (int length = 255; length <= 256; length++) {
		char url[400];
		struct source_name *name;

		(void)snprintf(url, sizeof(url), "http://h/%0*d", length, 0);
		name = parse(url);
		assert_int_equal(strlen(name->basename), length == 255 ? 255 : strlen("disk.img"));
		source_name_free(name);
	}
}

static void paths_and_file_urls_of_one_file_are_one_source(void **context)
{
	char folder[] = "/tmp/clonefs-names-XXXXXX";
	char real[PATH_MAX];
	char file[PATH_MAX + 16], link_[PATH_MAX + 16], url[PATH_MAX + 64], identity[PATH_MAX + 64];
	const char *sources[5];

	(void)context;
	assert_non_null(mkdtemp(folder));
	assert_non_null(realpath(folder, real));
	(void)snprintf(file, sizeof(file), "%s/d.raw", real);
	(void)snprintf(link_, sizeof(link_), "%s/link", real);
	(void)snprintf(url, sizeof(url), "FILE://LocalHost%s/d%%2Eraw", real);
	(void)snprintf(identity, sizeof(identity), "file://%s", file);
	assert_int_equal(fclose(fopen(file, "w")), 0);
	assert_int_equal(symlink("d.raw", link_), 0);
	assert_int_equal(chdir(real), 0);
	sources[0] = file;
	sources[1] = "d.raw";
	sources[2] = "./link";
	sources[3] = url;
	sources[4] = "../.././//tmp/../proc/self/cwd/d.raw";
	for (size_t i = 0; i < NR(sources); i++) {
		struct source_name *name = parse(sources[i]);

		assert_int_equal(name->kind, SOURCE_KIND_FILE);
		assert_string_equal(name->fetch, file);
		assert_string_equal(name->shown, file);
		assert_string_equal(name->identity, identity);
		source_name_free(name);
	}
	assert_int_equal(unlink(file), 0);
	assert_int_equal(unlink(link_), 0);
	/* A complete clone is mounted without its source. */
	for (size_t i = 0; i < 2; i++) {
		struct source_name *name = parse(sources[i]);

		assert_string_equal(name->identity, identity);
		source_name_free(name);
	}
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void unusable_sources_are_refused_without_showing_a_secret(void **context)
{
	static const char *const cases[] = {
	        "",
	        "ftp://u:SECRET@h/d",
	        "s3://SECRET/d",
	        "http://",
	        "http:///d",
	        "http://u:SECRET@/d",
	        "http://u:SECRET@:80/d",
	        "http://h:SECRET/d",
	        "http://u:SEC/RET@h/d",
	        "http://h:0/d",
	        "http://h:65536/d",
	        "http://h:99999999999999999999/d",
	        "http://h:-1/d",
	        "http://[::1/d",
	        "http://[]/d",
	        "http://[::1]SECRET/d",
	        "http://[g::]/d",
	        "http://a b/d?SECRET",
	        "http://h/d?SECRET\n",
	        "http://h/\x7f?SECRET",
	        "http://h\\SECRET/d",
	        "http://h|SECRET/d",
	        "file://h/d",
	        "file://u:SECRET@h/d",
	        "file://",
	        "file:///a%00b",
	};

	(void)context;
	for (size_t i = 0; i < NR(cases); i++) {
		struct source_name *name = NULL;
		struct cf_error err = {0};

		assert_int_equal(source_name_parse(cases[i], &name, &err), -EINVAL);
		assert_null(name);
		assert_int_equal(err.code, -EINVAL);
		assert_true(strlen(err.text) > 10);
		assert_null(strstr(err.text, "SEC"));
	}
}

static void clone_names_have_their_letters_and_length(void **context)
{
	static const char *const good[] = {"a", "A.b_c+d-9", "-", "_", "+", "a.."};
	static const char *const bad[] = {"", ".", ".a", "a/b", "a b", "\xc3\xa4", "a\n", "a:b"};
	char longest[66];

	(void)context;
	for (size_t i = 0; i < NR(good); i++)
		assert_true(clone_name_is_valid(good[i]));
	for (size_t i = 0; i < NR(bad); i++)
		assert_false(clone_name_is_valid(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[64] = 0;
	assert_true(clone_name_is_valid(longest));
	longest[64] = 'a';
	longest[65] = 0;
	assert_false(clone_name_is_valid(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(urls_are_shown_without_secrets_and_identified_without_signatures),
	        cmocka_unit_test(
	                a_name_is_the_sanitised_last_element_and_eight_digits_of_the_digest),
	        cmocka_unit_test(the_base_name_is_decoded_or_replaced_when_it_is_no_file_name),
	        cmocka_unit_test(a_base_name_may_have_255_bytes_and_no_more),
	        cmocka_unit_test(paths_and_file_urls_of_one_file_are_one_source),
	        cmocka_unit_test(unusable_sources_are_refused_without_showing_a_secret),
	        cmocka_unit_test(clone_names_have_their_letters_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
