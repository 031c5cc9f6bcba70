#include "cli/mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/base/cleanup.h"

#define CLONEFS_TYPE "fuse.clonefs"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes space, tab, newline and backslash as \ and three octal digits. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) &&
		    is_octal(from[3])) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/*
 * Takes "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS" apart. The
 * mountpoint, within @line, or NULL: another device or file system.
 */
static char *match_line(char *line, dev_t dev)
{
	char *dash = strstr(line, " - ");
	unsigned int major_nr, minor_nr;
	char *save = NULL;
	char *mountpoint;
	char *device;

	if (!dash)
		return NULL;
	if (strncmp(dash + 3, CLONEFS_TYPE " ", sizeof(CLONEFS_TYPE)) != 0)
		return NULL;
	*dash = '\0';
	(void)strtok_r(line, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	device = strtok_r(NULL, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	mountpoint = strtok_r(NULL, " ", &save);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers fit */
	if (!mountpoint || sscanf(device, "%u:%u", &major_nr, &minor_nr) != 2 ||
	    makedev(major_nr, minor_nr) != dev)
		return NULL;
	unescape(mountpoint);
	return mountpoint;
}

static int add(struct mountpoints *mountpoints, const char *path)
{
	char **paths = realloc(mountpoints->paths, (mountpoints->nr + 1) * sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	mountpoints->paths = paths;
	paths[mountpoints->nr] = strdup(path);
	if (!paths[mountpoints->nr])
		return -ENOMEM;
	mountpoints->nr++;
	return 0;
}

int mountinfo_find_clonefs(const char *file, dev_t dev, struct mountpoints *ret_mountpoints)
{
	FILE *in = fopen(file ? file : "/proc/self/mountinfo", "re");
	CF_AUTO_FREE char *line = NULL;
	size_t size = 0;
	int r = 0;

	*ret_mountpoints = (struct mountpoints){0};
	if (!in)
		return -errno;
	while (r == 0 && getline(&line, &size, in) > 0) {
		const char *mountpoint = match_line(line, dev);

		if (mountpoint)
			r = add(ret_mountpoints, mountpoint);
	}
	if (r == 0 && ferror(in))
		r = -EIO;
	(void)fclose(in);
	return r;
}

void mountpoints_fini(struct mountpoints *mountpoints)
{
	for (size_t i = 0; i < mountpoints->nr; i++)
		free(mountpoints->paths[i]);
	free(mountpoints->paths);
	*mountpoints = (struct mountpoints){0};
}
