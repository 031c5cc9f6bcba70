/* The backends' own doors, for registry.c only. Each fills in core/engine/source.h's table. */
#ifndef CLONEFS_BACKENDS_INTERNAL_H
#define CLONEFS_BACKENDS_INTERNAL_H

#include "backends/registry.h"

/* @path is a local path. @opts is complete: no field is zero but cacert. */
int file_source_open(const char *path, const struct source_options *opts, struct source **ret,
                     struct cf_error *err);

/* @url begins with http:// or https://. */
int http_source_open(const char *url, const struct source_options *opts, struct source **ret,
                     struct cf_error *err);

#endif
