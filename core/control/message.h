/*
 * The other messages of the control protocol, to and from JSON: errors, settings, dmsetup. What
 * is parsed here may come from anybody who can reach the socket, so every parser checks types and
 * refuses what it does not know.
 *
 * Functions that make JSON return a new reference, NULL: no memory.
 */
#ifndef CLONEFS_CONTROL_MESSAGE_H
#define CLONEFS_CONTROL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"
#include "core/control/settings.h"

/* No request body is longer, no answer is. */
#define CONTROL_REQUEST_MAX  ((size_t)16 << 10)
#define CONTROL_RESPONSE_MAX ((size_t)1 << 20)

struct json_t;

/*
 * Text to one JSON object: no duplicate names, nothing behind it, no NUL bytes. *ret_object is a
 * new reference. -EUCLEAN with line and column, -ENOMEM.
 */
int control_parse_object(const char *text, size_t length, struct json_t **ret_object,
                         struct cf_error *err);

/* {"error": sentence} */
struct json_t *control_error_to_json(const char *sentence);

/* The sentence of {"error": ...}, borrowed from @object, or NULL if it is not one. */
const char *control_error_sentence(const struct json_t *object);

/* {NAME: value as text} of all settings. */
struct json_t *control_settings_to_json(const struct settings *settings);

/*
 * {NAME: VALUE, ...} to a patch; VALUE is a string in the grammar of the setting, or a number that
 * would be one. -EUCLEAN, -ENOENT, -EINVAL, -ERANGE; @err names the setting. An object without
 * names is -EINVAL.
 */
int control_patch_from_json(struct json_t *object, struct settings_patch *ret_patch,
                            struct cf_error *err);

/* The same for an answer: names that are not known here are left out. */
int control_patch_from_known(struct json_t *object, struct settings_patch *ret_patch,
                             struct cf_error *err);

/* {NAME: value} of what @patch gives, to send. */
struct json_t *control_patch_to_json(const struct settings_patch *patch);

/* {"changed": {NAME: {"old", "new"}}, "settings": {...}}: what was given, even if it was so. */
struct json_t *control_change_to_json(const struct settings_patch *patch,
                                      const struct settings *old, const struct settings *settings);

/* The body of /v1/dmsetup: {} or {"noflush": bool}. -EUCLEAN. */
int control_dmsetup_from_json(struct json_t *object, bool *ret_noflush, struct cf_error *err);

#endif
