#include "backends/file_examine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

int file_examine_open(const char *path, int *ret_fd, bool *ret_is_device, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = -1;
	struct stat st;

	/* Looked at first: opening a FIFO or a tape has effects. */
	if (stat(path, &st) < 0)
		return cf_error_errno(err, -errno, "%s cannot be opened", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return cf_error_set(err, -EINVAL, "%s is neither a regular file nor a block device",
		                    path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cf_error_errno(err, -errno, "%s cannot be opened", path);
	*ret_is_device = S_ISBLK(st.st_mode);
	*ret_fd = cf_steal_fd(&fd);
	return 0;
}

int file_examine_identity(int fd, bool is_device, struct source_identity *ret)
{
	struct source_identity identity = {0};
	struct stat st;

	if (is_device) {
		if (ioctl(fd, BLKGETSIZE64, &identity.size) < 0)
			return -errno;
	} else {
		if (fstat(fd, &st) < 0)
			return -errno;
		identity.size = (uint64_t)st.st_size;
		identity.mtime_ns =
		        (int64_t)st.st_mtim.tv_sec * (int64_t)CF_NS_PER_S + st.st_mtim.tv_nsec;
	}
	*ret = identity;
	return 0;
}

/* Enough to tell what kind of file this is; less than a region, so that nobody keeps it. */
#define HEAD_SIZE ((size_t)512)

/* Shared by who asks and the thread that looks; the last one frees it. */
struct examination {
	char *path; /* owned */

	struct cf_mutex lock; /* protects what follows */
	struct cf_cond cond;
	unsigned int refs;
	bool done;
	int result;
	struct source_probe found;
	int fd; /* owned; -1: none */
	struct cf_error error;
};

static void examination_unref(struct examination *e)
{
	unsigned int left;

	cf_lock(&e->lock);
	left = --e->refs;
	cf_unlock(&e->lock);
	if (left)
		return;
	cf_cond_fini(&e->cond);
	cf_mutex_fini(&e->lock);
	free(e->found.head);
	if (e->fd >= 0)
		(void)close(e->fd);
	free(e->path);
	free(e);
}

/* Without it nothing is missing: who reads the image meets the error. */
static void read_head(int fd, struct source_probe *ret)
{
	CF_AUTO_FREE unsigned char *head = malloc(HEAD_SIZE);
	ssize_t length = head ? pread(fd, head, HEAD_SIZE, 0) : 0;

	if (length <= 0)
		return;
	ret->head_length = (size_t)length;
	ret->head = cf_steal(&head);
}

static int examine(const char *path, struct source_probe *ret, int *ret_fd, struct cf_error *err)
{
	CF_AUTO_CLOSE int fd = -1;
	int r = file_examine_open(path, &fd, &ret->is_device, err);

	if (r < 0)
		return r;
	r = file_examine_identity(fd, ret->is_device, &ret->identity);
	if (r < 0)
		return cf_error_errno(err, r, "the size of %s cannot be read", path);
	if (!ret->identity.size)
		return cf_error_set(err, -EINVAL, "%s is empty (0 bytes)", path);
	read_head(fd, ret);
	*ret_fd = cf_steal_fd(&fd);
	return 0;
}

static void *examine_main(void *user)
{
	struct examination *e = user;
	struct source_probe found = {0};
	struct cf_error error = {0};
	int fd = -1;
	int r = examine(e->path, &found, &fd, &error);

	cf_lock(&e->lock);
	e->result = r;
	e->found = found;
	e->fd = fd;
	e->error = error;
	e->done = true;
	cf_cond_signal(&e->cond);
	cf_unlock(&e->lock);
	examination_unref(e);
	return NULL;
}

static int start(struct examination *e)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, examine_main, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

static int await(struct examination *e, uint64_t timeout_ms, struct source_probe *ret, int *ret_fd,
                 struct cf_error *err)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t most_ms = (INT64_MAX - now) / CF_NS_PER_MS;
	uint64_t deadline = now + (timeout_ms < most_ms ? timeout_ms : most_ms) * CF_NS_PER_MS;
	bool in_time = true;
	int r = -EIO;

	cf_lock(&e->lock);
	while (!e->done && in_time)
		in_time = cf_cond_wait_until(&e->cond, &e->lock, deadline);
	if (e->done) {
		r = e->result;
		if (r == 0) {
			*ret = e->found;
			e->found.head = NULL;
			*ret_fd = cf_steal_fd(&e->fd);
		} else if (err)
			*err = e->error;
	}
	in_time = e->done;
	cf_unlock(&e->lock);
	if (!in_time)
		return cf_error_set(err, r, "%s did not answer within %" PRIu64 " ms", e->path,
		                    timeout_ms);
	return r;
}

int file_examine_probe(const char *path, uint64_t timeout_ms, struct source_probe *ret, int *ret_fd,
                       struct cf_error *err)
{
	struct examination *e = calloc(1, sizeof(*e));
	int r;

	if (e)
		e->path = strdup(path);
	if (!e || !e->path) {
		free(e);
		return cf_error_errno(err, -ENOMEM, "%s cannot be examined", path);
	}
	cf_mutex_init(&e->lock);
	cf_cond_init(&e->cond);
	e->fd = -1;
	e->refs = 2;
	r = start(e);
	if (r < 0) {
		e->refs = 1;
		r = cf_error_errno(err, r, "%s cannot be examined", path);
	} else {
		r = await(e, timeout_ms, ret, ret_fd, err);
	}
	examination_unref(e);
	return r;
}
