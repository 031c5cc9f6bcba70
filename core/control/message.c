#include "core/control/message.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/control/json_text.h"

int control_parse_object(const char *text, size_t length, struct json_t **ret_object,
                         struct cf_error *err)
{
	json_error_t where;
	json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);

	if (!value && json_error_code(&where) == json_error_out_of_memory)
		return cf_error_set(err, -ENOMEM, "no memory to read JSON");
	if (!value)
		return cf_error_set(err, -EUCLEAN, "not JSON: line %d, column %d: %s", where.line,
		                    where.column, where.text);
	if (!json_is_object(value)) {
		json_decref(value);
		return cf_error_set(err, -EUCLEAN, "expected a JSON object");
	}
	*ret_object = value;
	return 0;
}

struct json_t *control_error_to_json(const char *sentence)
{
	return json_pack("{s:o}", "error", json_text(sentence));
}

const char *control_error_sentence(const struct json_t *object)
{
	return json_string_value(json_object_get(object, "error"));
}

struct json_t *control_settings_to_json(const struct settings *settings)
{
	struct settings_patch all = {.values = *settings};

	for (int i = 0; i < NR_SETTINGS; i++)
		all.given[i] = true;
	return control_patch_to_json(&all);
}

struct json_t *control_patch_to_json(const struct settings_patch *patch)
{
	json_t *object = json_object();
	char text[SETTING_TEXT_MAX];
	int failed = 0;

	if (!object)
		return NULL;
	for (int i = 0; i < NR_SETTINGS; i++)
		if (patch->given[i])
			failed |= json_object_set_new(
			        object, setting_name((enum setting)i),
			        json_text(setting_format(&patch->values, (enum setting)i, text)));
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int add_value(struct settings_patch *patch, const char *name, const json_t *value,
                     struct cf_error *err)
{
	char number[32];

	if (json_is_string(value))
		return settings_patch_add(patch, name, json_string_value(value), err);
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
		               json_integer_value(value));
		return settings_patch_add(patch, name, number, err);
	}
	return cf_error_set(err, -EUCLEAN, "%.64s: expected a string or a number, 0 or above",
	                    name);
}

int control_patch_from_json(struct json_t *object, struct settings_patch *ret_patch,
                            struct cf_error *err)
{
	struct settings_patch patch = {0};
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		int r = add_value(&patch, name, value, err);

		if (r < 0)
			return r;
	}
	if (json_object_size(object) == 0)
		return cf_error_set(err, -EINVAL, "no setting is given");
	*ret_patch = patch;
	return 0;
}

int control_patch_from_known(struct json_t *object, struct settings_patch *ret_patch,
                             struct cf_error *err)
{
	struct settings_patch patch = {0};
	enum setting setting;
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		int r = setting_find(name, &setting) ? add_value(&patch, name, value, err) : 0;

		if (r < 0)
			return r;
	}
	*ret_patch = patch;
	return 0;
}

struct json_t *control_change_to_json(const struct settings_patch *patch,
                                      const struct settings *old, const struct settings *settings)
{
	json_t *changed = json_object();
	char before[SETTING_TEXT_MAX];
	char after[SETTING_TEXT_MAX];
	int failed = changed ? 0 : -1;

	for (int i = 0; !failed && i < NR_SETTINGS; i++) {
		if (!patch->given[i])
			continue;
		failed = json_object_set_new(
		        changed, setting_name((enum setting)i),
		        json_pack("{s:s, s:s}", "old", setting_format(old, (enum setting)i, before),
		                  "new", setting_format(settings, (enum setting)i, after)));
	}
	if (failed) {
		json_decref(changed);
		return NULL;
	}
	return json_pack("{s:o, s:o}", "changed", changed, "settings",
	                 control_settings_to_json(settings));
}

int control_dmsetup_from_json(struct json_t *object, bool *ret_noflush, struct cf_error *err)
{
	const json_t *noflush = json_object_get(object, "noflush");

	if (json_object_size(object) > (noflush ? 1 : 0))
		return cf_error_set(err, -EUCLEAN, "the only field known here is \"noflush\"");
	if (noflush && !json_is_boolean(noflush))
		return cf_error_set(err, -EUCLEAN, "\"noflush\": expected true or false");
	*ret_noflush = json_is_true(noflush);
	return 0;
}
