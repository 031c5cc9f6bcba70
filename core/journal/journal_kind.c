#include "core/journal/journal_kind.h"

#include <assert.h>
#include <string.h>

static const struct {
	const char *name;
	bool lasts;
} kinds[NR_JOURNAL_KINDS] = {
        [JOURNAL_OPEN] = {"open", false},
        [JOURNAL_CLOSE] = {"close", false},
        [JOURNAL_RECOVERY] = {"recovery", false},
        [JOURNAL_OUTAGE] = {"outage", true},
        [JOURNAL_SOURCE_CHANGED] = {"source_changed", true},
        [JOURNAL_MODE] = {"mode", false},
        [JOURNAL_PAUSE] = {"pause", false},
        [JOURNAL_RESUME] = {"resume", false},
        [JOURNAL_SETTING] = {"setting", false},
        [JOURNAL_MILESTONE] = {"milestone", false},
        [JOURNAL_DONE] = {"done", false},
        [JOURNAL_LOST] = {"lost", false},
        [JOURNAL_NO_SPACE] = {"no_space", true},
        [JOURNAL_WARNING] = {"warning", false},
        [JOURNAL_DIGEST] = {"digest", false},
        [JOURNAL_DROPPED] = {"dropped", false},
        [JOURNAL_DAMAGED] = {"damaged", false},
};

const char *journal_kind_name(enum journal_kind kind)
{
	assert(kind < NR_JOURNAL_KINDS);
	return kinds[kind].name;
}

bool journal_kind_parse(const char *name, enum journal_kind *ret_kind)
{
	for (int i = 0; i < NR_JOURNAL_KINDS; i++) {
		if (strcmp(name, kinds[i].name) == 0) {
			*ret_kind = (enum journal_kind)i;
			return true;
		}
	}
	return false;
}

bool journal_kind_lasts(enum journal_kind kind)
{
	assert(kind < NR_JOURNAL_KINDS);
	return kinds[kind].lasts;
}
