/* Events for the image's owner: queued under the lock, told in order and without it. */
#ifndef CLONEFS_ENGINE_EVENTS_H
#define CLONEFS_ENGINE_EVENTS_H

#include "core/engine/engine_internal.h"

void events_init(struct events *events);
/* Drops what was not told. */
void events_fini(struct events *events);

/* Without memory the event is lost, as it is for a journal that is full. */
void events_push_locked(struct image *img, enum image_event_kind kind, uint64_t value,
                        const char *format, ...) CF_IMAGE_LOCKED
        __attribute__((format(printf, 4, 5)));

/* Tells what is queued; the lock is let go meanwhile. Only for the hydrator's thread. */
void events_tell_locked(struct image *img) CF_IMAGE_LOCKED;

#endif
