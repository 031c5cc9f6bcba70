#include "core/engine/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/engine/hydrator.h"
#include "core/engine/request.h"

#define TEXT_MAX 1024

struct queued_event {
	struct list link;
	enum image_event_kind kind;
	uint64_t value;
	char text[TEXT_MAX];
};

void events_init(struct events *events)
{
	list_init(&events->queue);
}

void events_fini(struct events *events)
{
	for (struct list *link; (link = list_pop(&events->queue));)
		free(list_entry(link, struct queued_event, link));
}

void events_push_locked(struct image *img, enum image_event_kind kind, uint64_t value,
                        const char *format, ...)
{
	struct queued_event *event;
	va_list args;

	if (!img->callbacks.event)
		return;
	event = calloc(1, sizeof(*event));
	if (!event)
		return;
	event->kind = kind;
	event->value = value;
	va_start(args, format);
	(void)vsnprintf(event->text, sizeof(event->text), format, args);
	va_end(args);
	list_add_tail(&img->events.queue, &event->link);
	hydrator_wake_locked(img);
}

void events_tell_locked(struct image *img)
{
	for (struct list *link; (link = list_pop(&img->events.queue));) {
		struct queued_event *event = list_entry(link, struct queued_event, link);
		struct image_event told = {
		        .kind = event->kind,
		        .value = event->value,
		        .text = event->text,
		};

		image_unlock(img);
		img->callbacks.event(img->callbacks_user, &told);
		free(event);
		image_lock(img);
	}
}
