#include <jansson.h>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/output.h"

static enum exit_status run_status(const struct arguments *args)
{
	struct control_status status;
	struct cf_error err;
	json_t *object;
	enum exit_status result = call_target(target_word(args), "/v1/status", NULL, &object);

	if (result != EXIT_STATUS_DONE)
		return result;
	if (control_status_from_json(object, &status, &err) < 0) {
		output_error("%s", err.text);
		result = EXIT_STATUS_FAILED;
	} else {
		if (args->json)
			output_json(object);
		else
			output_status(stdout, &status);
		control_status_fini(&status);
	}
	json_decref(object);
	return result;
}

const struct command command_status = {
        .name = "status",
        .usage = "[TARGET] [--json]",
        .summary = "Show all about one clone",
        .help = "It never waits for a disk or the source. The fields of --json are in "
                "clonectl(1).\n",
        .options = OPTION_JSON,
        .max_words = 1,
        .run = run_status,
};
