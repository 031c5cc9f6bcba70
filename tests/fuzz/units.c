/* SIZE, TIME and the values of settings: what is taken is in range, and reads back the same. */
#include <errno.h>

#include "core/base/units.h"
#include "core/control/settings.h"
#include "tests/fuzz/fuzz.h"

static void try_setting(enum setting setting, const char *text)
{
	struct settings_patch patch = {0};
	struct settings_patch again = {0};
	struct settings settings;
	struct settings read_back;
	struct cf_error err = {0};
	char shown[SETTING_TEXT_MAX];
	char shown_again[SETTING_TEXT_MAX];

	settings_defaults(65536, &settings);
	read_back = settings;
	if (settings_patch_add(&patch, setting_name(setting), text, &err) < 0) {
		MUST(err.text[0] && !patch.given[setting]);
		return;
	}
	settings_patch_apply(&patch, &settings);
	setting_format(&settings, setting, shown);
	MUST(settings_patch_add(&again, setting_name(setting), shown, &err) == 0);
	settings_patch_apply(&again, &read_back);
	setting_format(&read_back, setting, shown_again);
	MUST(strcmp(shown, shown_again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	uint64_t value;
	uint32_t octal;
	char shown[32];

	if (parse_size(text, &value) == 0)
		(void)format_size(value, shown, sizeof(shown));
	(void)parse_time_ms(text, &value);
	if (parse_uint(text, 4294967295u, &value) == 0)
		MUST(value <= 4294967295u);
	if (parse_octal(text, 07777, &octal) == 0)
		MUST(octal <= 07777);
	for (int i = 0; i < NR_SETTINGS; i++)
		try_setting((enum setting)i, text);
	free(text);
	return 0;
}
