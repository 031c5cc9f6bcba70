#include "tests/bench/range_server/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void parse_range(const char *value, uint64_t size, struct request *request)
{
	char *end;

	if (strncasecmp(value, "bytes=", 6) != 0)
		return;
	value += 6;
	request->has_range = true;
	request->last = size - 1;
	if (*value == '-') {
		uint64_t length = strtoull(value + 1, NULL, 10);

		request->first = length < size ? size - length : 0;
		return;
	}
	request->first = strtoull(value, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		request->last = strtoull(end + 1, NULL, 10);
	if (request->last >= size)
		request->last = size - 1;
	request->cannot_satisfy = request->first > request->last;
}

static void parse_header(const char *line, uint64_t size, struct request *request)
{
	const char *value = strchr(line, ':');
	size_t name;

	if (!value)
		return;
	name = (size_t)(value - line);
	value += 1 + strspn(value + 1, " \t");
	if (name == 5 && strncasecmp(line, "range", name) == 0)
		parse_range(value, size, request);
	else if (name == 10 && strncasecmp(line, "connection", name) == 0)
		request->keep_alive = strncasecmp(value, "close", 5) != 0;
}

static int parse_first_line(char *line, struct request *request)
{
	char *path = strchr(line, ' ');
	char *version = path ? strchr(path + 1, ' ') : NULL;

	if (!version || (size_t)(version - path) > sizeof(request->path))
		return -EINVAL;
	*path++ = *version++ = '\0';
	request->is_head = strcmp(line, "HEAD") == 0;
	if (!request->is_head && strcmp(line, "GET") != 0)
		return -EINVAL;
	(void)strcpy(request->path, path);
	request->keep_alive = strcmp(version, "HTTP/1.1") == 0;
	return 0;
}

int request_parse(const char *text, size_t length, uint64_t image_size, struct request *request)
{
	const char *end = memmem(text, length, "\r\n\r\n", 4);
	char lines[8192];
	char *next = lines;
	char *line;
	size_t used;

	if (!end)
		return 0;
	used = (size_t)(end - text);
	if (used >= sizeof(lines))
		return -EINVAL;
	memcpy(lines, text, used);
	lines[used] = '\0';
	*request = (struct request){0};
	line = strsep(&next, "\n");
	line[strcspn(line, "\r")] = '\0';
	if (parse_first_line(line, request) < 0)
		return -EINVAL;
	while ((line = strsep(&next, "\n")))
		parse_header(line, image_size, request);
	return (int)used + 4;
}
