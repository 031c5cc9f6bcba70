/* What happens inside the image, told to people: one line in the log for each event. */
#ifndef CLONEFS_DAEMON_EVENTS_H
#define CLONEFS_DAEMON_EVENTS_H

#include "core/engine/image.h"

/* Never blocks for long, any thread. @name is the clone's. */
void events_handle(const char *name, const struct image_event *event);

#endif
