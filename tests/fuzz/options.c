/* The command line of mount.clonefs: the input's lines are its arguments. */
#include "daemon/options.h"
#include "tests/fuzz/fuzz.h"

#define MAX_ARGS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	char program[] = "mount.clonefs";
	char *argv[MAX_ARGS + 2] = {program};
	struct options options;
	struct cf_error err = {0};
	int argc = 1;
	int r;

	for (char *at = text; at && argc <= MAX_ARGS;) {
		argv[argc++] = strsep(&at, "\n");
	}
	r = options_parse(argc, argv, &options, &err);
	MUST(r <= 0);
	if (r < 0)
		MUST(err.text[0]);
	if (r == 0 && !options.help && !options.version)
		MUST(options.source && options.mountpoint && options.mountpoint[0] == '/');
	options_fini(&options);
	free(text);
	return 0;
}
