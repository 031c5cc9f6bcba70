/* The grammar of -o strings: words end, and what is escaped reads back the same. */
#include "daemon/option_string.h"
#include "tests/fuzz/fuzz.h"

static void read_back(const char *text)
{
	char *escaped = option_string_escape(text);
	const char *cursor = escaped;
	struct option_word word = {0};
	struct cf_error err = {0};
	int r;

	MUST(escaped);
	r = option_string_next(&cursor, &word, &err);
	/* What begins as a name with a value is split there. */
	if (r == 1 && !word.value)
		MUST(strcmp(word.name, text) == 0);
	option_word_fini(&word);
	free(escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	const char *cursor = text;
	int r = 1;

	while (r == 1) {
		const char *before = cursor;
		struct option_word word = {0};
		struct cf_error err = {0};

		r = option_string_next(&cursor, &word, &err);
		MUST(r <= 1 && cursor >= before && cursor <= text + size);
		if (r == 1)
			MUST(word.name && cursor > before);
		if (r < 0)
			MUST(err.text[0]);
		option_word_fini(&word);
	}
	read_back(text);
	free(text);
	return 0;
}
