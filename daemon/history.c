#include "daemon/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/log.h"

struct journal *history_open(const char *state_dir, const char *name, const char *source)
{
	CF_AUTO_FREE char *path = NULL;
	char opening[JOURNAL_TEXT_MAX];
	const struct journal_options options = {.opening = opening};
	struct journal *journal = NULL;
	struct cf_error err = {0};

	(void)snprintf(opening, sizeof(opening), "clonefs %s, %s", CLONEFS_VERSION, source);
	if (asprintf(&path, "%s/journal.db", state_dir) < 0)
		(void)cf_error_set(&err, -ENOMEM, "out of memory");
	else
		(void)journal_open(path, &options, &journal, &err);
	if (!journal)
		log_warn("%s: no journal is kept: %s", name, err.text);
	return journal;
}

void history_source(struct journal *journal, enum image_source_state state, const char *why)
{
	if (state == SOURCE_STATE_UNREACHABLE)
		journal_begin(journal, JOURNAL_OUTAGE, why);
	else if (state == SOURCE_STATE_CHANGED)
		journal_begin(journal, JOURNAL_SOURCE_CHANGED, why);
}

static void note_mode(struct journal *journal, const struct image_event *event)
{
	char text[JOURNAL_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s: %s", image_mode_name((enum image_mode)event->value),
	               event->text);
	journal_event(journal, JOURNAL_MODE, event->value, text);
}

void history_event(struct journal *journal, const struct image_event *event)
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
		note_mode(journal, event);
		return;
	case IMAGE_EVENT_LOST:
	case IMAGE_EVENT_NOT_KEPT:
		journal_event(journal, JOURNAL_LOST, event->value, event->text);
		return;
	case IMAGE_EVENT_PAUSED:
		journal_event(journal, JOURNAL_PAUSE, 0, NULL);
		return;
	case IMAGE_EVENT_RESUMED:
		journal_event(journal, JOURNAL_RESUME, 0, NULL);
		return;
	case IMAGE_EVENT_MILESTONE:
		journal_event(journal, JOURNAL_MILESTONE, event->value, NULL);
		if (event->value >= 100)
			journal_event(journal, JOURNAL_DONE, 0, NULL);
		return;
	case IMAGE_EVENT_NO_SPACE_BEGIN:
		journal_begin(journal, JOURNAL_NO_SPACE, event->text);
		return;
	case IMAGE_EVENT_NO_SPACE_END:
		journal_end(journal, JOURNAL_NO_SPACE);
		return;
	case IMAGE_EVENT_NO_SHARING:
		return;
	}
}

void history_digest(struct journal *journal, enum digest_state state, const char *sentence)
{
	char text[JOURNAL_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s: %s", digest_state_name(state), sentence);
	journal_event(journal, JOURNAL_DIGEST, 0, text);
}

void history_settings(struct journal *journal, const struct settings *old,
                      const struct settings *settings)
{
	for (int i = 0; i < NR_SETTINGS; i++) {
		enum setting setting = (enum setting)i;
		char before[SETTING_TEXT_MAX], after[SETTING_TEXT_MAX];
		char text[2 * SETTING_TEXT_MAX];

		(void)setting_format(old, setting, before);
		(void)setting_format(settings, setting, after);
		if (strcmp(before, after) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s=%s", setting_name(setting), after);
		journal_event(journal, JOURNAL_SETTING, 0, text);
	}
}
