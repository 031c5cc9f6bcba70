/*
 * The exposed file's modification time: the source's Last-Modified (else the clone's creation),
 * moved only by users' writes. What users did is kept in the time stamp of STATE/modified, so that
 * it survives the mount; after a crash it may be as old as the last file_times_keep().
 */
#ifndef CLONEFS_DAEMON_FILE_TIMES_H
#define CLONEFS_DAEMON_FILE_TIMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct clone_config;
struct state;

struct file_times {
	_Atomic int64_t mtime_ns; /* since 1970 */
	atomic_bool moved;        /* not kept yet */
	struct state *state;      /* borrowed */
};

/* @state must be open. */
void file_times_init(struct file_times *times, struct state *state);

/* A user wrote, now. Any thread. */
void file_times_touch(struct file_times *times);
int64_t file_times_mtime_ns(struct file_times *times);

/* Writes what moved to the state folder. One thread at a time. */
void file_times_keep(struct file_times *times);

/* Where a clone's mtime begins. */
int64_t file_times_of_clone(const struct clone_config *config);
/* An HTTP date (RFC 9110 5.6.7, the preferred form) as seconds since 1970. False: it is none. */
bool file_times_parse_http_date(const char *text, int64_t *ret_seconds);

#endif
