/* What happens inside the image, told to people: a line in the log and a row in the journal. */
#ifndef CLONEFS_DAEMON_EVENTS_H
#define CLONEFS_DAEMON_EVENTS_H

#include "core/engine/image.h"

struct journal;

/* Never blocks for long, any thread. @name is the clone's; @journal may be NULL. */
void events_handle(const char *name, struct journal *journal, const struct image_event *event);

#endif
