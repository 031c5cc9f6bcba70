/* The header section of a reply: the input's lines, then the judgement. */
#include "backends/http_reply.h"
#include "tests/fuzz/fuzz.h"

static struct http_reply reply;

static void judge(void)
{
	const struct source_identity identities[] = {
	        {.size = 1000},
	        {.size = 1000, .etag = "\"abc\""},
	        {.size = 1000, .last_modified = "Sun, 06 Nov 1994 08:49:37 GMT"},
	};

	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		const struct http_want want = {
		        .offset = 100, .length = 50, .identity = &identities[i]};
		struct source_outcome outcome = {0};
		uint64_t length = 0;
		enum source_result result = http_reply_judge(&reply, &want, &length, &outcome);

		if (result == SOURCE_OK)
			MUST(reply.status == 206 && length >= 1 && length <= want.length);
		else
			MUST(outcome.result == result && outcome.error.text[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source_outcome outcome = {0};
	size_t at = 0;

	http_reply_reset(&reply);
	while (at < size && !reply.too_long) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t length = end ? (size_t)(end - (data + at)) + 1 : size - at;
		/* A copy: a line ends where it ends. */
		char *line = malloc(length);

		MUST(line);
		memcpy(line, data + at, length);
		(void)http_reply_line(&reply, line, length);
		free(line);
		at += length;
	}
	(void)http_reply_is_redirect(&reply);
	(void)http_reply_judge_status(&reply, &outcome);
	(void)http_reply_judge_partial(&reply, 100, &outcome);
	if (reply.complete)
		judge();
	return 0;
}
