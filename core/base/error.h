/*
 * One failure, as a code and a sentence.
 *
 * Inside, functions return 0 or a negative errno. Where a person has to read why (bad input, a
 * damaged file, a source that refuses) they also fill a struct cf_error with one sentence: what,
 * where, expected, found. The sentence has no final newline, no program name and no secrets, and
 * its control characters are shown as '?', so that a hostile server cannot write to a terminal.
 *
 * What our errno mean, everywhere:
 *   EIO      source, destination or metadata could not be read or written
 *   ESTALE   the source is not the one that was pinned
 *   EINTR    the caller asked to stop (signal)
 *   EAGAIN   not now: the same may succeed in a moment
 *   ENOSPC   destination or metadata is full
 *   EROFS    mounted read-only by the user
 *   EPERM    the operation is not allowed in this mode (metadata: read-only or failed)
 *   EUCLEAN  damaged contents that were parsed (clone.json, journal)
 *   ENOTBLK, EILSEQ   metadata block with a wrong number; with a wrong checksum or magic
 *   EBUSY    somebody else holds it
 *   EINVAL   a value is out of its range or two values contradict each other
 */
#ifndef CLONEFS_BASE_ERROR_H
#define CLONEFS_BASE_ERROR_H

#include <stdarg.h>

#define CF_ERROR_TEXT_MAX 1024

struct cf_error {
	int code;                     /* negative errno, 0: none */
	char text[CF_ERROR_TEXT_MAX]; /* the sentence, "" when none */
};

void cf_error_fill(struct cf_error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void cf_error_fill_errno(struct cf_error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* A macro, so that compilers and analysers see which value comes back. */
#define CF_ERROR_CALL(fill, err, code, ...)          \
	({                                           \
		int error_code_ = (code);            \
		fill(err, error_code_, __VA_ARGS__); \
		error_code_;                         \
	})

/*
 * Fills @err (NULL is allowed) with @code, a negative errno, and the formatted sentence; returns
 * @code. A sentence that is too long is cut at a character boundary and ends in "...".
 */
#define cf_error_set(err, code, ...) CF_ERROR_CALL(cf_error_fill, err, code, __VA_ARGS__)

/* The same; the sentence is followed by ": " and strerror(-code). */
#define cf_error_errno(err, code, ...) CF_ERROR_CALL(cf_error_fill_errno, err, code, __VA_ARGS__)

/* Puts the formatted words and ": " in front of the sentence @err holds; returns err->code. */
int cf_error_prefix(struct cf_error *err, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Replaces control characters (and bytes that are not UTF-8) in @text by '?', in place. */
void cf_error_clean_text(char *text);

#endif
