/* What a CURLcode means to the engine: a result and a sentence. */
#ifndef CLONEFS_BACKENDS_HTTP_FAILURE_H
#define CLONEFS_BACKENDS_HTTP_FAILURE_H

#include <curl/curl.h>

#include "core/engine/source.h"

/* @code is not CURLE_OK; @detail is the handle's CURLOPT_ERRORBUFFER. The error's code is -EAGAIN
 * for what may pass in a moment, else -EIO. */
void http_failure_outcome(CURL *easy, CURLcode code, const char *detail,
                          struct source_outcome *outcome);

#endif
