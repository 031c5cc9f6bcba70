#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/options.h"

#define MAX_WORDS 16

/* Parses the words of @line, which are separated by spaces. */
static int parse_line(const char *line, struct options *o, struct cf_error *err)
{
	char *copy = strdup(line);
	char *argv[MAX_WORDS + 2] = {NULL};
	char program[] = "mount.clonefs";
	int argc = 0;
	int r;

	argv[argc++] = program;
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc <= MAX_WORDS);
		argv[argc++] = word;
	}
	r = options_parse(argc, argv, o, err);
	free(copy);
	return r;
}

/* Parses "-o @string /src /mnt", which must be right. */
static struct options parse_string(const char *string)
{
	struct options o;
	struct cf_error err = {0};
	char line[512];

	snprintf(line, sizeof(line), "-o %s /src /mnt", string);
	if (parse_line(line, &o, &err) != 0)
		fail_msg("%s: %s", string, err.text);
	return o;
}

static void nothing_but_source_and_mountpoint_gives_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse_line("http://h/disk.raw /mnt", &o, NULL), 0);
	assert_string_equal(o.source, "http://h/disk.raw");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_null(o.name);
	assert_null(o.state_dir);
	assert_null(o.kernel_options);
	assert_int_equal(o.region_size, 0);
	assert_false(o.read_only || o.no_hydration || o.no_discard_passdown || o.allow_other);
	assert_false(o.offline || o.overwrite_dest || o.raw || o.fake || o.foreground || o.verbose);
	assert_false(o.uid_given || o.gid_given || o.mode_given);
	for (int i = 0; i < NR_SETTINGS; i++)
		assert_false(o.settings.given[i]);
	assert_int_equal(o.nr_warnings, 0);
	options_fini(&o);
}

static void paths_are_made_absolute_and_urls_are_left(void **state)
{
	struct options o;
	char cwd[4096];
	char expected[4200];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(
	        parse_line("-o state_dir=s,dest=./d,metadata=/m,cacert=c src mnt", &o, NULL), 0);
	snprintf(expected, sizeof(expected), "%s/src", cwd);
	assert_string_equal(o.source, expected);
	snprintf(expected, sizeof(expected), "%s/mnt", cwd);
	assert_string_equal(o.mountpoint, expected);
	snprintf(expected, sizeof(expected), "%s/s", cwd);
	assert_string_equal(o.state_dir, expected);
	snprintf(expected, sizeof(expected), "%s/d", cwd);
	assert_string_equal(o.dest, expected);
	assert_string_equal(o.metadata, "/m");
	snprintf(expected, sizeof(expected), "%s/c", cwd);
	assert_string_equal(o.cacert, expected);
	options_fini(&o);
	assert_int_equal(parse_line("https://host/./a mnt", &o, NULL), 0);
	assert_string_equal(o.source, "https://host/./a");
	options_fini(&o);
}

static void flags_are_set_one_by_one(void **state)
{
	static const struct {
		const char *name;
		size_t offset;
	} flags[] = {
	        {"ro", offsetof(struct options, read_only)},
	        {"no_hydration", offsetof(struct options, no_hydration)},
	        {"no_discard_passdown", offsetof(struct options, no_discard_passdown)},
	        {"allow_other", offsetof(struct options, allow_other)},
	        {"offline", offsetof(struct options, offline)},
	        {"overwrite_dest", offsetof(struct options, overwrite_dest)},
	        {"raw", offsetof(struct options, raw)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct options o = parse_string(flags[i].name);

		for (size_t j = 0; j < sizeof(flags) / sizeof(flags[0]); j++)
			assert_int_equal(*(bool *)((char *)&o + flags[j].offset), i == j);
		options_fini(&o);
	}
}

static void a_digest_is_kept_in_lower_case(void **state)
{
	static const char hex[] =
	        "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD";
	static const char *const refused[] = {
	        "sha256=", "sha256=0123456789abcdef",
	        "sha256=0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCDE",
	        "sha256=0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCg",
	        "on_mismatch=ignore"};
	char text[128];
	struct options o;

	(void)state;
	(void)snprintf(text, sizeof(text), "sha256=%s,on_mismatch=fail", hex);
	o = parse_string(text);
	assert_int_equal(strcasecmp(o.sha256, hex), 0);
	assert_int_equal(strcspn(o.sha256, "ABCDEF"), 64);
	assert_true(o.mismatch_fails);
	options_fini(&o);
	o = parse_string("on_mismatch=fail,on_mismatch=report");
	assert_null(o.sha256);
	assert_false(o.mismatch_fails);
	options_fini(&o);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		(void)snprintf(text, sizeof(text), "-o %s src mnt", refused[i]);
		assert_int_equal(parse_line(text, &o, NULL), -EINVAL);
		options_fini(&o);
	}
}

static void values_are_stored(void **state)
{
	struct options o = parse_string("name=web-1,region_size=1M,uid=7,gid=8,mode=0640");

	(void)state;
	assert_string_equal(o.name, "web-1");
	assert_int_equal(o.region_size, 1 << 20);
	assert_true(o.uid_given && o.gid_given && o.mode_given);
	assert_int_equal(o.uid, 7);
	assert_int_equal(o.gid, 8);
	assert_int_equal(o.mode, 0640);
	options_fini(&o);
}

static void logins_and_identity_are_stored(void **state)
{
	struct options o = parse_string("user_file=/u,header_file=/h,cert=/c,key=/k,netrc,"
	                                "proxy=http://a:b@c,identity=size,relocate,name=x,"
	                                "insecure_redirect");

	(void)state;
	assert_string_equal(o.user_file, "/u");
	assert_string_equal(o.header_file, "/h");
	assert_string_equal(o.cert, "/c");
	assert_string_equal(o.key, "/k");
	assert_string_equal(o.netrc, "");
	assert_string_equal(o.proxy, "http://a:b@c");
	assert_true(o.identity_is_size && o.relocate && o.insecure_redirect);
	options_fini(&o);
	o = parse_string("netrc=/n,proxy=,identity=size,identity=strict");
	assert_string_equal(o.netrc, "/n");
	assert_string_equal(o.proxy, "");
	assert_false(o.identity_is_size || o.relocate || o.insecure_redirect);
	options_fini(&o);
}

static void every_live_setting_is_an_option(void **state)
{
	struct options o = parse_string("hydration_threshold=3,hydration_batch_size=4,"
	                                "background_rate=1M,max_connections=5,timeout=6s,"
	                                "stop_timeout=7s,on_source_error=wait:8s,log_level=debug");

	(void)state;
	for (int i = 0; i < NR_SETTINGS; i++)
		assert_true(o.settings.given[i]);
	assert_int_equal(o.settings.values.hydration_threshold, 3);
	assert_int_equal(o.settings.values.hydration_batch_size, 4);
	assert_int_equal(o.settings.values.background_rate, 1 << 20);
	assert_int_equal(o.settings.values.max_connections, 5);
	assert_int_equal(o.settings.values.timeout_ms, 6000);
	assert_int_equal(o.settings.values.stop_timeout_ms, 7000);
	assert_int_equal(o.settings.values.on_source_error, SETTINGS_ON_ERROR_WAIT_TIME);
	assert_int_equal(o.settings.values.wait_ms, 8000);
	assert_int_equal(o.settings.values.log_level, LOG_LEVEL_DEBUG);
	options_fini(&o);
}

static void a_later_option_wins(void **state)
{
	struct options o = parse_string("name=a,ro,timeout=1s,name=b,rw,timeout=2s -o name=c");

	(void)state;
	assert_string_equal(o.name, "c");
	assert_false(o.read_only);
	assert_int_equal(o.settings.values.timeout_ms, 2000);
	options_fini(&o);
	o = parse_string("rw -r");
	assert_true(o.read_only);
	options_fini(&o);
	o = parse_string("ro -w");
	assert_false(o.read_only);
	options_fini(&o);
}

static void the_kernels_options_keep_their_order(void **state)
{
	struct options o = parse_string("nosuid,nodev,name=x,noexec,suid,dev,exec,noatime,atime,"
	                                "relatime,sync,dirsync,ro");

	(void)state;
	assert_string_equal(o.kernel_options,
	                    "nosuid,nodev,noexec,suid,dev,exec,noatime,atime,sync,dirsync");
	options_fini(&o);
}

static void what_mount_adds_is_ignored(void **state)
{
	struct options o =
	        parse_string("defaults,auto,noauto,user,user=jane,nouser,users,owner,"
	                     "group,nofail,_netdev,comment=a,x-systemd.automount,X-foo=bar");

	(void)state;
	assert_int_equal(o.nr_warnings, 0);
	assert_null(o.kernel_options);
	options_fini(&o);
}

static void quotes_are_taken_off(void **state)
{
	struct options o = parse_string("dest=\"/a,b\",name=\"x\",metadata=/c\\,d");

	(void)state;
	assert_string_equal(o.dest, "/a,b");
	assert_string_equal(o.name, "x");
	assert_string_equal(o.metadata, "/c,d");
	options_fini(&o);
}

static void letters_may_come_anywhere(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse_line("/src /mnt -fsnv -N ns -t clonefs -oro", &o, NULL), 0);
	assert_true(o.fake && o.sloppy && o.verbose && o.read_only);
	options_fini(&o);
	assert_int_equal(parse_line("-F -- -src /mnt", &o, NULL), 0);
	assert_true(o.foreground);
	assert_string_equal(strrchr(o.source, '/'), "/-src");
	options_fini(&o);
	assert_int_equal(parse_line("--foreground /src /mnt", &o, NULL), 0);
	assert_true(o.foreground);
	options_fini(&o);
}

static void order_of_words_does_not_depend_on_the_environment(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(setenv("POSIXLY_CORRECT", "1", 1), 0);
	assert_int_equal(parse_line("/src /mnt -o ro", &o, NULL), 0);
	assert_int_equal(unsetenv("POSIXLY_CORRECT"), 0);
	assert_true(o.read_only);
	options_fini(&o);
}

static void help_and_version_need_no_arguments(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse_line("-h", &o, NULL), 0);
	assert_true(o.help);
	options_fini(&o);
	assert_int_equal(parse_line("--version", &o, NULL), 0);
	assert_true(o.version);
	options_fini(&o);
}

static void sloppy_warns_about_unknown_options_wherever_it_stands(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse_line("-o new=1,ro -s /src /mnt", &o, NULL), 0);
	assert_true(o.read_only);
	assert_int_equal(o.nr_warnings, 1);
	assert_non_null(strstr(o.warnings[0], "'new'"));
	options_fini(&o);
}

static void wrong_usage_is_refused(void **state)
{
	/* What is wrong, and a word that the sentence must have. */
	static const char *const lines[][2] = {
	        {"", "SOURCE"},
	        {"/src", "MOUNTPOINT"},
	        {"/src /mnt /third", "more"},
	        {"-x /src /mnt", "'-x'"},
	        {"--no-such /src /mnt", "'--no-such'"},
	        {"/src /mnt -o", "'-o'"},
	        {"-o unknown /src /mnt", "'unknown'"},
	        {"-o identity_size=1 /src /mnt", "'identity_size'"},
	        {"-o metrics=h:1 /src /mnt", "'metrics'"},
	        {"-o ro=1 /src /mnt", "ro"},
	        {"-o name /src /mnt", "name"},
	        {"-o name= /src /mnt", "name"},
	        {"-o name=.a /src /mnt", "name"},
	        {"-o name=a/b /src /mnt", "name"},
	        {"-o dest= /src /mnt", "dest"},
	        {"-o state_dir /src /mnt", "state_dir"},
	        {"-o region_size=3K /src /mnt", "region_size"},
	        {"-o region_size=2K /src /mnt", "region_size"},
	        {"-o region_size=2G /src /mnt", "region_size"},
	        {"-o region_size=x /src /mnt", "region_size"},
	        {"-o uid=-1 /src /mnt", "uid"},
	        {"-o uid=4294967295 /src /mnt", "uid"},
	        {"-o gid=root /src /mnt", "gid"},
	        {"-o key=/k /src /mnt", "cert="},
	        {"-o relocate /src /mnt", "name="},
	        {"-o identity=weak /src /mnt", "identity"},
	        {"-o user_file= /src /mnt", "user_file"},
	        {"-o netrc= /src /mnt", "netrc"},
	        {"-o header_file /src /mnt", "header_file"},
	        {"-o relocate=yes,name=x /src /mnt", "relocate"},
	        {"-o mode=8 /src /mnt", "mode"},
	        {"-o mode=4755 /src /mnt", "mode"},
	        {"-o timeout /src /mnt", "timeout"},
	        {"-o timeout=1x /src /mnt", "timeout"},
	        {"-o max_connections=0 /src /mnt", "max_connections"},
	        {"-o max_connections=257 /src /mnt", "max_connections"},
	        {"-o hydration_threshold=4294967296 /src /mnt", "hydration_threshold"},
	        {"-o on_source_error=never /src /mnt", "on_source_error"},
	        {"-o log_level=loud /src /mnt", "log_level"},
	        {"-o dest=\"/a /src /mnt", "dest"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct options o;
		struct cf_error err = {0};
		int r = parse_line(lines[i][0], &o, &err);

		options_fini(&o);
		if ((r != -EINVAL && r != -ERANGE) || !strstr(err.text, lines[i][1]))
			fail_msg("'%s': %d, '%s'", lines[i][0], r, err.text);
	}
}

static void a_remount_is_refused_though_understood(void **state)
{
	struct options o;
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(parse_line("-o remount,ro /src /mnt", &o, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "remount"));
	options_fini(&o);
}

static void sentences_show_no_source(void **state)
{
	struct options o;
	struct cf_error err = {0};

	(void)state;
	assert_int_equal(
	        parse_line("http://u:secret@h/a http://u:secret@h/b http://u:secret@h/c", &o, &err),
	        -EINVAL);
	assert_null(strstr(err.text, "secret"));
	options_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_but_source_and_mountpoint_gives_defaults),
	        cmocka_unit_test(paths_are_made_absolute_and_urls_are_left),
	        cmocka_unit_test(flags_are_set_one_by_one),
	        cmocka_unit_test(a_digest_is_kept_in_lower_case),
	        cmocka_unit_test(values_are_stored),
	        cmocka_unit_test(logins_and_identity_are_stored),
	        cmocka_unit_test(every_live_setting_is_an_option),
	        cmocka_unit_test(a_later_option_wins),
	        cmocka_unit_test(the_kernels_options_keep_their_order),
	        cmocka_unit_test(what_mount_adds_is_ignored),
	        cmocka_unit_test(quotes_are_taken_off),
	        cmocka_unit_test(letters_may_come_anywhere),
	        cmocka_unit_test(order_of_words_does_not_depend_on_the_environment),
	        cmocka_unit_test(help_and_version_need_no_arguments),
	        cmocka_unit_test(sloppy_warns_about_unknown_options_wherever_it_stands),
	        cmocka_unit_test(wrong_usage_is_refused),
	        cmocka_unit_test(a_remount_is_refused_though_understood),
	        cmocka_unit_test(sentences_show_no_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
