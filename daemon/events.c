#include "daemon/events.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/log.h"
#include "core/journal/journal.h"

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

static void log_event(const char *name, const struct image_event *event)
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
		log_notice("%s: there is space again", name);
		return;
	}
}

static void journal_mode(struct journal *journal, const struct image_event *event)
{
	char text[JOURNAL_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s: %s", image_mode_name((enum image_mode)event->value),
	               event->text);
	journal_event(journal, JOURNAL_MODE, event->value, text);
}

static void journal_milestone(struct journal *journal, uint64_t percent)
{
	journal_event(journal, JOURNAL_MILESTONE, percent, NULL);
	if (percent >= 100)
		journal_event(journal, JOURNAL_DONE, 0, NULL);
}

static void keep_event(struct journal *journal, const struct image_event *event)
{
	switch (event->kind) {
	case IMAGE_EVENT_OUTAGE_BEGIN:
		journal_begin(journal, JOURNAL_OUTAGE, event->text);
		return;
	case IMAGE_EVENT_OUTAGE_END:
		journal_end(journal, JOURNAL_OUTAGE);
		return;
	case IMAGE_EVENT_SOURCE_CHANGED:
		journal_begin(journal, JOURNAL_SOURCE_CHANGED, event->text);
		return;
	case IMAGE_EVENT_SOURCE_BACK:
		journal_end(journal, JOURNAL_SOURCE_CHANGED);
		return;
	case IMAGE_EVENT_MODE:
		journal_mode(journal, event);
		return;
	case IMAGE_EVENT_LOST:
		journal_event(journal, JOURNAL_LOST, event->value, event->text);
		return;
	case IMAGE_EVENT_PAUSED:
		journal_event(journal, JOURNAL_PAUSE, 0, NULL);
		return;
	case IMAGE_EVENT_RESUMED:
		journal_event(journal, JOURNAL_RESUME, 0, NULL);
		return;
	case IMAGE_EVENT_MILESTONE:
		journal_milestone(journal, event->value);
		return;
	case IMAGE_EVENT_NO_SPACE_BEGIN:
		journal_begin(journal, JOURNAL_NO_SPACE, event->text);
		return;
	case IMAGE_EVENT_NO_SPACE_END:
		journal_end(journal, JOURNAL_NO_SPACE);
		return;
	}
}

void events_handle(const char *name, struct journal *journal, const struct image_event *event)
{
	log_event(name, event);
	keep_event(journal, event);
}
