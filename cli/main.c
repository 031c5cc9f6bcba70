/* clonectl: looks at running clones and tells them what to do; see clonectl(1). */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/output.h"

static const struct command *const commands[] = {
        &command_list, &command_status,  &command_pause,   &command_resume,
        &command_set,  &command_flush,   &command_wait,    &command_check,
        &command_dump, &command_dmsetup, &command_version,
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_help(void)
{
	(void)printf("Usage: clonectl COMMAND [TARGET] [--json]\n\nCommands:\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		(void)printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	(void)printf(
	        "\nTARGET is a socket, a path in a mounted clone, a state folder or a name; it "
	        "may be\nleft out when one clone runs. `clonectl COMMAND --help` says more "
	        "about a command,\nclonectl(1) all.\n");
}

static void print_command_help(const struct command *command)
{
	(void)printf("Usage: clonectl %s %s\n\n%s.\n", command->name, command->usage,
	             command->summary);
	if (command->help[0])
		(void)printf("\n%s", command->help);
}

static enum exit_status help(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;

	if (name && !command) {
		output_error("unknown command \"%.64s\"", name);
		return EXIT_STATUS_USAGE;
	}
	if (command)
		print_command_help(command);
	else
		print_help();
	return EXIT_STATUS_DONE;
}

static enum exit_status run_command(const struct command *command, int argc, char **argv)
{
	struct arguments args;
	struct cf_error err;

	if (arguments_parse(command, argc, argv, &args, &err) < 0) {
		output_error("%s (clonectl %s --help says more)", err.text, command->name);
		return EXIT_STATUS_USAGE;
	}
	if (args.help) {
		print_command_help(command);
		return EXIT_STATUS_DONE;
	}
	return command->run(&args);
}

static enum exit_status dispatch(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		output_error("which command? (clonectl --help lists them)");
		return EXIT_STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	command = strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0
	                  ? &command_version
	                  : find_command(argv[1]);
	if (!command) {
		output_error("unknown %s \"%.64s\" (clonectl --help lists the commands)",
		             argv[1][0] == '-' ? "option" : "command", argv[1]);
		return EXIT_STATUS_USAGE;
	}
	return run_command(command, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	enum exit_status status;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		output_error("starting libcurl failed");
		return EXIT_STATUS_FAILED;
	}
	status = dispatch(argc, argv);
	curl_global_cleanup();
	if (!output_close() && status == EXIT_STATUS_DONE)
		status = EXIT_STATUS_FAILED;
	return (int)status;
}
