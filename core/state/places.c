#include "core/state/places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/cleanup.h"
#include "core/state/paths.h"

bool places_are_same(const char *a, const char *b)
{
	CF_AUTO_FREE char *real_a = NULL;
	CF_AUTO_FREE char *real_b = NULL;
	struct stat st_a;
	struct stat st_b;

	if (stat(a, &st_a) == 0 && stat(b, &st_b) == 0) {
		if (S_ISBLK(st_a.st_mode) && S_ISBLK(st_b.st_mode))
			return st_a.st_rdev == st_b.st_rdev;
		return st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
	}
	return path_real(a, &real_a) == 0 && path_real(b, &real_b) == 0 && !strcmp(real_a, real_b);
}

static int refuse_within(const char *what, const char *path, const char *folder_name,
                         const char *folder, struct cf_error *err)
{
	CF_AUTO_FREE char *real = NULL;
	CF_AUTO_FREE char *real_folder = NULL;
	int r;

	if (!path || !folder)
		return 0;
	if ((r = path_real(path, &real)) < 0 || (r = path_real(folder, &real_folder)) < 0)
		return cf_error_errno(err, r, "%s %s", what, path);
	if (!path_is_within(real, real_folder))
		return 0;
	return cf_error_set(err, -EINVAL, "%s %s lies in the clone's own %s %s", what, path,
	                    folder_name, folder);
}

static int refuse_same(const char *what, const char *path, const char *other_name,
                       const char *other, struct cf_error *err)
{
	if (!path || !other || !places_are_same(path, other))
		return 0;
	if (!strcmp(other_name, "source"))
		return cf_error_set(err, -EINVAL, "%s %s is the source itself", what, path);
	return cf_error_set(err, -EINVAL, "%s %s and %s %s are the same file", what, path,
	                    other_name, other);
}

/* The files that the state folder needs for itself. */
static int refuse_reserved(const char *what, const char *path, const char *state_dir,
                           struct cf_error *err)
{
	static const char *const reserved[] = {"clone.json", "clone.json.new", "lock", "modified",
	                                       "journal.db"};
	CF_AUTO_FREE char *real = NULL;
	CF_AUTO_FREE char *folder = NULL;
	size_t length;

	if (!path || !state_dir || path_real(path, &real) < 0 || path_real(state_dir, &folder) < 0)
		return 0;
	length = strlen(folder);
	if (!path_is_within(real, folder) || real[length] != '/')
		return 0;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (!strcmp(real + length + 1, reserved[i]))
			return cf_error_set(err, -EINVAL,
			                    "%s %s is a file that the state folder needs itself",
			                    what, path);
	return 0;
}

int places_check(const struct places *p, struct cf_error *err)
{
	const struct {
		const char *name;
		const char *path;
	} parts[] = {
	        {"source", p->source},
	        {"destination", p->destination},
	        {"metadata", p->metadata},
	        {"state folder", p->state_dir},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(*parts); i++)
		r = refuse_within(parts[i].name, parts[i].path, "mountpoint", p->mountpoint, err);
	if (r < 0 ||
	    (r = refuse_within("source", p->source, "state folder", p->state_dir, err)) < 0 ||
	    (r = refuse_same("destination", p->destination, "source", p->source, err)) < 0 ||
	    (r = refuse_same("metadata", p->metadata, "source", p->source, err)) < 0 ||
	    (r = refuse_same("destination", p->destination, "metadata", p->metadata, err)) < 0 ||
	    (r = refuse_reserved("destination", p->destination, p->state_dir, err)) < 0)
		return r;
	return refuse_reserved("metadata", p->metadata, p->state_dir, err);
}
