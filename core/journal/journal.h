/*
 * The journal: the operational history of one clone, in a SQLite database beside its other state.
 * It is expendable: losing it loses no data, and no trouble of it may fail a mount, stop I/O or
 * slow it down. Events go into a queue of fixed size; a thread of the journal's own writes them.
 *
 * Everything is thread-safe but open and close. Opened after the last fork. One process writes;
 * the lock of the state folder sees to that.
 */
#ifndef CLONEFS_JOURNAL_JOURNAL_H
#define CLONEFS_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/journal/journal_kind.h"

struct journal;

struct journal_options {
	const char *opening;   /* text of the session's open row; NULL: "" */
	bool without_wal;      /* no write-ahead log, also where the file system could carry one;
	                          network file systems never get one */
	unsigned int retry_ms; /* how often a database that gives trouble is tried again; 0: 5000 */
};

/*
 * Opens or creates the database at @path (0600) and begins a session in it: a recovery row if the
 * session before had no close, then an open row. Waits for local disk, never long for a lock.
 *
 * A damaged database is renamed to @path.bad-N (the last three are kept) and begun anew, which a
 * row and the log tell. A database that cannot be written now (locked, disk full, I/O error) is
 * no failure: it is tried again until close.
 *
 * Errors, after which the caller goes on without a journal (every other call takes NULL):
 * -EOPNOTSUPP a newer clonefs wrote the database, it was not touched; -EINVAL @path is not a
 * regular file; -ENOMEM; -EAGAIN no thread.
 */
int journal_open(const char *path, const struct journal_options *options,
                 struct journal **ret_journal, struct cf_error *err);

/*
 * Notes what happened now. Never blocks on anything but a short lock and allocates nothing: an
 * event that does not fit into the queue is counted, and the count becomes a row later. @text
 * (NULL: none) is copied; it holds no secrets, its control characters are shown as '?'.
 */
void journal_event(struct journal *j, enum journal_kind kind, uint64_t value, const char *text);

/*
 * The same for kinds that last: one row each, with begin and end. An episode that has begun ends
 * at the next begin of its kind and at close, too. An end without a begin is ignored; the end of a
 * begin that was taken always fits into the queue.
 */
void journal_begin(struct journal *j, enum journal_kind kind, const char *text);
void journal_end(struct journal *j, enum journal_kind kind);

/* Waits until all events taken so far are in the database; -ETIMEDOUT after @timeout_ms. */
int journal_flush(struct journal *j, unsigned int timeout_ms);

struct journal_counts {
	uint64_t written; /* events in the database */
	uint64_t dropped; /* events that did not fit into the queue */
};

void journal_get_counts(struct journal *j, struct journal_counts *ret_counts);

/*
 * Ends the session: a close row with @reason, all rows written, the write-ahead log emptied into
 * the database. A locked database is waited for up to 2 s; what cannot be written is given up.
 */
void journal_close(struct journal *j, const char *reason);

#endif
