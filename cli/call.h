/* What most subcommands do: find TARGET, ask its clone something, show the answer. */
#ifndef CLONEFS_CLI_CALL_H
#define CLONEFS_CLI_CALL_H

#include "cli/command.h"
#include "core/base/error.h"

struct json_t;

/* The exit status that belongs to an error of target_resolve() or client_call(). */
enum exit_status exit_status_of(int error);

/*
 * Finds @target (NULL: the only clone) and asks @path of it as client_call() does. Failed: the
 * sentence has been printed. Done: *ret_object is a new reference.
 */
enum exit_status call_target(const char *target, const char *path, const struct json_t *body,
                             struct json_t **ret_object);

/* The first word, NULL if there is none. */
const char *target_word(const struct arguments *args);

#endif
