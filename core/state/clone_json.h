/*
 * clone.json: what a clone is a clone of, and with which geometry and files. Written once, when
 * the clone's creation commits. It holds no secrets.
 */
#ifndef CLONEFS_STATE_CLONE_JSON_H
#define CLONEFS_STATE_CLONE_JSON_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/engine/source.h"
#include "core/state/names.h"

#define CLONE_JSON_FILE "clone.json"

struct clone_config {
	char name[CLONE_NAME_MAX + 1];
	char *source_url;                          /* owned; as shown */
	char source_sha256[SHA256_HEX_LENGTH + 1]; /* of the source's identity string */
	struct source_identity source;             /* the pinned version */
	uint64_t region_size;                      /* bytes */
	uint64_t target_sectors;                   /* of 512 bytes, as in the metadata */
	char *destination;                         /* owned; absolute path */
	char *metadata;                            /* owned; absolute path */
	int64_t created;                           /* seconds since 1970 */
};

/*
 * Reads FOLDER/clone.json. -ENOENT: there is none. -EUCLEAN: damaged, a higher version, a field
 * that must be known and is not, or values that contradict each other; @err names the line or the
 * field. Other errors: it could not be read.
 */
int clone_config_load(const char *folder, struct clone_config **ret_config, struct cf_error *err);

/*
 * Writes FOLDER/clone.json so that a crash leaves the old or the new one: temporary file, sync,
 * rename, sync of the folder. After an error the old one (or none) counts.
 */
int clone_config_save(const char *folder, const struct clone_config *config, struct cf_error *err);

/* Text to config and back, for tests and tools. @ret_text is freed by the caller. */
int clone_config_parse(const char *text, size_t length, struct clone_config **ret_config,
                       struct cf_error *err);
int clone_config_format(const struct clone_config *config, char **ret_text);

/*
 * Holds what a probe found against the pinned version: size, strong ETag, Last-Modified, mtime,
 * each only when both sides know it. 0, or -ESTALE with both values in the sentence.
 */
int clone_config_check_source(const struct clone_config *config,
                              const struct source_identity *found, struct cf_error *err);

/*
 * The same where the source is asked for by another URL: here something that both sides know must
 * be equal besides the size, as a proof. -ESTALE, -EINVAL: there is no proof.
 */
int clone_config_check_moved(const struct clone_config *config, const struct source_identity *found,
                             struct cf_error *err);

/* NULL is allowed. */
void clone_config_free(struct clone_config *config);

#endif
