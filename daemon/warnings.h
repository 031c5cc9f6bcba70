/*
 * What a mount warns about: said in the log at once, since the caller reads it on his stderr, and
 * kept until the journal is open. One thread.
 */
#ifndef CLONEFS_DAEMON_WARNINGS_H
#define CLONEFS_DAEMON_WARNINGS_H

struct journal;

/* More than a mount has to say; what is beyond is logged only. */
#define WARNINGS_MAX 8

struct warnings {
	char *texts[WARNINGS_MAX]; /* owned */
	unsigned int nr;
};

void warnings_say(struct warnings *warnings, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* One row each (@journal may be NULL); they are forgotten then. */
void warnings_note(struct warnings *warnings, struct journal *journal);

void warnings_fini(struct warnings *warnings);

#endif
