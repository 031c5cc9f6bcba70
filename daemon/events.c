#include "daemon/events.h"

#include <inttypes.h>

#include "core/base/log.h"

/* Each tenth is news for people, the others for the journal. */
#define PERCENT_STEP 10

static void log_milestone(const char *name, uint64_t percent)
{
	if (percent >= 100)
		log_notice("%s: hydration is complete, the source is no longer needed", name);
	else if (percent % PERCENT_STEP == 0)
		log_info("%s: hydrated percent=%" PRIu64, name, percent);
}

static void log_mode(const char *name, uint64_t mode, const char *why)
{
	log_error("%s: mode is now %s: %s", name, image_mode_name((enum image_mode)mode), why);
}

void events_handle(const char *name, const struct image_event *event)
{
	switch (event->kind) {
	case IMAGE_EVENT_OUTAGE_BEGIN:
		log_warn("%s: the source cannot be read, trying again: %s", name, event->text);
		return;
	case IMAGE_EVENT_OUTAGE_END:
		log_notice("%s: the source is back outage_ms=%" PRIu64, name, event->value);
		return;
	case IMAGE_EVENT_SOURCE_CHANGED:
		log_error("%s: the source changed, nothing is fetched until it is as it was: %s",
		          name, event->text);
		return;
	case IMAGE_EVENT_SOURCE_BACK:
		log_notice("%s: the source is again the one that was cloned", name);
		return;
	case IMAGE_EVENT_MODE:
		log_mode(name, event->value, event->text);
		return;
	case IMAGE_EVENT_LOST:
		log_error("%s: writes to these regions may be lost, reading them fails until the "
		          "clone is mounted again: %s regions=%" PRIu64,
		          name, event->text, event->value);
		return;
	case IMAGE_EVENT_NOT_KEPT:
		log_error("%s: the source did not bring the rest of these regions, what was "
		          "written to "
		          "part of them is not kept: %s regions=%" PRIu64,
		          name, event->text, event->value);
		return;
	case IMAGE_EVENT_PAUSED:
		log_info("%s: background hydration is paused", name);
		return;
	case IMAGE_EVENT_RESUMED:
		log_info("%s: background hydration goes on", name);
		return;
	case IMAGE_EVENT_MILESTONE:
		log_milestone(name, event->value);
		return;
	case IMAGE_EVENT_NO_SPACE_BEGIN:
		log_warn("%s: no space, what is read is not kept: %s", name, event->text);
		return;
	case IMAGE_EVENT_NO_SPACE_END:
		log_notice("%s: no longer short of space", name);
		return;
	case IMAGE_EVENT_NO_SHARING:
		log_info("%s: source and destination share no blocks, regions are copied: %s", name,
		         event->text);
		return;
	}
}
