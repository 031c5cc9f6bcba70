/* Bodies of control requests, and answers as clonectl reads them. */
#include <errno.h>
#include <jansson.h>

#include "core/control/message.h"
#include "tests/fuzz/fuzz.h"

static void try_settings(json_t *object)
{
	struct settings_patch patch = {0};
	struct settings_patch again = {0};
	struct cf_error err = {0};
	json_t *sent;

	(void)control_patch_from_known(object, &again, &err);
	err = (struct cf_error){0};
	again = (struct settings_patch){0};
	if (control_patch_from_json(object, &patch, &err) < 0) {
		MUST(err.text[0]);
		return;
	}
	sent = control_patch_to_json(&patch);
	MUST(sent);
	MUST(control_patch_from_json(sent, &again, &err) == 0);
	MUST(memcmp(patch.given, again.given, sizeof(patch.given)) == 0);
	json_decref(sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	json_t *object = NULL;
	struct cf_error err = {0};
	bool noflush;
	int r = control_parse_object(text, size, &object, &err);

	if (r < 0) {
		MUST(r == -EUCLEAN && err.text[0]);
	} else {
		MUST(json_is_object(object));
		try_settings(object);
		(void)control_dmsetup_from_json(object, &noflush, &err);
		(void)control_error_sentence(object);
		json_decref(object);
	}
	free(text);
	return 0;
}
