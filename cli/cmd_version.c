#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"

static enum exit_status run_version(const struct arguments *args)
{
	json_t *object;

	if (!args->json) {
		(void)printf("clonectl %s\n", CLONEFS_VERSION);
		return EXIT_STATUS_DONE;
	}
	object = json_pack("{s:s, s:i}", "version", CLONEFS_VERSION, "api_version",
	                   CONTROL_API_VERSION);
	if (!object) {
		output_error("no memory");
		return EXIT_STATUS_FAILED;
	}
	output_json(object);
	json_decref(object);
	return EXIT_STATUS_DONE;
}

const struct command command_version = {
        .name = "version",
        .usage = "[--json]",
        .summary = "Show the version of clonectl",
        .help = "",
        .options = OPTION_JSON,
        .run = run_version,
};
