/* pause, resume and flush: one request without fields, answered with the status. */
#include <jansson.h>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/output.h"

static enum exit_status post(const struct arguments *args, const char *path)
{
	json_t *body = json_object();
	json_t *object;
	enum exit_status status = EXIT_STATUS_FAILED;

	if (body)
		status = call_target(target_word(args), path, body, &object);
	else
		output_error("no memory");
	if (status == EXIT_STATUS_DONE) {
		if (args->json)
			output_json(object);
		json_decref(object);
	}
	json_decref(body);
	return status;
}

static enum exit_status run_pause(const struct arguments *args)
{
	return post(args, "/v1/pause");
}

static enum exit_status run_resume(const struct arguments *args)
{
	return post(args, "/v1/resume");
}

static enum exit_status run_flush(const struct arguments *args)
{
	return post(args, "/v1/flush");
}

const struct command command_pause = {
        .name = "pause",
        .usage = "[TARGET] [--json]",
        .summary = "Stop background hydration and wait until no request of it is in flight",
        .help = "What somebody reads is still fetched. A pause ends with resume or the mount.\n",
        .options = OPTION_JSON,
        .max_words = 1,
        .run = run_pause,
};

const struct command command_resume = {
        .name = "resume",
        .usage = "[TARGET] [--json]",
        .summary = "Go on with background hydration",
        .help = "A source that was away or changed is looked at again at once.\n",
        .options = OPTION_JSON,
        .max_words = 1,
        .run = run_resume,
};

const struct command command_flush = {
        .name = "flush",
        .usage = "[TARGET] [--json]",
        .summary = "Bring all that was written and hydrated so far to stable storage",
        .help = "",
        .options = OPTION_JSON,
        .max_words = 1,
        .run = run_flush,
};
