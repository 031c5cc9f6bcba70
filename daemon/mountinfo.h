/* What /proc/self/mountinfo says about one mountpoint (proc(5)). */
#ifndef CLONEFS_DAEMON_MOUNTINFO_H
#define CLONEFS_DAEMON_MOUNTINFO_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct mountinfo_entry {
	dev_t device;
	char type[64]; /* with subtype: "fuse.clonefs"; cut if longer */
};

/*
 * Finds the topmost mount at @path (absolute, no links) in @text, the file's contents. False: no
 * mount is there.
 */
bool mountinfo_find(const char *text, const char *path, struct mountinfo_entry *ret_entry);

/* The same with the process's own mountinfo. 0, -ENOENT, or why it could not be read. */
int mountinfo_look(const char *path, struct mountinfo_entry *ret_entry);

#endif
