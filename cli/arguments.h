/* The command line behind the subcommand's name. */
#ifndef CLONEFS_CLI_ARGUMENTS_H
#define CLONEFS_CLI_ARGUMENTS_H

#include "cli/command.h"
#include "core/base/error.h"

/*
 * Options may stand anywhere, "--" ends them. @argv is reordered: words point into it. -EINVAL:
 * wrong usage of @command, @err says which.
 */
int arguments_parse(const struct command *command, int argc, char **argv,
                    struct arguments *ret_args, struct cf_error *err);

#endif
