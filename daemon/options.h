/*
 * What the command line of mount.clonefs (clonefsd) asks for: argv and the -o strings as one
 * structure. No side effects: nothing is opened, printed or contacted; paths are made absolute
 * against the folder that was current when options_parse() was called.
 */
#ifndef CLONEFS_DAEMON_OPTIONS_H
#define CLONEFS_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/control/settings.h"

struct options {
	/* all strings are owned by this structure; NULL: not given */
	char *source;     /* as given, may hold secrets; a path: absolute */
	char *mountpoint; /* absolute */

	bool help;
	bool version;
	bool fake;       /* -f: check everything, mount nothing */
	bool sloppy;     /* -s: unknown -o options are warnings */
	bool verbose;    /* -v */
	bool foreground; /* -F */

	char *name;
	char *state_dir; /* absolute, like the next three */
	char *dest;
	char *metadata;
	char *cacert;
	char *user_file; /* absolute, like the next four */
	char *header_file;
	char *cert;
	char *key;
	char *netrc; /* "": given without a path */
	char *proxy; /* URL, may hold secrets; "": none */
	bool relocate;
	bool identity_is_size; /* identity=size */
	bool insecure_redirect;
	uint64_t region_size; /* bytes; 0: not given */
	bool read_only;
	bool no_hydration;
	bool no_discard_passdown;
	bool allow_other;
	bool offline;
	bool overwrite_dest;
	bool raw;
	char *sha256;        /* 64 lower-case hex digits; NULL: not given */
	bool mismatch_fails; /* on_mismatch=fail */
	struct settings_patch settings;

	bool uid_given;
	bool gid_given;
	bool mode_given;
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits */

	char *kernel_options; /* for the kernel, separated by commas, in their order; NULL: none */

	char **warnings; /* sentences about options that are passed over */
	size_t nr_warnings;
};

/*
 * Fills *@ret_options. -EINVAL, -ERANGE: wrong usage (unknown option, value out of its range,
 * SOURCE or MOUNTPOINT missing); -EOPNOTSUPP: understood and refused (remount); -ENOMEM. @err has
 * the sentence; it shows no part of SOURCE. *@ret_options needs options_fini() in any case.
 */
int options_parse(int argc, char *const argv[], struct options *ret_options, struct cf_error *err);

/* Frees what options_parse() allocated. */
void options_fini(struct options *options);

/* The usage text, for -h. */
const char *options_usage(void);

#endif
