/*
 * One table says which -o options there are. Each has a function that stores its value; options
 * that `clonectl set` knows too are in core/control/settings and only found there.
 */
#include "daemon/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/geometry.h"
#include "core/base/units.h"
#include "core/state/names.h"
#include "core/state/paths.h"
#include "core/state/sha256.h"
#include "core/state/url.h"
#include "daemon/option_string.h"

struct option_spec;
typedef int option_store_fn(struct options *o, const struct option_spec *spec, const char *value,
                            struct cf_error *err);

enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL };

struct option_spec {
	const char *name;
	enum option_value value;
	option_store_fn *store; /* NULL: taken and ignored */
	size_t offset;          /* of the field it fills, where one function serves several */
};

static int store_flag(struct options *o, const struct option_spec *spec, const char *value,
                      struct cf_error *err)
{
	(void)value;
	(void)err;
	*(bool *)(void *)((char *)o + spec->offset) = true;
	return 0;
}

/* Puts @text (taken over, may be NULL) in place of the string at @offset. */
static int replace_string(struct options *o, size_t offset, char *text, struct cf_error *err)
{
	char **field = (char **)(void *)((char *)o + offset);

	if (!text)
		return cf_error_set(err, -ENOMEM, "out of memory");
	free(*field);
	*field = text;
	return 0;
}

static int store_path(struct options *o, const struct option_spec *spec, const char *value,
                      struct cf_error *err)
{
	char *path = NULL;
	int r;

	if (!*value)
		return cf_error_set(err, -EINVAL, "option %s: expected a path, found nothing",
		                    spec->name);
	r = path_absolute(value, &path);
	if (r < 0)
		return cf_error_errno(err, r, "option %s: cannot make '%s' absolute", spec->name,
		                      value);
	return replace_string(o, spec->offset, path, err);
}

static int store_optional_path(struct options *o, const struct option_spec *spec, const char *value,
                               struct cf_error *err)
{
	return value ? store_path(o, spec, value, err)
	             : replace_string(o, spec->offset, strdup(""), err);
}

/* May hold secrets: no sentence shows it. */
static int store_text(struct options *o, const struct option_spec *spec, const char *value,
                      struct cf_error *err)
{
	return replace_string(o, spec->offset, strdup(value), err);
}

static int store_identity(struct options *o, const struct option_spec *spec, const char *value,
                          struct cf_error *err)
{
	o->identity_is_size = strcmp(value, "size") == 0;
	if (o->identity_is_size || strcmp(value, "strict") == 0)
		return 0;
	return cf_error_set(err, -EINVAL, "option %s: expected strict or size, found '%s'",
	                    spec->name, value);
}

static int store_name(struct options *o, const struct option_spec *spec, const char *value,
                      struct cf_error *err)
{
	if (!clone_name_is_valid(value))
		return cf_error_set(err, -EINVAL,
		                    "option name: expected 1 to 64 of A-Z a-z 0-9 . _ + - and no "
		                    "leading dot, found '%s'",
		                    value);
	return replace_string(o, spec->offset, strdup(value), err);
}

static int store_region_size(struct options *o, const struct option_spec *spec, const char *value,
                             struct cf_error *err)
{
	uint64_t size;

	if (parse_size(value, &size) < 0 || !region_size_is_valid(size))
		return cf_error_set(err, -EINVAL,
		                    "option %s: expected a power of two from 4K to 1G, found '%s'",
		                    spec->name, value);
	o->region_size = size;
	return 0;
}

static int store_sha256(struct options *o, const struct option_spec *spec, const char *value,
                        struct cf_error *err)
{
	char *hex;

	if (strlen(value) != SHA256_HEX_LENGTH ||
	    strspn(value, "0123456789abcdefABCDEF") != SHA256_HEX_LENGTH)
		return cf_error_set(err, -EINVAL, "option %s: expected %d hex digits, found '%s'",
		                    spec->name, SHA256_HEX_LENGTH, value);
	hex = strdup(value);
	for (char *c = hex; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return replace_string(o, offsetof(struct options, sha256), hex, err);
}

static int store_on_mismatch(struct options *o, const struct option_spec *spec, const char *value,
                             struct cf_error *err)
{
	if (strcmp(value, "report") != 0 && strcmp(value, "fail") != 0)
		return cf_error_set(err, -EINVAL, "option %s: expected report or fail, found '%s'",
		                    spec->name, value);
	o->mismatch_fails = strcmp(value, "fail") == 0;
	return 0;
}

/* The largest id is (uid_t)-1, which means "none". */
static int parse_id(const struct option_spec *spec, const char *value, uint32_t *ret_id,
                    struct cf_error *err)
{
	uint64_t id;

	if (parse_uint(value, UINT32_MAX - 1, &id) < 0)
		return cf_error_set(err, -EINVAL,
		                    "option %s: expected a number from 0 to 4294967294, found '%s'",
		                    spec->name, value);
	*ret_id = (uint32_t)id;
	return 0;
}

static int store_uid(struct options *o, const struct option_spec *spec, const char *value,
                     struct cf_error *err)
{
	int r = parse_id(spec, value, &o->uid, err);

	o->uid_given = o->uid_given || r == 0;
	return r;
}

static int store_gid(struct options *o, const struct option_spec *spec, const char *value,
                     struct cf_error *err)
{
	int r = parse_id(spec, value, &o->gid, err);

	o->gid_given = o->gid_given || r == 0;
	return r;
}

static int store_mode(struct options *o, const struct option_spec *spec, const char *value,
                      struct cf_error *err)
{
	uint32_t mode;

	if (parse_octal(value, 0777, &mode) < 0)
		return cf_error_set(err, -EINVAL,
		                    "option %s: expected an octal mode from 0 to 777, found '%s'",
		                    spec->name, value);
	o->mode = mode;
	o->mode_given = true;
	return 0;
}

static int store_kernel(struct options *o, const struct option_spec *spec, const char *value,
                        struct cf_error *err)
{
	const char *before = o->kernel_options;
	char *joined;

	(void)value;
	if (asprintf(&joined, "%s%s%s", before ? before : "", before ? "," : "", spec->name) < 0)
		joined = NULL;
	return replace_string(o, offsetof(struct options, kernel_options), joined, err);
}

/* ro and rw reach the kernel as one word at mount, from what the last of them said. */
static int store_ro(struct options *o, const struct option_spec *spec, const char *value,
                    struct cf_error *err)
{
	(void)value;
	(void)err;
	o->read_only = strcmp(spec->name, "ro") == 0;
	return 0;
}

static int refuse_remount(struct options *o, const struct option_spec *spec, const char *value,
                          struct cf_error *err)
{
	(void)o;
	(void)value;
	return cf_error_set(err, -EOPNOTSUPP,
	                    "option %s: a mounted clone cannot be mounted again with other "
	                    "options; unmount it first",
	                    spec->name);
}

#define FIELD(name) offsetof(struct options, name)

static const struct option_spec option_specs[] = {
        {"name", VALUE_NEEDED, store_name, FIELD(name)},
        {"state_dir", VALUE_NEEDED, store_path, FIELD(state_dir)},
        {"dest", VALUE_NEEDED, store_path, FIELD(dest)},
        {"metadata", VALUE_NEEDED, store_path, FIELD(metadata)},
        {"cacert", VALUE_NEEDED, store_path, FIELD(cacert)},
        {"user_file", VALUE_NEEDED, store_path, FIELD(user_file)},
        {"netrc", VALUE_OPTIONAL, store_optional_path, FIELD(netrc)},
        {"header_file", VALUE_NEEDED, store_path, FIELD(header_file)},
        {"cert", VALUE_NEEDED, store_path, FIELD(cert)},
        {"key", VALUE_NEEDED, store_path, FIELD(key)},
        {"proxy", VALUE_NEEDED, store_text, FIELD(proxy)},
        {"insecure_redirect", VALUE_NONE, store_flag, FIELD(insecure_redirect)},
        {"identity", VALUE_NEEDED, store_identity, 0},
        {"relocate", VALUE_NONE, store_flag, FIELD(relocate)},
        {"region_size", VALUE_NEEDED, store_region_size, 0},
        {"no_hydration", VALUE_NONE, store_flag, FIELD(no_hydration)},
        {"no_discard_passdown", VALUE_NONE, store_flag, FIELD(no_discard_passdown)},
        {"allow_other", VALUE_NONE, store_flag, FIELD(allow_other)},
        {"offline", VALUE_NONE, store_flag, FIELD(offline)},
        {"overwrite_dest", VALUE_NONE, store_flag, FIELD(overwrite_dest)},
        {"raw", VALUE_NONE, store_flag, FIELD(raw)},
        {"sha256", VALUE_NEEDED, store_sha256, 0},
        {"on_mismatch", VALUE_NEEDED, store_on_mismatch, 0},
        {"uid", VALUE_NEEDED, store_uid, 0},
        {"gid", VALUE_NEEDED, store_gid, 0},
        {"mode", VALUE_NEEDED, store_mode, 0},
        {"ro", VALUE_NONE, store_ro, 0},
        {"rw", VALUE_NONE, store_ro, 0},
        {"nosuid", VALUE_NONE, store_kernel, 0},
        {"nodev", VALUE_NONE, store_kernel, 0},
        {"noexec", VALUE_NONE, store_kernel, 0},
        {"suid", VALUE_NONE, store_kernel, 0},
        {"dev", VALUE_NONE, store_kernel, 0},
        {"exec", VALUE_NONE, store_kernel, 0},
        {"atime", VALUE_NONE, store_kernel, 0},
        {"noatime", VALUE_NONE, store_kernel, 0},
        {"sync", VALUE_NONE, store_kernel, 0},
        {"dirsync", VALUE_NONE, store_kernel, 0},
        /* The kernel's default, for which libfuse has no word. */
        {"relatime", VALUE_NONE, NULL, 0},
        {"remount", VALUE_NONE, refuse_remount, 0},
        {"defaults", VALUE_NONE, NULL, 0},
        {"auto", VALUE_NONE, NULL, 0},
        {"noauto", VALUE_NONE, NULL, 0},
        /* mount(8) hands on who mounted, as user=NAME. */
        {"user", VALUE_OPTIONAL, NULL, 0},
        {"nouser", VALUE_NONE, NULL, 0},
        {"users", VALUE_NONE, NULL, 0},
        {"owner", VALUE_NONE, NULL, 0},
        {"group", VALUE_NONE, NULL, 0},
        {"nofail", VALUE_NONE, NULL, 0},
        {"_netdev", VALUE_NONE, NULL, 0},
        {"comment", VALUE_NEEDED, NULL, 0},
};

static const struct option_spec *find_spec(const char *name)
{
	for (size_t i = 0; i < sizeof(option_specs) / sizeof(option_specs[0]); i++)
		if (strcmp(option_specs[i].name, name) == 0)
			return &option_specs[i];
	return NULL;
}

static bool is_ignored_prefix(const char *name)
{
	return strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0;
}

static int add_warning(struct options *o, const char *name, struct cf_error *err)
{
	char **grown = realloc(o->warnings, (o->nr_warnings + 1) * sizeof(*grown));

	if (!grown)
		return cf_error_set(err, -ENOMEM, "out of memory");
	o->warnings = grown;
	if (asprintf(&grown[o->nr_warnings], "unknown option '%s', ignoring it", name) < 0)
		return cf_error_set(err, -ENOMEM, "out of memory");
	o->nr_warnings++;
	return 0;
}

static int store_word(struct options *o, const struct option_word *word, struct cf_error *err)
{
	const struct option_spec *spec = find_spec(word->name);
	enum setting setting;

	if (!spec && setting_find(word->name, &setting)) {
		if (!word->value)
			return cf_error_set(err, -EINVAL, "option %s needs a value", word->name);
		return settings_patch_add(&o->settings, word->name, word->value, err);
	}
	if (!spec && is_ignored_prefix(word->name))
		return 0;
	if (!spec && o->sloppy)
		return add_warning(o, word->name, err);
	if (!spec)
		return cf_error_set(err, -EINVAL, "unknown option '%s'", word->name);
	if (spec->value == VALUE_NEEDED && !word->value)
		return cf_error_set(err, -EINVAL, "option %s needs a value", word->name);
	if (spec->value == VALUE_NONE && word->value)
		return cf_error_set(err, -EINVAL, "option %s takes no value", word->name);
	return spec->store ? spec->store(o, spec, word->value, err) : 0;
}

static int store_string(struct options *o, const char *text, struct cf_error *err)
{
	struct option_word word;
	int r;

	while ((r = option_string_next(&text, &word, err)) > 0) {
		r = store_word(o, &word, err);
		option_word_fini(&word);
		if (r < 0)
			return r;
	}
	return r;
}

/* A path counts from the folder we were called in, which the daemon leaves. */
static int store_source(struct options *o, const char *text, struct cf_error *err)
{
	char *path = NULL;
	int r;

	if (!*text || url_scheme_length(text))
		return replace_string(o, FIELD(source), strdup(text), err);
	r = path_absolute(text, &path);
	if (r < 0)
		return cf_error_errno(err, r, "cannot make the path of the source absolute");
	return replace_string(o, FIELD(source), path, err);
}

static int store_argument(struct options *o, const char *text, struct cf_error *err)
{
	int r;

	if (!o->source)
		return store_source(o, text, err);
	if (o->mountpoint)
		return cf_error_set(err, -EINVAL,
		                    "expected SOURCE and MOUNTPOINT, found more arguments");
	if (!*text)
		return cf_error_set(err, -EINVAL, "MOUNTPOINT is an empty word");
	r = path_absolute(text, &o->mountpoint);
	return r < 0 ? cf_error_errno(err, r, "cannot make the mountpoint '%s' absolute", text) : 0;
}

/* A leading '-': arguments come in their place as option 1, whatever POSIXLY_CORRECT says. A ':'
 * behind it: a missing value is told apart from an unknown letter. */
static const char short_options[] = "-:fnsvrwhVFo:t:N:";
static const struct option long_options[] = {
        {"foreground", no_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

static int store_letter(struct options *o, int letter, char *const argv[], struct cf_error *err)
{
	switch (letter) {
	case 1:
		return store_argument(o, optarg, err);
	case 'o':
		return store_string(o, optarg, err);
	case 'r':
		return store_string(o, "ro", err);
	case 'w':
		return store_string(o, "rw", err);
	case 'f':
		o->fake = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'F':
		o->foreground = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case 's':
	case 'n':
	case 't':
	case 'N':
		return 0;
	case ':':
		return cf_error_set(err, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
	default:
		if (optopt)
			return cf_error_set(err, -EINVAL, "unknown option '-%c'", optopt);
		return cf_error_set(err, -EINVAL, "unknown option '%s'", argv[optind - 1]);
	}
}

/* -s counts for every -o, also for those in front of it. */
static bool find_sloppy(int argc, char *const argv[])
{
	bool sloppy = false;
	int letter;

	optind = 0;
	while ((letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1)
		sloppy = sloppy || letter == 's';
	return sloppy;
}

/* What follows "--" is all arguments. */
static int store_letters(struct options *o, int argc, char *const argv[], struct cf_error *err)
{
	int letter;
	int r = 0;

	opterr = 0;
	o->sloppy = find_sloppy(argc, argv);
	optind = 0;
	while (r == 0 &&
	       (letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1)
		r = store_letter(o, letter, argv, err);
	for (int i = optind; r == 0 && i < argc; i++)
		r = store_argument(o, argv[i], err);
	return r;
}

static int check_combinations(const struct options *o, struct cf_error *err)
{
	if (o->relocate && !o->name && !o->state_dir)
		return cf_error_set(err, -EINVAL,
		                    "option relocate: which clone is meant? The new URL does not "
		                    "say: give name= or state_dir= too");
	if (o->key && !o->cert)
		return cf_error_set(err, -EINVAL, "option key needs cert= too");
	return 0;
}

int options_parse(int argc, char *const argv[], struct options *ret_options, struct cf_error *err)
{
	struct options *o = ret_options;
	int r;

	*o = (struct options){.source = NULL};
	r = store_letters(o, argc, argv, err);
	if (r < 0)
		return r;
	if (o->help || o->version)
		return 0;
	if (!o->source || !*o->source)
		return cf_error_set(err, -EINVAL, "SOURCE and MOUNTPOINT are missing (see -h)");
	if (!o->mountpoint)
		return cf_error_set(err, -EINVAL, "MOUNTPOINT is missing (see -h)");
	return check_combinations(o, err);
}

void options_fini(struct options *options)
{
	free(options->source);
	free(options->mountpoint);
	free(options->name);
	free(options->state_dir);
	free(options->dest);
	free(options->metadata);
	free(options->cacert);
	free(options->user_file);
	free(options->header_file);
	free(options->cert);
	free(options->key);
	free(options->netrc);
	free(options->proxy);
	free(options->sha256);
	free(options->kernel_options);
	for (size_t i = 0; i < options->nr_warnings; i++)
		free(options->warnings[i]);
	free(options->warnings);
	*options = (struct options){.source = NULL};
}

const char *options_usage(void)
{
	return "usage: mount.clonefs [-fnsvrwhVF] [-o OPTION[,OPTION...]]... SOURCE MOUNTPOINT\n"
	       "\n"
	       "Exposes the disk image SOURCE (a path, file://, http:// or https://) as a file\n"
	       "below MOUNTPOINT, at once; its bytes arrive when they are read and in the\n"
	       "background, and are kept.\n"
	       "\n"
	       "  -o OPTIONS        see mount.clonefs(8)\n"
	       "  -r, -w            as -o ro and -o rw\n"
	       "  -f                check everything, mount nothing\n"
	       "  -s                unknown -o options are only warned about\n"
	       "  -v                say more\n"
	       "  -F, --foreground  stay in the foreground\n"
	       "  -h, --help        this text\n"
	       "  -V, --version     the version\n"
	       "  -n, -t, -N        taken and ignored\n"
	       "\n"
	       "Exit status: 0 the image can be read, 1 failed, 2 wrong usage.\n";
}
