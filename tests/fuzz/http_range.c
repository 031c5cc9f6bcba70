/* Content-Range, Content-Length, entity tags, dates and Retry-After, as a server might send them.
 */
#include "backends/http_range.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct http_content_range range;
	uint64_t value;
	int64_t date;

	if (http_range_parse(text, &range) == 0) {
		MUST(!range.satisfied || range.first <= range.last);
		MUST(!range.satisfied || range.last <= INT64_MAX);
		MUST(!range.has_total || range.total <= INT64_MAX);
		MUST(!range.satisfied || !range.has_total || range.last < range.total);
	}
	if (http_range_parse_length(text, &value) == 0)
		MUST(value <= INT64_MAX);
	(void)http_range_etag_kind(text);
	MUST(http_range_etags_match(text, text));
	(void)http_range_parse_date(text, &date);
	if (http_range_parse_retry_after(text, 784111777, &value) == 0)
		MUST(value <= UINT64_C(86400000));
	free(text);
	return 0;
}
