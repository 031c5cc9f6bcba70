#include "core/control/status.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "core/control/json_text.h"
#include "core/control/message.h"

struct field {
	const char *name;
	size_t offset;
};

#define FIELD(name)                                          \
	{                                                    \
#name, offsetof(struct control_status, name) \
	}

static const struct field strings[] = {
        FIELD(name),      FIELD(source),       FIELD(mountpoint), FIELD(image),
        FIELD(state_dir), FIELD(destination),  FIELD(metadata),   FIELD(mode),
        FIELD(hydration), FIELD(source_state), FIELD(digest),     FIELD(version),
};

static const struct field integers[] = {
        FIELD(size),
        FIELD(region_size),
        FIELD(regions_total),
        FIELD(regions_hydrated),
        FIELD(regions_committed),
        FIELD(regions_hydrating),
        FIELD(metadata_blocks_used),
        FIELD(metadata_blocks_total),
        FIELD(bytes_from_source),
        FIELD(requests),
        FIELD(rate_bytes_per_second),
        FIELD(uptime_seconds),
        FIELD(pid),
        FIELD(api_version),
        {"hydration_threshold", offsetof(struct control_status, settings.hydration_threshold)},
        {"hydration_batch_size", offsetof(struct control_status, settings.hydration_batch_size)},
};

static const struct field booleans[] = {FIELD(read_only), FIELD(modified), FIELD(digest_expected)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char **string_at(struct control_status *status, const struct field *field)
{
	return (const char **)((char *)status + field->offset);
}

static const void *value_at(const struct control_status *status, const struct field *field)
{
	return (const char *)status + field->offset;
}

/* A failed allocation anywhere makes json_object_set_new() fail, so that one sum tells. */
static int put_fields(json_t *object, const struct control_status *status)
{
	int failed = 0;

	for (size_t i = 0; i < COUNT(strings); i++)
		failed |= json_object_set_new(
		        object, strings[i].name,
		        json_text(*(const char *const *)value_at(status, &strings[i])));
	failed |= json_object_set_new(object, "reason",
	                              status->reason[0] ? json_text(status->reason) : json_null());
	failed |= json_object_set_new(object, "source_reason", json_text(status->source_reason));
	for (size_t i = 0; i < COUNT(integers); i++)
		failed |= json_object_set_new(
		        object, integers[i].name,
		        json_count(*(const uint64_t *)value_at(status, &integers[i])));
	failed |= json_object_set_new(object, "eta_seconds",
	                              status->eta_seconds == CONTROL_ETA_UNKNOWN
	                                      ? json_null()
	                                      : json_count(status->eta_seconds));
	for (size_t i = 0; i < COUNT(booleans); i++)
		failed |= json_object_set_new(
		        object, booleans[i].name,
		        json_boolean(*(const bool *)value_at(status, &booleans[i])));
	failed |= json_object_set_new(object, "settings",
	                              control_settings_to_json(&status->settings));
	return failed;
}

struct json_t *control_status_to_json(const struct control_status *status)
{
	json_t *object = json_object();

	if (object && put_fields(object, status) != 0) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

static int wrong_field(struct cf_error *err, const char *name, const char *expected)
{
	return cf_error_set(err, -EUCLEAN, "the status has no field \"%s\" that is %s", name,
	                    expected);
}

static int take_strings(json_t *object, struct control_status *status, struct cf_error *err)
{
	const char *reason;
	json_t *value;

	for (size_t i = 0; i < COUNT(strings); i++) {
		const char *text = json_string_value(json_object_get(object, strings[i].name));

		if (!text)
			return wrong_field(err, strings[i].name, "a string");
		*string_at(status, &strings[i]) = text;
	}
	value = json_object_get(object, "reason");
	reason = json_string_value(value);
	if (!reason && !json_is_null(value))
		return wrong_field(err, "reason", "a string or null");
	if (reason)
		(void)strncpy(status->reason, reason, sizeof(status->reason) - 1);
	value = json_object_get(object, "source_reason");
	reason = json_string_value(value);
	if (value && !reason)
		return wrong_field(err, "source_reason", "a string");
	if (reason)
		(void)strncpy(status->source_reason, reason, sizeof(status->source_reason) - 1);
	return 0;
}

static int take_integer(json_t *object, const char *name, uint64_t *ret_value)
{
	json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -EUCLEAN;
	*ret_value = (uint64_t)json_integer_value(value);
	return 0;
}

static int take_numbers(json_t *object, struct control_status *status, struct cf_error *err)
{
	for (size_t i = 0; i < COUNT(integers); i++) {
		uint64_t *field = (uint64_t *)((char *)status + integers[i].offset);

		if (take_integer(object, integers[i].name, field) < 0)
			return wrong_field(err, integers[i].name, "an integer, 0 or above");
	}
	status->eta_seconds = CONTROL_ETA_UNKNOWN;
	if (!json_is_null(json_object_get(object, "eta_seconds")) &&
	    take_integer(object, "eta_seconds", &status->eta_seconds) < 0)
		return wrong_field(err, "eta_seconds", "an integer, 0 or above, or null");
	for (size_t i = 0; i < COUNT(booleans); i++) {
		json_t *value = json_object_get(object, booleans[i].name);

		if (!json_is_boolean(value))
			return wrong_field(err, booleans[i].name, "true or false");
		*(bool *)((char *)status + booleans[i].offset) = json_is_true(value);
	}
	return 0;
}

/* Readers divide by these and multiply with them. */
static int check_numbers(const struct control_status *status, struct cf_error *err)
{
	if (status->regions_total == 0 || status->region_size == 0 || status->size == 0)
		return cf_error_set(err, -EUCLEAN, "the status speaks of an image without regions");
	if (status->regions_hydrated > status->regions_total ||
	    status->regions_committed > status->regions_total)
		return cf_error_set(err, -EUCLEAN, "the status has more regions than there are");
	return 0;
}

static int take_settings(json_t *object, struct control_status *status, struct cf_error *err)
{
	json_t *value = json_object_get(object, "settings");
	struct settings_patch patch = {0};
	int r;

	if (!json_is_object(value))
		return wrong_field(err, "settings", "an object");
	r = control_patch_from_known(value, &patch, err);
	if (r < 0)
		return r;
	settings_patch_apply(&patch, &status->settings);
	return 0;
}

int control_status_from_json(struct json_t *object, struct control_status *ret_status,
                             struct cf_error *err)
{
	struct control_status status = {0};
	int r;

	if (!json_is_object(object))
		return cf_error_set(err, -EUCLEAN, "the status is not a JSON object");
	r = take_strings(object, &status, err);
	if (r == 0)
		r = take_settings(object, &status, err);
	if (r == 0)
		r = take_numbers(object, &status, err);
	if (r == 0)
		r = check_numbers(&status, err);
	if (r < 0)
		return r;
	status.document = json_incref(object);
	*ret_status = status;
	return 0;
}

void control_status_fini(struct control_status *status)
{
	json_decref(status->document);
	*status = (struct control_status){0};
}

bool control_status_is_complete(const struct control_status *status)
{
	return status->regions_total && status->regions_committed == status->regions_total;
}
