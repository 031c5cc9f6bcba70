/*
 * What comes on standard error for a while, for the words of programs that others start. Lines of
 * our own log that other threads write meanwhile are in it too.
 */
#ifndef CLONEFS_DAEMON_STDERR_CAPTURE_H
#define CLONEFS_DAEMON_STDERR_CAPTURE_H

#include <stddef.h>

struct stderr_capture {
	int saved_fd;  /* -1: nothing is captured */
	int memory_fd; /* instead of standard error */
};

/* If it cannot be had, nothing is captured, and what is said goes where it went before. */
void stderr_capture_begin(struct stderr_capture *ret_capture);

/* Gives standard error back. @buf: what came, cut short if need be and always terminated. */
void stderr_capture_end(struct stderr_capture *capture, char *buf, size_t size);

#endif
