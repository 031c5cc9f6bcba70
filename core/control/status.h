/*
 * The state of a running clone, as status, list and GET /v1/status show it, to and from JSON.
 * Names, units and nulls are those of the manual, clonectl(1), "STATUS FIELDS". Fields may be
 * added within an API version and none removed: a reader ignores those it does not know.
 */
#ifndef CLONEFS_CONTROL_STATUS_H
#define CLONEFS_CONTROL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/control/settings.h"

#define CONTROL_API_VERSION 1

#define CONTROL_REASON_MAX  512
#define CONTROL_ETA_UNKNOWN UINT64_MAX

struct json_t;

/*
 * Strings are borrowed: from the daemon's constants when it fills the structure in (they must
 * live as long as the control server), from @document when it came out of JSON. None is NULL.
 */
struct control_status {
	const char *name;
	const char *source; /* without secrets */
	const char *mountpoint;
	const char *image; /* path of the exposed file */
	const char *state_dir;
	const char *destination;
	const char *metadata;
	const char *mode;                /* rw | ro | fail */
	const char *hydration;           /* running | paused | waiting | done | stopped */
	const char *source_state;        /* ok | unreachable | changed | unused */
	const char *digest;              /* unverified | ok | mismatch | impossible */
	const char *version;             /* of the daemon */
	char reason[CONTROL_REASON_MAX]; /* one sentence; "" is null: running or done */
	/* What differs, or why it is not reached, one sentence; "": ok or unused, or a daemon that
	 * does not know the field. */
	char source_reason[CONTROL_REASON_MAX];

	uint64_t size;                  /* of the image, bytes */
	uint64_t region_size;           /* bytes */
	uint64_t regions_total;         /* this and the next three: regions */
	uint64_t regions_hydrated;      /* live */
	uint64_t regions_committed;     /* as on disk */
	uint64_t regions_hydrating;     /* in the inflight table */
	uint64_t metadata_blocks_used;  /* as committed */
	uint64_t metadata_blocks_total; /* as committed */
	uint64_t bytes_from_source;     /* since the mount */
	uint64_t requests;              /* to the source, since the mount */
	uint64_t rate_bytes_per_second; /* over the last 10 s */
	uint64_t eta_seconds;           /* CONTROL_ETA_UNKNOWN is null */
	uint64_t uptime_seconds;
	uint64_t pid;         /* of the daemon */
	uint64_t api_version; /* CONTROL_API_VERSION of the daemon */

	bool read_only;       /* mounted -o ro; a failure shows in mode, not here */
	bool modified;        /* users have written */
	bool digest_expected; /* sha256= was given: @digest does not stay unverified */

	struct settings settings;

	/* dm-clone's feature words for dmsetup_line(); not part of the JSON. */
	bool no_hydration;
	bool no_discard_passdown;

	struct json_t *document; /* owned; NULL when the daemon filled the structure in */
};

/*
 * A new object; the caller has the reference. NULL: no memory. Bytes of strings that are not
 * UTF-8 (paths may have them) become U+FFFD; integers are cut to 2^63-1.
 */
struct json_t *control_status_to_json(const struct control_status *status);

/*
 * Reads @object, which may come from anybody, and keeps a reference to it in
 * @ret_status->document. -EUCLEAN: a field is missing or of the wrong type or range; @err names
 * it. Give back with control_status_fini().
 */
int control_status_from_json(struct json_t *object, struct control_status *ret_status,
                             struct cf_error *err);

/* Accepts what was never filled in, if it is zeroed. */
void control_status_fini(struct control_status *status);

/* All regions are in the destination and durably recorded. */
bool control_status_is_complete(const struct control_status *status);

#endif
