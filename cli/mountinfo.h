/*
 * Where a device number is mounted, from the kernel's own list (proc_pid_mountinfo(5)): nothing is
 * opened, so a clone that hangs or is dead holds nobody up.
 */
#ifndef CLONEFS_CLI_MOUNTINFO_H
#define CLONEFS_CLI_MOUNTINFO_H

#include <stddef.h>
#include <sys/types.h>

struct mountpoints {
	char **paths; /* owned */
	size_t nr;
};

/*
 * The mountpoints of the file system with device number @dev, if it is one of clonefs'; none
 * otherwise. -errno: @file (NULL: /proc/self/mountinfo) could not be read. mountpoints_fini()
 * also after an error.
 */
int mountinfo_find_clonefs(const char *file, dev_t dev, struct mountpoints *ret_mountpoints);

void mountpoints_fini(struct mountpoints *mountpoints);

#endif
