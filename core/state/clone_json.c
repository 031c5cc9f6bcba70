/*
 * clone.json is read strictly: what it says decides which bytes are an image, so a value that is
 * missing, of another type or impossible is damage, never a default. Fields that this version does
 * not know are left alone, but one called "must_..." says that ignoring it would be wrong.
 */
#include "core/state/clone_json.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/cleanup.h"
#include "core/base/small_file.h"
#include "core/base/geometry.h"
#include "core/state/paths.h"

#define VERSION        1
#define FILE_SIZE_MAX  (1 << 20)
#define TEMPORARY_FILE CLONE_JSON_FILE ".new"
#define MUST_PREFIX    "must_"
#define CF_AUTO_JSON   __attribute__((cleanup(json_cleanup)))

static void json_cleanup(json_t **json)
{
	json_decref(*json);
}

static int damaged(struct cf_error *err, const char *field, const char *expected)
{
	return cf_error_set(err, -EUCLEAN, "%s is damaged: field \"%s\": expected %s",
	                    CLONE_JSON_FILE, field, expected);
}

static int get_integer(json_t *object, const char *field, int64_t min, int64_t *ret,
                       struct cf_error *err)
{
	json_t *value = json_object_get(object, field);

	if (!json_is_integer(value) || json_integer_value(value) < min)
		return damaged(err, field, min > 0 ? "a number above 0" : "a number");
	*ret = json_integer_value(value);
	return 0;
}

static int get_size(json_t *object, const char *field, uint64_t *ret, struct cf_error *err)
{
	int64_t value = 0;
	int r = get_integer(object, field, 1, &value, err);

	if (r < 0)
		return r;
	*ret = (uint64_t)value;
	return 0;
}

static int get_text(json_t *object, const char *field, char *ret, size_t ret_size,
                    struct cf_error *err)
{
	json_t *value = json_object_get(object, field);

	if (!json_is_string(value) || json_string_length(value) >= ret_size)
		return damaged(err, field, "a text that is not too long");
	memcpy(ret, json_string_value(value), json_string_length(value) + 1);
	return 0;
}

static int copy_text(json_t *object, const char *field, char **ret, struct cf_error *err)
{
	json_t *value = json_object_get(object, field);

	if (!json_is_string(value) || !json_string_length(value))
		return damaged(err, field, "a text");
	*ret = strdup(json_string_value(value));
	return *ret ? 0 : cf_error_errno(err, -ENOMEM, CLONE_JSON_FILE);
}

static int copy_path(json_t *object, const char *field, char **ret, struct cf_error *err)
{
	int r = copy_text(object, field, ret, err);

	if (r == 0 && (*ret)[0] != '/')
		return damaged(err, field, "an absolute path");
	return r;
}

static int check_must_fields(json_t *object, struct cf_error *err)
{
	const char *field;
	json_t *value;

	json_object_foreach (object, field, value)
		if (strncmp(field, MUST_PREFIX, strlen(MUST_PREFIX)) == 0)
			return cf_error_set(err, -EUCLEAN,
			                    "%s has the field \"%s\", which this version does not "
			                    "know: a newer one is needed",
			                    CLONE_JSON_FILE, field);
	return 0;
}

static int check_version(json_t *object, struct cf_error *err)
{
	int64_t version = 0;
	int r = get_integer(object, "version", 1, &version, err);

	if (r < 0)
		return r;
	if (version > VERSION)
		return cf_error_set(err, -EUCLEAN,
		                    "%s has version %lld, this version of clonefs knows up to %d",
		                    CLONE_JSON_FILE, (long long)version, VERSION);
	return check_must_fields(object, err);
}

static bool is_digest(const char *text)
{
	return strlen(text) == SHA256_HEX_LENGTH &&
	       strspn(text, "0123456789abcdef") == SHA256_HEX_LENGTH;
}

static int read_source(json_t *root, struct clone_config *config, struct cf_error *err)
{
	json_t *source = json_object_get(root, "source");
	struct source_identity *id = &config->source;
	int r;

	if (!json_is_object(source))
		return damaged(err, "source", "an object");
	if ((r = check_must_fields(source, err)) < 0 ||
	    (r = copy_text(source, "url", &config->source_url, err)) < 0 ||
	    (r = get_text(source, "identity", config->source_sha256, sizeof(config->source_sha256),
	                  err)) < 0 ||
	    (r = get_size(source, "size", &id->size, err)) < 0 ||
	    (r = get_text(source, "etag", id->etag, sizeof(id->etag), err)) < 0 ||
	    (r = get_text(source, "last_modified", id->last_modified, sizeof(id->last_modified),
	                  err)) < 0 ||
	    (r = get_integer(source, "mtime_ns", INT64_MIN, &id->mtime_ns, err)) < 0)
		return r;
	return is_digest(config->source_sha256) ? 0 : damaged(err, "identity", "64 hex digits");
}

static int check_geometry(const struct clone_config *config, struct cf_error *err)
{
	if (!region_size_is_valid(config->region_size))
		return damaged(err, "region_size", "a power of two from 4096 to 1073741824");
	if (config->target_sectors != geometry_target_sectors(config->source.size))
		return damaged(err, "target_sectors", "the sectors of the source's size");
	if (geometry_make(config->source.size, config->region_size).nr_regions > CF_NR_REGIONS_MAX)
		return damaged(err, "region_size", "one that makes at most 2^31 regions");
	return 0;
}

static int read_config(json_t *root, struct clone_config *config, struct cf_error *err)
{
	int r;

	if (!json_is_object(root))
		return cf_error_set(err, -EUCLEAN, "%s is damaged: line 1: expected an object",
		                    CLONE_JSON_FILE);
	if ((r = check_version(root, err)) < 0 ||
	    (r = get_text(root, "name", config->name, sizeof(config->name), err)) < 0 ||
	    (r = read_source(root, config, err)) < 0 ||
	    (r = get_size(root, "region_size", &config->region_size, err)) < 0 ||
	    (r = get_size(root, "target_sectors", &config->target_sectors, err)) < 0 ||
	    (r = copy_path(root, "destination", &config->destination, err)) < 0 ||
	    (r = copy_path(root, "metadata", &config->metadata, err)) < 0 ||
	    (r = get_integer(root, "created", INT64_MIN, &config->created, err)) < 0)
		return r;
	if (!clone_name_is_valid(config->name))
		return damaged(err, "name", "1 to 64 of A-Z a-z 0-9 . _ + -, no leading dot");
	return check_geometry(config, err);
}

int clone_config_parse(const char *text, size_t length, struct clone_config **ret_config,
                       struct cf_error *err)
{
	struct clone_config *config;
	json_error_t at;
	CF_AUTO_JSON json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &at);
	int r;

	if (!root)
		return cf_error_set(err, -EUCLEAN, "%s is damaged: line %d: %s", CLONE_JSON_FILE,
		                    at.line > 0 ? at.line : 1, at.text);
	config = calloc(1, sizeof(*config));
	if (!config)
		return cf_error_errno(err, -ENOMEM, CLONE_JSON_FILE);
	r = read_config(root, config, err);
	if (r < 0) {
		clone_config_free(config);
		return r;
	}
	*ret_config = config;
	return 0;
}

int clone_config_format(const struct clone_config *config, char **ret_text)
{
	const struct source_identity *id = &config->source;
	CF_AUTO_FREE char *dump = NULL;
	CF_AUTO_JSON json_t *root = json_pack(
	        "{s:i, s:s, s:{s:s, s:s, s:I, s:s, s:s, s:I}, s:I, s:I, s:s, s:s, s:I}", "version",
	        VERSION, "name", config->name, "source", "url", config->source_url, "identity",
	        config->source_sha256, "size", (json_int_t)id->size, "etag", id->etag,
	        "last_modified", id->last_modified, "mtime_ns", (json_int_t)id->mtime_ns,
	        "region_size", (json_int_t)config->region_size, "target_sectors",
	        (json_int_t)config->target_sectors, "destination", config->destination, "metadata",
	        config->metadata, "created", (json_int_t)config->created);

	/* Only a text that is not UTF-8 (a path may be anything) cannot be packed. */
	if (!root)
		return -EILSEQ;
	dump = json_dumps(root, JSON_INDENT(2));
	if (!dump || asprintf(ret_text, "%s\n", dump) < 0)
		return -ENOMEM;
	return 0;
}

static int read_file(int folder, char **ret_text, size_t *ret_length)
{
	CF_AUTO_CLOSE int fd = openat(folder, CLONE_JSON_FILE, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CF_AUTO_FREE char *text = NULL;
	int r;

	if (fd < 0)
		return -errno;
	text = malloc(FILE_SIZE_MAX);
	if (!text)
		return -ENOMEM;
	r = small_file_read(fd, text, FILE_SIZE_MAX, ret_length);
	if (r < 0)
		return r;
	*ret_text = cf_steal(&text);
	return 0;
}

int clone_config_load(const char *folder, struct clone_config **ret_config, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CF_AUTO_FREE char *text = NULL;
	size_t length = 0;
	int r;

	if (fd < 0)
		return cf_error_errno(err, -errno, "%s", folder);
	r = read_file(fd, &text, &length);
	if (r < 0)
		return cf_error_errno(err, r, "%s/%s", folder, CLONE_JSON_FILE);
	r = clone_config_parse(text, length, ret_config, err);
	if (r < 0)
		(void)cf_error_prefix(err, "%s", folder);
	return r;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static int write_temporary(int folder, const char *text)
{
	CF_AUTO_CLOSE int fd = openat(folder, TEMPORARY_FILE,
	                              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return fsync(fd) < 0 || close(cf_steal_fd(&fd)) < 0 ? -errno : 0;
}

int clone_config_save(const char *folder, const struct clone_config *config, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CF_AUTO_FREE char *text = NULL;
	int r;

	if (fd < 0)
		return cf_error_errno(err, -errno, "%s", folder);
	r = clone_config_format(config, &text);
	if (r == -EILSEQ)
		return cf_error_set(err, -EINVAL,
		                    "source, destination, metadata or ETag is not UTF-8 text: "
		                    "%s cannot hold it",
		                    CLONE_JSON_FILE);
	if (r == 0)
		r = write_temporary(fd, text);
	if (r == 0 && renameat(fd, TEMPORARY_FILE, fd, CLONE_JSON_FILE) < 0)
		r = -errno;
	if (r == 0)
		r = path_sync_folder(folder);
	if (r < 0) {
		(void)unlinkat(fd, TEMPORARY_FILE, 0);
		return cf_error_errno(err, r, "writing %s/%s", folder, CLONE_JSON_FILE);
	}
	return 0;
}

static bool is_strong(const char *etag)
{
	return etag[0] && strncmp(etag, "W/", 2) != 0;
}

int clone_config_check_source(const struct clone_config *config,
                              const struct source_identity *found, struct cf_error *err)
{
	static const char hint[] = "(the option offline mounts what is here)";
	const struct source_identity *pinned = &config->source;

	if (pinned->size != found->size)
		return cf_error_set(
		        err, -ESTALE, "the source changed: its size was %llu bytes, now %llu %s",
		        (unsigned long long)pinned->size, (unsigned long long)found->size, hint);
	/* Equal strong ETags mean equal bytes (RFC 9110, 8.8.3.2), whatever the dates say. */
	if (is_strong(pinned->etag) && is_strong(found->etag)) {
		if (!strcmp(pinned->etag, found->etag))
			return 0;
		return cf_error_set(err, -ESTALE, "the source changed: its ETag was %s, now %s %s",
		                    pinned->etag, found->etag, hint);
	}
	if (pinned->last_modified[0] && found->last_modified[0] &&
	    strcmp(pinned->last_modified, found->last_modified) != 0)
		return cf_error_set(err, -ESTALE,
		                    "the source changed: its Last-Modified was %s, now %s %s",
		                    pinned->last_modified, found->last_modified, hint);
	if (pinned->mtime_ns && found->mtime_ns && pinned->mtime_ns != found->mtime_ns)
		return cf_error_set(err, -ESTALE,
		                    "the source changed: its modification time was %lld ns since "
		                    "1970, now %lld %s",
		                    (long long)pinned->mtime_ns, (long long)found->mtime_ns, hint);
	return 0;
}

int clone_config_check_moved(const struct clone_config *config, const struct source_identity *found,
                             struct cf_error *err)
{
	const struct source_identity *pinned = &config->source;
	int r = clone_config_check_source(config, found, err);

	if (r < 0)
		return r;
	if ((is_strong(pinned->etag) && is_strong(found->etag)) ||
	    (pinned->last_modified[0] && found->last_modified[0]) ||
	    (pinned->mtime_ns && found->mtime_ns))
		return 0;
	return cf_error_set(err, -EINVAL,
	                    "nothing but the size shows that the source is the same image at its "
	                    "new URL as at %s: neither a strong ETag nor a Last-Modified that both "
	                    "have (the option identity=size lets that do)",
	                    config->source_url);
}

void clone_config_free(struct clone_config *config)
{
	int saved = errno;

	if (!config)
		return;
	free(config->source_url);
	free(config->destination);
	free(config->metadata);
	free(config);
	errno = saved;
}
