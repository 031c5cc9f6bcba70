/*
 * The kinds of rows in a journal, and their names in the database and in `clonectl history`.
 * Names are stored, numbers are not: kinds may be reordered, a name is for ever.
 */
#ifndef CLONEFS_JOURNAL_KIND_H
#define CLONEFS_JOURNAL_KIND_H

#include <stdbool.h>

/* Longest text of a row, with the final NUL. A longer one is cut and ends in "...". */
#define JOURNAL_TEXT_MAX 1024

enum journal_kind {
	JOURNAL_OPEN,           /* value: pid; text: what was mounted where */
	JOURNAL_CLOSE,          /* text: why; always the last row of an orderly session */
	JOURNAL_RECOVERY,       /* the session before had no close; made by the journal itself */
	JOURNAL_OUTAGE,         /* lasts; text: why the source could not be reached */
	JOURNAL_SOURCE_CHANGED, /* lasts; text: what differs */
	JOURNAL_MODE,           /* text: the new mode and why */
	JOURNAL_PAUSE,
	JOURNAL_RESUME,
	JOURNAL_SETTING,   /* text: name=value */
	JOURNAL_MILESTONE, /* value: whole percent committed */
	JOURNAL_DONE,      /* everything is committed, the source is not needed any more */
	JOURNAL_LOST,      /* value: regions; text: their ranges */
	JOURNAL_NO_SPACE,  /* lasts; text: which device and why */
	JOURNAL_WARNING,
	JOURNAL_DIGEST,  /* text: ok, mismatch or impossible, and a sentence */
	JOURNAL_DROPPED, /* value: events that were not recorded; made by the journal itself */
	JOURNAL_DAMAGED, /* text: where the damaged journal went; made by the journal itself */
	NR_JOURNAL_KINDS
};

const char *journal_kind_name(enum journal_kind kind);

/* Finds the kind called @name; false if there is none. */
bool journal_kind_parse(const char *name, enum journal_kind *ret_kind);

/* Rows of this kind begin and end at different times. */
bool journal_kind_lasts(enum journal_kind kind);

#endif
