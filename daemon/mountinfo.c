#include "daemon/mountinfo.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/base/cleanup.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Spaces, tabs, newlines and backslashes are written as a backslash and three octal digits. */
static bool equals_escaped(const char *field, size_t length, const char *path)
{
	const char *end = field + length;

	while (field < end) {
		char c = *field++;

		if (c == '\\' && end - field >= 3 && is_octal(field[0]) && is_octal(field[1]) &&
		    is_octal(field[2])) {
			c = (char)((field[0] - '0') * 64 + (field[1] - '0') * 8 + (field[2] - '0'));
			field += 3;
		}
		if (*path++ != c)
			return false;
	}
	return *path == '\0';
}

/* Field @n (from 0) of @line, which ends at a newline or NUL. */
static const char *field_at(const char *line, unsigned int n, size_t *ret_length)
{
	for (; n; n--) {
		line += strcspn(line, " \n");
		if (*line != ' ')
			return NULL;
		line++;
	}
	*ret_length = strcspn(line, " \n");
	return line;
}

/* "MAJOR:MINOR" */
static bool parse_device(const char *field, dev_t *ret_device)
{
	char *end;
	unsigned long major_number = strtoul(field, &end, 10);
	unsigned long minor_number;

	if (end == field || *end != ':')
		return false;
	field = end + 1;
	minor_number = strtoul(field, &end, 10);
	if (end == field || *end != ' ')
		return false;
	*ret_device = makedev((unsigned int)major_number, (unsigned int)minor_number);
	return true;
}

static bool parse_line(const char *line, const char *path, struct mountinfo_entry *ret_entry)
{
	const char *field;
	dev_t device;
	size_t length;

	/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS...] - TYPE SOURCE ... */
	field = field_at(line, 2, &length);
	if (!field || !parse_device(field, &device))
		return false;
	field = field_at(line, 4, &length);
	if (!field || !equals_escaped(field, length, path))
		return false;
	for (unsigned int n = 6; (field = field_at(line, n, &length)); n++)
		if (length == 1 && *field == '-')
			break;
	field = field ? field_at(field, 1, &length) : NULL;
	if (!field)
		return false;
	ret_entry->device = device;
	(void)snprintf(ret_entry->type, sizeof(ret_entry->type), "%.*s", (int)length, field);
	return true;
}

bool mountinfo_find(const char *text, const char *path, struct mountinfo_entry *ret_entry)
{
	bool found = false;

	/* The last line counts: what is mounted later hides what was there. */
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		found = parse_line(line, path, ret_entry) || found;
	}
	return found;
}

int mountinfo_look(const char *path, struct mountinfo_entry *ret_entry)
{
	CF_AUTO_FREE char *text = NULL;
	FILE *file = fopen("/proc/self/mountinfo", "re");
	size_t size = 0;
	ssize_t n;
	int r;

	if (!file)
		return -errno;
	/* The file has no NUL byte, so this reads all of it. */
	errno = 0;
	n = getdelim(&text, &size, '\0', file);
	r = n < 0 ? (errno ? -errno : -ENOENT) : 0;
	(void)fclose(file);
	if (r < 0)
		return r;
	return mountinfo_find(text, path, ret_entry) ? 0 : -ENOENT;
}
