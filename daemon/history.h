/*
 * What happens to the clone, for its journal: translates events of the image and of people into
 * rows. All but history_open() take NULL (no journal) and never block for long, on any thread.
 */
#ifndef CLONEFS_DAEMON_HISTORY_H
#define CLONEFS_DAEMON_HISTORY_H

#include "core/control/settings.h"
#include "core/engine/image.h"
#include "core/journal/journal.h"
#include "daemon/digest.h"

/*
 * Opens STATE/journal.db of the clone @name in @state_dir; @source is shown, without secrets.
 * NULL: there is none, a line in the log says why; the mount goes on without.
 */
struct journal *history_open(const char *state_dir, const char *name, const char *source);

/* What the probe at mount found: begins the outage or change whose end the image will tell. */
void history_source(struct journal *journal, enum image_source_state state, const char *why);

void history_event(struct journal *journal, const struct image_event *event);

/* What became of the image's digest, and the sentence that goes with it. */
void history_digest(struct journal *journal, enum digest_state state, const char *sentence);

/* One row for each setting that differs. */
void history_settings(struct journal *journal, const struct settings *old,
                      const struct settings *settings);

#endif
