#include "cli/arguments.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "core/base/units.h"

struct option_row {
	const char *name;
	enum command_options option;
	bool has_value;
};

static const struct option_row option_rows[] = {
        {"--json", OPTION_JSON, false},
        {"--timeout", OPTION_TIMEOUT, true},
        {"--exit", OPTION_EXIT, false},
        {"--noflush", OPTION_NOFLUSH, false},
};

/* "--name" or "--name=value": finds the row and, if there is one, the value. */
static const struct option_row *find_option(const struct command *command, const char *word,
                                            const char **ret_value)
{
	size_t length = strcspn(word, "=");

	for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		const struct option_row *row = &option_rows[i];

		if ((command->options & row->option) && strlen(row->name) == length &&
		    strncmp(row->name, word, length) == 0) {
			*ret_value = word[length] ? word + length + 1 : NULL;
			return row;
		}
	}
	return NULL;
}

static int take_option(struct arguments *args, const struct option_row *row, const char *value,
                       struct cf_error *err)
{
	if (row->has_value && !value)
		return cf_error_set(err, -EINVAL, "option %s needs a value", row->name);
	if (!row->has_value && value)
		return cf_error_set(err, -EINVAL, "option %s takes no value", row->name);
	switch (row->option) {
	case OPTION_JSON:
		args->json = true;
		break;
	case OPTION_EXIT:
		args->exit = true;
		break;
	case OPTION_NOFLUSH:
		args->noflush = true;
		break;
	case OPTION_TIMEOUT:
		if (parse_time_ms(value, &args->timeout_ms) < 0)
			return cf_error_set(err, -EINVAL,
			                    "option %s: expected a time, such as 30, 500ms or 2m, "
			                    "found \"%.64s\"",
			                    row->name, value);
		args->has_timeout = true;
		break;
	}
	return 0;
}

static int check_words(const struct command *command, const struct arguments *args,
                       struct cf_error *err)
{
	if (args->help)
		return 0;
	if (args->nr_words < command->min_words)
		return cf_error_set(err, -EINVAL, "%s needs more than that: clonectl %s %s",
		                    command->name, command->name, command->usage);
	if (args->nr_words > command->max_words)
		return cf_error_set(err, -EINVAL, "%s does not take \"%.64s\"", command->name,
		                    args->words[command->max_words]);
	return 0;
}

int arguments_parse(const struct command *command, int argc, char **argv,
                    struct arguments *ret_args, struct cf_error *err)
{
	struct arguments args = {.words = argv};
	bool options_end = false;

	for (int i = 0; i < argc; i++) {
		const struct option_row *row;
		const char *value;
		int r;

		if (options_end || argv[i][0] != '-' || !argv[i][1]) {
			args.words[args.nr_words++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			options_end = true;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			args.help = true;
			continue;
		}
		row = find_option(command, argv[i], &value);
		if (!row)
			return cf_error_set(err, -EINVAL, "unknown option \"%.64s\" for %s",
			                    argv[i], command->name);
		if (row->has_value && !value && i + 1 < argc)
			value = argv[++i];
		r = take_option(&args, row, value, err);
		if (r < 0)
			return r;
	}
	*ret_args = args;
	return check_words(command, &args, err);
}
