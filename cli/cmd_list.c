#include <jansson.h>
#include <stdlib.h>

#include "cli/call.h"
#include "cli/clones.h"
#include "cli/command.h"
#include "cli/output.h"

static enum exit_status print_json(const struct clones *clones)
{
	json_t *array = json_array();
	int failed = array ? 0 : -1;

	for (size_t i = 0; i < clones->nr; i++)
		failed |= json_array_append(array, clones->entries[i].status.document);
	if (failed)
		output_error("no memory");
	else
		output_json(array);
	json_decref(array);
	return failed ? EXIT_STATUS_FAILED : EXIT_STATUS_DONE;
}

static enum exit_status print_table(const struct clones *clones)
{
	const struct control_status **statuses;

	if (clones->nr == 0)
		return EXIT_STATUS_DONE;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
	statuses = calloc(clones->nr, sizeof(*statuses));
	if (!statuses) {
		output_error("no memory");
		return EXIT_STATUS_FAILED;
	}
	for (size_t i = 0; i < clones->nr; i++)
		statuses[i] = &clones->entries[i].status;
	output_list(stdout, statuses, clones->nr);
	free(statuses);
	return EXIT_STATUS_DONE;
}

static enum exit_status run_list(const struct arguments *args)
{
	struct clones clones;
	struct cf_error err;
	enum exit_status status;

	if (clones_find(&clones, &err) < 0) {
		output_error("%s", err.text);
		status = EXIT_STATUS_FAILED;
	} else {
		status = args->json ? print_json(&clones) : print_table(&clones);
	}
	clones_fini(&clones);
	return status;
}

const struct command command_list = {
        .name = "list",
        .usage = "[--json]",
        .summary = "Show the running clones, one a line",
        .help = "",
        .options = OPTION_JSON,
        .run = run_list,
};
