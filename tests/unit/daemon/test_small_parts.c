#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/argv_hide.h"
#include "daemon/image_kind.h"

static void secrets_leave_argv(void **state)
{
	char program[] = "mount.clonefs";
	char source[] = "http://user:pw@h/a?token=1";
	char other[] = "/mnt";
	char *argv[] = {program, source, other, NULL};

	(void)state;
	argv_hide(3, argv, "http://user:pw@h/a?token=1", "http://h/a?...");
	assert_string_equal(argv[1], "http://h/a?...            ");
	assert_string_equal(argv[2], "/mnt");
	assert_string_equal(argv[0], "mount.clonefs");
}

static void a_longer_shown_form_is_cut(void **state)
{
	char program[] = "mount.clonefs";
	char source[] = "a?b";
	char *argv[] = {program, source, NULL};

	(void)state;
	argv_hide(2, argv, "a?b", "/cwd/a?b");
	assert_string_equal(argv[1], "/cw");
}

static void a_login_for_the_proxy_leaves_argv(void **state)
{
	static const struct {
		const char *word, *left;
	} cases[] = {
	        {"ro,proxy=http://u:pw@h,raw", "ro,proxy=*****************"},
	        {"-oproxy=\"http://u:p,w@h\"", "-oproxy=****************"},
	        {"proxy=http://h:3128,raw", "proxy=http://h:3128,raw"},
	        {"proxy=a@b,proxy=c", "proxy=***********"},
	        {"comment=me@home", "comment=me@home"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char program[] = "mount.clonefs";
		char word[64];
		char *argv[] = {program, word, NULL};

		(void)snprintf(word, sizeof(word), "%s", cases[i].word);
		argv_hide_proxy(2, argv);
		assert_string_equal(word, cases[i].left);
	}
}

static void containers_are_recognised(void **state)
{
	static const struct {
		const char *head;
		size_t length;
		const char *kind;
	} cases[] = {
	        {"QFI\xfb\0\0\0\3", 8, "qcow2"},
	        {"KDMV\1", 5, "VMDK"},
	        {"# Disk DescriptorFile\n", 22, "VMDK"},
	        {"vhdxfile", 8, "VHDX"},
	        {"\x1f\x8b\x08\0", 4, "gzip"},
	        {"\xfd"
	         "7zXZ\0",
	         6, "xz"},
	        {"\x28\xb5\x2f\xfd", 4, "zstd"},
	        {"\xeb\x63\x90", 3, NULL},
	        {"QFI", 3, NULL},
	        {"", 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *kind = image_kind_find(cases[i].head, cases[i].length);

		if (cases[i].kind)
			assert_string_equal(kind, cases[i].kind);
		else
			assert_null(kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(secrets_leave_argv),
	        cmocka_unit_test(a_login_for_the_proxy_leaves_argv),
	        cmocka_unit_test(a_longer_shown_form_is_cut),
	        cmocka_unit_test(containers_are_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
