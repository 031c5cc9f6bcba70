#include "core/journal/journal_damage.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"

/* The files SQLite finds by name beside a database: they move first, so that a crash in between
 * cannot leave a log that would be replayed into the next database. */
static const char *const logs[] = {"-wal", "-journal"};
#define NR_LOGS (sizeof(logs) / sizeof(logs[0]))

/* The numbers N of the bad files beside a database. */
struct bad_files {
	unsigned int lowest, highest; /* valid if count > 0 */
	unsigned int count;
};

static bool bad_number(const char *name, const char *base, unsigned int *ret_number)
{
	size_t length = strlen(base);
	unsigned long number;
	char *end;

	if (strncmp(name, base, length) != 0 || strncmp(name + length, ".bad-", 5) != 0)
		return false;
	name += length + 5;
	if (*name < '1' || *name > '9')
		return false;
	errno = 0;
	number = strtoul(name, &end, 10);
	if (errno || *end || number >= UINT_MAX)
		return false;
	*ret_number = (unsigned int)number;
	return true;
}

static int scan(const char *folder, const char *base, struct bad_files *ret_bad)
{
	struct bad_files bad = {0};
	struct dirent *entry;
	unsigned int number;
	DIR *dir = opendir(folder);

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!bad_number(entry->d_name, base, &number))
			continue;
		if (!bad.count || number < bad.lowest)
			bad.lowest = number;
		if (!bad.count || number > bad.highest)
			bad.highest = number;
		bad.count++;
	}
	(void)closedir(dir);
	*ret_bad = bad;
	return 0;
}

/* @path with @suffix becomes @to with @suffix, or is removed if @to is NULL; absent is fine. */
static int move(const char *path, const char *to, const char *suffix)
{
	CF_AUTO_FREE char *old = NULL;
	CF_AUTO_FREE char *new = NULL;

	if (asprintf(&old, "%s%s", path, suffix) < 0 ||
	    asprintf(&new, "%s%s", to ? to : "", suffix) < 0)
		return -ENOMEM;
	if ((to ? rename(old, new) : unlink(old)) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int move_all(const char *path, const char *to)
{
	int r = 0;

	for (size_t i = 0; i < NR_LOGS && r == 0; i++)
		r = move(path, to, logs[i]);
	if (r == 0)
		r = move(path, NULL, "-shm");
	return r ? r : move(path, to, "");
}

static int remove_surplus(const char *path, const char *folder, const char *base)
{
	struct bad_files bad = {0};
	int r;

	while ((r = scan(folder, base, &bad)) == 0 && bad.count > JOURNAL_BAD_KEPT) {
		CF_AUTO_FREE char *name = NULL;

		if (asprintf(&name, "%s.bad-%u", path, bad.lowest) < 0)
			return -ENOMEM;
		r = move_all(name, NULL);
		if (r < 0)
			return r;
	}
	return r;
}

int journal_move_aside(const char *path, char **ret_name, struct cf_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	CF_AUTO_FREE char *folder = NULL;
	CF_AUTO_FREE char *name = NULL;
	struct bad_files bad = {0};
	int r;

	if (asprintf(&folder, "%.*s", slash ? (int)(base - path) : 1, slash ? path : ".") < 0)
		return cf_error_errno(err, -ENOMEM, "cannot be moved aside");
	r = scan(folder, base, &bad);
	if (r == 0 && asprintf(&name, "%s.bad-%u", path, bad.count ? bad.highest + 1 : 1) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = move_all(path, name);
	if (r == 0)
		r = remove_surplus(path, folder, base);
	if (r < 0)
		return cf_error_errno(err, r, "is damaged and cannot be moved aside");
	*ret_name = cf_steal(&name);
	return 0;
}
