/* The part of HTTP/1.1 requests a range server has to understand. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_PATH_MAX 256

struct request {
	bool is_head;
	bool keep_alive;
	char path[REQUEST_PATH_MAX];
	bool has_range; /* first and last are what was asked for, last cut to the image's end */
	uint64_t first, last;
	bool cannot_satisfy;
};

/* Length of the request at the begin of text, 0 if its end has not come, -EINVAL if it is none. */
int request_parse(const char *text, size_t length, uint64_t image_size, struct request *request);
