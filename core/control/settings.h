/*
 * The eight settings that can change while a clone is mounted, in one table: names, grammar,
 * ranges and sentences. Mount options, `clonectl set`, POST /v1/settings and status use it, so
 * that a value means the same everywhere.
 *
 * A patch is a set of settings with a value each: what the mount options named, or what one `set`
 * asks for. It is parsed whole before anything is applied, so a wrong value changes nothing.
 *
 * Values as text are of the grammar of core/base/units.h, on_source_error is eio, wait or
 * wait:TIME, log_level one of the names in core/base/log.h. No function blocks or keeps state.
 */
#ifndef CLONEFS_CONTROL_SETTINGS_H
#define CLONEFS_CONTROL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/log.h"

enum setting {
	SETTING_HYDRATION_THRESHOLD,
	SETTING_HYDRATION_BATCH_SIZE,
	SETTING_BACKGROUND_RATE,
	SETTING_MAX_CONNECTIONS,
	SETTING_TIMEOUT,
	SETTING_STOP_TIMEOUT,
	SETTING_ON_SOURCE_ERROR,
	SETTING_LOG_LEVEL,
};
#define NR_SETTINGS (SETTING_LOG_LEVEL + 1)

#define SETTINGS_DEFAULT_MAX_CONNECTIONS 16u
#define SETTINGS_DEFAULT_TIMEOUT_MS      UINT64_C(30000)
#define SETTINGS_DEFAULT_STOP_TIMEOUT_MS UINT64_C(20000)

/* Room for any value as text, its NUL included. */
#define SETTING_TEXT_MAX 64

enum settings_on_error {
	SETTINGS_ON_ERROR_EIO,
	SETTINGS_ON_ERROR_WAIT,
	SETTINGS_ON_ERROR_WAIT_TIME
};

struct settings {
	uint64_t hydration_threshold;  /* background regions in flight, to 2^32-1; 0: none */
	uint64_t hydration_batch_size; /* regions per background request, to 2^32-1; 0 means 1 */
	uint64_t background_rate;      /* bytes per second; 0: no limit */
	unsigned int max_connections;  /* 1 to 256 */
	uint64_t timeout_ms;           /* at least 1 */
	uint64_t stop_timeout_ms;
	enum settings_on_error on_source_error;
	uint64_t wait_ms; /* with SETTINGS_ON_ERROR_WAIT_TIME, else 0 */
	enum log_level log_level;
};

struct settings_patch {
	bool given[NR_SETTINGS];
	struct settings values; /* only what is given counts */
};

/* The defaults of a clone with regions of @region_size bytes (valid, see core/base/geometry.h). */
void settings_defaults(uint64_t region_size, struct settings *ret_settings);

const char *setting_name(enum setting setting);

/* Finds the setting called @name. False: there is none. */
bool setting_find(const char *name, enum setting *ret_setting);

/*
 * Adds "@name=@text" to @patch; a later value of the same setting wins. -ENOENT: there is no such
 * setting; -EINVAL, -ERANGE: not of the grammar, out of range. @err (may be NULL) names setting,
 * expected and found. On error @patch is as before.
 */
int settings_patch_add(struct settings_patch *patch, const char *name, const char *text,
                       struct cf_error *err);

/* Puts the patch's values into @settings, leaving the others. */
void settings_patch_apply(const struct settings_patch *patch, struct settings *settings);

/*
 * The value of @setting as text that settings_patch_add() would read back to the same value, in
 * the largest unit that is exact ("64M", "30s", "wait:2m"). Returns @buf.
 */
char *setting_format(const struct settings *settings, enum setting setting,
                     char buf[SETTING_TEXT_MAX]);

#endif
