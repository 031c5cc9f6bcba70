#include "tests/support/model_io/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void history_init(struct history *history)
{
	memset(history, 0, sizeof(*history));
	cf_mutex_init(&history->lock);
}

void history_fini(struct history *history)
{
	cf_mutex_fini(&history->lock);
}

uint64_t history_begin(struct history *history, const char *what, uint64_t offset, uint64_t length)
{
	uint64_t number;

	cf_lock(&history->lock);
	number = history->nr++;
	history->entries[number % HISTORY_LENGTH] = (struct history_entry){
	        .what = what, .offset = offset, .length = length, .begun = ++history->event};
	cf_unlock(&history->lock);
	return number;
}

void history_end(struct history *history, uint64_t number, unsigned int first_byte)
{
	struct history_entry *entry = &history->entries[number % HISTORY_LENGTH];

	cf_lock(&history->lock);
	if (history->nr - number <= HISTORY_LENGTH) {
		entry->ended = ++history->event;
		entry->first_byte = first_byte;
	}
	cf_unlock(&history->lock);
}

void history_print(struct history *history, uint64_t start, uint64_t end)
{
	uint64_t oldest;

	cf_lock(&history->lock);
	oldest = history->nr > HISTORY_LENGTH ? history->nr - HISTORY_LENGTH : 0;
	for (uint64_t number = oldest; number < history->nr; number++) {
		const struct history_entry *entry = &history->entries[number % HISTORY_LENGTH];

		if (entry->length == UINT64_MAX ||
		    (entry->offset < end && entry->offset + entry->length > start))
			(void)fprintf(stderr,
			              "  %" PRIu64 "-%" PRIu64 ": %s, %" PRIu64 " bytes at %" PRIu64
			              ", the first 0x%02x\n",
			              entry->begun, entry->ended, entry->what, entry->length,
			              entry->offset, entry->first_byte);
	}
	cf_unlock(&history->lock);
}
