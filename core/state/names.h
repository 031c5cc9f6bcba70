/*
 * The names of a source: what is fetched, what people may see, and what makes it the same source
 * as yesterday although its signature or password changed (docs/contracts: "Names").
 *
 * Only `fetch` and `identity` may hold secrets. They are for the backend and for the digest, and
 * are never printed, logged or stored.
 */
#ifndef CLONEFS_STATE_NAMES_H
#define CLONEFS_STATE_NAMES_H

#include <limits.h>
#include <stdbool.h>

#include "core/base/error.h"
#include "core/state/sha256.h"

#define CLONE_NAME_MAX 64

enum source_kind { SOURCE_KIND_FILE, SOURCE_KIND_HTTP };

struct source_name {
	enum source_kind kind;
	char *fetch;    /* the URL as given without its fragment; of a file its real path */
	char *shown;    /* URL without userinfo, query as "?..."; of a file its real path */
	char *identity; /* scheme, host, port, path, query without signature parameters */
	char identity_sha256[SHA256_HEX_LENGTH + 1];
	char name[CLONE_NAME_MAX + 1]; /* NAME: the default name of a clone of this source */
	char basename[NAME_MAX + 1];   /* BASENAME: what the image is called below a mountpoint */
};

/*
 * Takes SOURCE apart: a path, file://, http:// or https://. Contacts nothing; a file need not
 * exist (a complete clone does without), a path is made absolute against the current folder.
 * -EINVAL: no such scheme, no host, a bad port, spaces or control characters. The sentence shows
 * no part of the URL that may be secret.
 */
int source_name_parse(const char *source, struct source_name **ret_name, struct cf_error *err);
/* NULL is allowed. */
void source_name_free(struct source_name *name);

/* 1-64 of A-Z a-z 0-9 . _ + -, no leading dot. */
bool clone_name_is_valid(const char *name);

#endif
