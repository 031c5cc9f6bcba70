#include <jansson.h>
#include <stdio.h>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/output.h"

static enum exit_status run_dmsetup(const struct arguments *args)
{
	json_t *body = json_pack("{s:b}", "noflush", args->noflush);
	json_t *object;
	const char *line;
	enum exit_status status = EXIT_STATUS_FAILED;

	if (body)
		status = call_target(target_word(args), "/v1/dmsetup", body, &object);
	else
		output_error("no memory");
	json_decref(body);
	if (status != EXIT_STATUS_DONE)
		return status;
	line = json_string_value(json_object_get(object, "line"));
	if (!line) {
		output_error("the clone's answer has no line");
		status = EXIT_STATUS_FAILED;
	} else if (args->json) {
		output_json(object);
	} else {
		(void)printf("%s\n", line);
	}
	json_decref(object);
	return status;
}

const struct command command_dmsetup = {
        .name = "dmsetup",
        .usage = "[TARGET] [--noflush] [--json]",
        .summary = "Show a clone as `dmsetup status` shows one of dm-clone",
        .help = "Commits first, so that the counts are those on disk; with --noflush it does "
                "not.\n",
        .options = OPTION_JSON | OPTION_NOFLUSH,
        .max_words = 1,
        .run = run_dmsetup,
};
