#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/call.h"
#include "cli/command.h"
#include "cli/output.h"
#include "core/base/cleanup.h"
#include "core/control/message.h"

/* The first word is TARGET if it cannot be K=V: a path, or without "=". */
static bool is_target(const char *word)
{
	return !strchr(word, '=') || strchr(word, '/');
}

static int add_assignment(struct settings_patch *patch, const char *word, struct cf_error *err)
{
	const char *equals = strchr(word, '=');
	CF_AUTO_FREE char *name = equals ? strndup(word, (size_t)(equals - word)) : NULL;

	if (!name)
		return cf_error_set(err, -EINVAL, "expected NAME=VALUE, found \"%.64s\"", word);
	return settings_patch_add(patch, name, equals + 1, err);
}

static void print_change(const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(object, "changed"), name, value) {
		const char *old = json_string_value(json_object_get(value, "old"));
		const char *new = json_string_value(json_object_get(value, "new"));
		CF_AUTO_FREE char *line = NULL;

		if (old && new &&asprintf(&line, "%s: %s -> %s", name, old, new) >= 0) {
			cf_error_clean_text(line);
			(void)printf("%s\n", line);
		}
	}
}

static enum exit_status run_set(const struct arguments *args)
{
	struct settings_patch patch = {0};
	const char *target = is_target(args->words[0]) ? args->words[0] : NULL;
	enum exit_status status = EXIT_STATUS_FAILED;
	struct cf_error err;
	json_t *object;
	json_t *body;

	if (target && args->nr_words == 1) {
		output_error("set what? (clonectl set --help says more)");
		return EXIT_STATUS_USAGE;
	}
	for (int i = target ? 1 : 0; i < args->nr_words; i++) {
		if (add_assignment(&patch, args->words[i], &err) < 0) {
			output_error("%s", err.text);
			return EXIT_STATUS_USAGE;
		}
	}
	body = control_patch_to_json(&patch);
	if (body)
		status = call_target(target, "/v1/settings", body, &object);
	else
		output_error("no memory");
	if (status == EXIT_STATUS_DONE) {
		if (args->json)
			output_json(object);
		else
			print_change(object);
		json_decref(object);
	}
	json_decref(body);
	return status;
}

const struct command command_set = {
        .name = "set",
        .usage = "[TARGET] NAME=VALUE... [--json]",
        .summary = "Change settings of a mounted clone: all of them, or none",
        .help = "What is set lives until the unmount. Names and values are those of the mount "
                "options:\n"
                "  hydration_threshold   background regions in flight, 0 = none\n"
                "  hydration_batch_size  regions per background request\n"
                "  background_rate       bytes per second, 0 = no limit\n"
                "  max_connections       1 to 256\n"
                "  timeout               how long a read waits for a source that is silent\n"
                "  stop_timeout          how long SIGTERM waits for open files\n"
                "  on_source_error       eio, wait or wait:TIME\n"
                "  log_level             error, warn, notice, info or debug\n",
        .options = OPTION_JSON,
        .min_words = 1,
        .max_words = 1 + NR_SETTINGS * 4,
        .run = run_set,
};
