/* clone.json: what is taken can be written, and reads back the same. */
#include <errno.h>

#include "core/state/clone_json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct clone_config *config = NULL;
	struct clone_config *again = NULL;
	struct cf_error err = {0};
	char *written = NULL;
	char *written_again = NULL;
	int r = clone_config_parse(text, size, &config, &err);

	if (r < 0) {
		MUST(r == -EUCLEAN && err.text[0]);
	} else {
		MUST(clone_config_format(config, &written) == 0);
		MUST(clone_config_parse(written, strlen(written), &again, &err) == 0);
		MUST(clone_config_format(again, &written_again) == 0);
		MUST(strcmp(written, written_again) == 0);
	}
	clone_config_free(config);
	clone_config_free(again);
	free(written);
	free(written_again);
	free(text);
	return 0;
}
