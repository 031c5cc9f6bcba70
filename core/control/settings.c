#include "core/control/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/base/units.h"

#define MIB (UINT64_C(1) << 20)

enum grammar { GRAMMAR_COUNT, GRAMMAR_SIZE, GRAMMAR_TIME, GRAMMAR_ON_ERROR, GRAMMAR_LEVEL };

struct setting_row {
	const char *name;
	enum grammar grammar;
	size_t offset; /* of the field in struct settings: uint64_t, or unsigned int if is_int */
	bool is_int;
	uint64_t min, max;
	const char *expected;
};

static const struct setting_row table[NR_SETTINGS] = {
        [SETTING_HYDRATION_THRESHOLD] = {"hydration_threshold", GRAMMAR_COUNT,
                                         offsetof(struct settings, hydration_threshold), false, 0,
                                         UINT32_MAX,
                                         "a number of regions from 0 (no background) to "
                                         "4294967295"},
        [SETTING_HYDRATION_BATCH_SIZE] = {"hydration_batch_size", GRAMMAR_COUNT,
                                          offsetof(struct settings, hydration_batch_size), false, 0,
                                          UINT32_MAX,
                                          "a number of regions from 0 (the same as 1) to "
                                          "4294967295"},
        [SETTING_BACKGROUND_RATE] = {"background_rate", GRAMMAR_SIZE,
                                     offsetof(struct settings, background_rate), false, 0,
                                     UINT64_MAX,
                                     "bytes per second, such as 10M, or 0 for no limit"},
        [SETTING_MAX_CONNECTIONS] = {"max_connections", GRAMMAR_COUNT,
                                     offsetof(struct settings, max_connections), true, 1, 256,
                                     "a number from 1 to 256"},
        [SETTING_TIMEOUT] = {"timeout", GRAMMAR_TIME, offsetof(struct settings, timeout_ms), false,
                             1, UINT64_MAX, "a time above 0, such as 30, 500ms or 2m"},
        [SETTING_STOP_TIMEOUT] = {"stop_timeout", GRAMMAR_TIME,
                                  offsetof(struct settings, stop_timeout_ms), false, 0, UINT64_MAX,
                                  "a time, such as 20, 500ms or 2m"},
        [SETTING_ON_SOURCE_ERROR] = {"on_source_error", GRAMMAR_ON_ERROR, 0, false, 0, 0,
                                     "eio, wait or wait:TIME"},
        [SETTING_LOG_LEVEL] = {"log_level", GRAMMAR_LEVEL, 0, false, 0, 0,
                               "error, warn, notice, info or debug"},
};

static uint64_t at_least_one(uint64_t value)
{
	return value ? value : 1;
}

void settings_defaults(uint64_t region_size, struct settings *ret_settings)
{
	*ret_settings = (struct settings){
	        .hydration_threshold = at_least_one(64 * MIB / region_size),
	        .hydration_batch_size = at_least_one(8 * MIB / region_size),
	        .max_connections = SETTINGS_DEFAULT_MAX_CONNECTIONS,
	        .timeout_ms = SETTINGS_DEFAULT_TIMEOUT_MS,
	        .stop_timeout_ms = SETTINGS_DEFAULT_STOP_TIMEOUT_MS,
	        .on_source_error = SETTINGS_ON_ERROR_EIO,
	        .log_level = LOG_LEVEL_NOTICE,
	};
}

const char *setting_name(enum setting setting)
{
	return table[setting].name;
}

bool setting_find(const char *name, enum setting *ret_setting)
{
	for (int i = 0; i < NR_SETTINGS; i++) {
		if (strcmp(table[i].name, name) == 0) {
			*ret_setting = (enum setting)i;
			return true;
		}
	}
	return false;
}

static uint64_t read_number(const struct settings *settings, const struct setting_row *row)
{
	const char *field = (const char *)settings + row->offset;

	return row->is_int ? *(const unsigned int *)field : *(const uint64_t *)field;
}

static void write_number(struct settings *settings, const struct setting_row *row, uint64_t value)
{
	char *field = (char *)settings + row->offset;

	if (row->is_int)
		*(unsigned int *)field = (unsigned int)value;
	else
		*(uint64_t *)field = value;
}

static int parse_on_error(const char *text, struct settings *values)
{
	static const char timed[] = "wait:";
	uint64_t wait_ms = 0;
	int r = 0;

	if (strcmp(text, "eio") == 0) {
		values->on_source_error = SETTINGS_ON_ERROR_EIO;
	} else if (strcmp(text, "wait") == 0) {
		values->on_source_error = SETTINGS_ON_ERROR_WAIT;
	} else if (strncmp(text, timed, sizeof(timed) - 1) == 0) {
		r = parse_time_ms(text + sizeof(timed) - 1, &wait_ms);
		values->on_source_error = SETTINGS_ON_ERROR_WAIT_TIME;
	} else {
		r = -EINVAL;
	}
	values->wait_ms = wait_ms;
	return r;
}

static int parse_number(const struct setting_row *row, const char *text, struct settings *values)
{
	uint64_t value = 0;
	int r;

	if (row->grammar == GRAMMAR_SIZE)
		r = parse_size(text, &value);
	else if (row->grammar == GRAMMAR_TIME)
		r = parse_time_ms(text, &value);
	else
		r = parse_uint(text, row->max, &value);
	if (r < 0)
		return r;
	if (value < row->min || value > row->max)
		return -ERANGE;
	write_number(values, row, value);
	return 0;
}

int settings_patch_add(struct settings_patch *patch, const char *name, const char *text,
                       struct cf_error *err)
{
	struct settings values = patch->values;
	enum setting setting;
	int r = 0;

	if (!setting_find(name, &setting))
		return cf_error_set(err, -ENOENT,
		                    "unknown setting \"%.64s\": there are hydration_threshold, "
		                    "hydration_batch_size, background_rate, max_connections, "
		                    "timeout, stop_timeout, on_source_error and log_level",
		                    name);
	switch (table[setting].grammar) {
	case GRAMMAR_ON_ERROR:
		r = parse_on_error(text, &values);
		break;
	case GRAMMAR_LEVEL:
		r = log_level_parse(text, &values.log_level) ? 0 : -EINVAL;
		break;
	default:
		r = parse_number(&table[setting], text, &values);
		break;
	}
	if (r < 0)
		return cf_error_set(err, r, "%s: expected %s, found \"%.64s\"", name,
		                    table[setting].expected, text);
	patch->values = values;
	patch->given[setting] = true;
	return 0;
}

void settings_patch_apply(const struct settings_patch *patch, struct settings *settings)
{
	for (int i = 0; i < NR_SETTINGS; i++) {
		if (!patch->given[i])
			continue;
		switch (table[i].grammar) {
		case GRAMMAR_ON_ERROR:
			settings->on_source_error = patch->values.on_source_error;
			settings->wait_ms = patch->values.wait_ms;
			break;
		case GRAMMAR_LEVEL:
			settings->log_level = patch->values.log_level;
			break;
		default:
			write_number(settings, &table[i], read_number(&patch->values, &table[i]));
			break;
		}
	}
}

static void format_time(uint64_t ms, char *buf, size_t buf_size)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	size_t i = 0;

	if (ms == 0) {
		(void)snprintf(buf, buf_size, "0s");
		return;
	}
	while (ms % units[i].ms)
		i++;
	(void)snprintf(buf, buf_size, "%" PRIu64 "%s", ms / units[i].ms, units[i].suffix);
}

static void format_exact_size(uint64_t bytes, char *buf, size_t buf_size)
{
	static const char suffixes[] = "KMGT";
	unsigned int unit = 0;

	while (bytes && unit < 4 && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	(void)snprintf(buf, buf_size, "%" PRIu64 "%.1s", bytes, unit ? &suffixes[unit - 1] : "");
}

char *setting_format(const struct settings *settings, enum setting setting,
                     char buf[SETTING_TEXT_MAX])
{
	const struct setting_row *row = &table[setting];
	char time[32];

	switch (row->grammar) {
	case GRAMMAR_ON_ERROR:
		if (settings->on_source_error == SETTINGS_ON_ERROR_WAIT_TIME) {
			format_time(settings->wait_ms, time, sizeof(time));
			(void)snprintf(buf, SETTING_TEXT_MAX, "wait:%s", time);
		} else {
			(void)snprintf(buf, SETTING_TEXT_MAX, "%s",
			               settings->on_source_error == SETTINGS_ON_ERROR_WAIT ? "wait"
			                                                                   : "eio");
		}
		break;
	case GRAMMAR_LEVEL:
		(void)snprintf(buf, SETTING_TEXT_MAX, "%s", log_level_name(settings->log_level));
		break;
	case GRAMMAR_SIZE:
		format_exact_size(read_number(settings, row), buf, SETTING_TEXT_MAX);
		break;
	case GRAMMAR_TIME:
		format_time(read_number(settings, row), buf, SETTING_TEXT_MAX);
		break;
	case GRAMMAR_COUNT:
		(void)snprintf(buf, SETTING_TEXT_MAX, "%" PRIu64, read_number(settings, row));
		break;
	}
	return buf;
}
