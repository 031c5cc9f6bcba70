/*
 * The clone that this daemon serves, from its source's name to the open image: what happens at
 * mount, by the table in docs/architecture.md, "State, identity, creation":
 *
 *                       no clone yet   clone, not complete           clone, all committed
 *   source fine         created        resumed                       source not contacted
 *   unreachable         refused        opened with a warning         "
 *   denied              refused        refused (offline: opened)     "
 *   changed             -              refused (offline: opened)     "
 */
#ifndef CLONEFS_DAEMON_CLONE_H
#define CLONEFS_DAEMON_CLONE_H

#include "core/base/error.h"
#include "core/control/settings.h"
#include "core/engine/image.h"
#include "core/engine/source.h"
#include "core/state/state.h"
#include "daemon/options.h"
#include "daemon/warnings.h"

struct journal;

struct clone {
	struct source_name *name;
	struct state *state;
	struct source *source; /* NULL: complete, none is needed */
	enum image_source_state source_state;
	struct cf_error finding;  /* why it is unreachable or changed */
	struct warnings warnings; /* until there is a journal */
	struct settings settings; /* as mounted */
	unsigned char *head;      /* owned; the image's first bytes that the probe brought */
	size_t head_length;
	struct image *image;     /* NULL until clone_start() */
	struct journal *journal; /* NULL: none is kept */
	bool shown;              /* it was mounted: a new one stays */
};

/*
 * Finds or creates the clone that @options ask for, to be shown at @mountpoint, and opens its
 * files. After the last fork: locks and threads are made. Blocks for the probe of the source and
 * the local disk. With options->fake nothing is created. Warnings go to the log, refusals into
 * @err. clone_close() in any case.
 */
int clone_open(const struct options *options, const char *mountpoint, struct clone *ret_clone,
               struct cf_error *err);

/* Opens the journal and starts the engine. */
int clone_start(struct clone *clone, const struct options *options,
                const struct image_callbacks *callbacks, void *user, struct cf_error *err);

/*
 * Last commit, then everything is closed and unlocked, the journal included: @reason says there why
 * the clone was closed. 0, or why it did not end well. Accepts what was opened half. A clone
 * that was made for this mount and never shown is taken away.
 */
int clone_close(struct clone *clone, const char *reason, struct cf_error *err);

/* The engine's settings out of those that people set. */
void clone_image_settings(const struct settings *settings, struct image_settings *ret_settings);

#endif
