#include "daemon/digest.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/min_max.h"
#include "core/base/mutex.h"
#include "core/state/data_scan.h"
#include "core/state/sha256.h"

#define PIECE    (UINT64_C(1) << 20)
#define NICENESS 10

struct digest {
	struct digest_params params;
	pthread_t thread;
	_Atomic(enum digest_state) state;
	atomic_bool stopping;

	struct cf_mutex lock; /* protects: begun; stopping is set under it, too */
	struct cf_cond cond;
	bool begun;
};

const char *digest_state_name(enum digest_state state)
{
	switch (state) {
	case DIGEST_UNVERIFIED:
		return "unverified";
	case DIGEST_OK:
		return "ok";
	case DIGEST_MISMATCH:
		return "mismatch";
	case DIGEST_IMPOSSIBLE:
		break;
	}
	return "impossible";
}

/* 0, or why it ended early: -ECANCELED, or the errno of a read. */
static int take_data(struct digest *digest, struct sha256 *sha, void *buf, uint64_t offset,
                     uint64_t end)
{
	while (offset < end) {
		size_t n = (size_t)min_u64(end - offset, PIECE);
		int r;

		if (atomic_load(&digest->stopping))
			return -ECANCELED;
		r = block_io_pread(digest->params.io, buf, n, offset);
		if (r < 0)
			return r;
		sha256_update(sha, buf, n);
		offset += n;
	}
	return 0;
}

static int take_zeros(struct digest *digest, struct sha256 *sha, uint64_t length)
{
	while (length) {
		uint64_t n = min_u64(length, PIECE);

		if (atomic_load(&digest->stopping))
			return -ECANCELED;
		sha256_update_zeros(sha, n);
		length -= n;
	}
	return 0;
}

static int compute(struct digest *digest, char ret_hex[SHA256_HEX_LENGTH + 1])
{
	CF_AUTO_FREE void *buf = malloc(PIECE);
	struct sha256 *sha = sha256_new();
	uint64_t size = digest->params.size;
	uint64_t offset = 0;
	int r = buf && sha ? 0 : -ENOMEM;

	while (r == 0 && offset < size) {
		uint64_t start = size;
		uint64_t end = size;

		/* A device may be larger than the image. */
		if (!data_next(digest->params.io, offset, &start, &end))
			start = end = size;
		start = min_u64(start, size);
		end = min_u64(end, size);
		r = take_zeros(digest, sha, start - offset);
		if (r == 0)
			r = take_data(digest, sha, buf, start, end);
		offset = end;
	}
	if (r == 0)
		r = sha256_finish(sha, ret_hex);
	sha256_free(sha);
	return r;
}

static enum digest_state judge(struct digest *digest, int r, const char *found,
                               struct cf_error *ret_sentence)
{
	const struct digest_params *params = &digest->params;

	if (params->is_modified(params->user)) {
		(void)cf_error_set(ret_sentence, 0,
		                   "users have written to the image, its digest is no longer the "
		                   "source's");
		return DIGEST_IMPOSSIBLE;
	}
	if (r < 0) {
		(void)cf_error_errno(ret_sentence, r, "the image cannot be read for its digest");
		return DIGEST_IMPOSSIBLE;
	}
	if (strcmp(found, params->expected) == 0) {
		(void)cf_error_set(ret_sentence, 0, "the image has the SHA-256 %s", found);
		return DIGEST_OK;
	}
	(void)cf_error_set(ret_sentence, 0, "the image has the SHA-256 %s, expected %s", found,
	                   params->expected);
	return DIGEST_MISMATCH;
}

/* Others come first, on the processor and at the disk. A refusal does no harm. */
static void step_back(void)
{
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
	              IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_BE_NR - 1));
}

static void *digest_main(void *arg)
{
	struct digest *digest = arg;
	const struct digest_params *params = &digest->params;
	char found[SHA256_HEX_LENGTH + 1] = "";
	struct cf_error sentence = {0};
	enum digest_state state;
	int r = 0;

	cf_lock(&digest->lock);
	while (!digest->begun && !atomic_load(&digest->stopping))
		cf_cond_wait(&digest->cond, &digest->lock);
	cf_unlock(&digest->lock);
	if (atomic_load(&digest->stopping))
		return NULL;
	step_back();
	if (!params->is_modified(params->user))
		r = compute(digest, found);
	if (r == -ECANCELED)
		return NULL;
	state = judge(digest, r, found, &sentence);
	params->known(params->user, state, sentence.text);
	atomic_store(&digest->state, state);
	return NULL;
}

int digest_new(const struct digest_params *params, struct digest **ret_digest, struct cf_error *err)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	int r;

	if (!digest)
		return cf_error_set(err, -ENOMEM, "out of memory");
	digest->params = *params;
	atomic_init(&digest->state, DIGEST_UNVERIFIED);
	atomic_init(&digest->stopping, false);
	cf_mutex_init(&digest->lock);
	cf_cond_init(&digest->cond);
	r = -pthread_create(&digest->thread, NULL, digest_main, digest);
	if (r < 0) {
		digest_free(digest);
		return cf_error_errno(err, r, "cannot start the digest's thread");
	}
	(void)pthread_setname_np(digest->thread, "clonefs-digest");
	*ret_digest = digest;
	return 0;
}

void digest_begin(struct digest *digest)
{
	if (!digest)
		return;
	cf_lock(&digest->lock);
	digest->begun = true;
	cf_cond_signal(&digest->cond);
	cf_unlock(&digest->lock);
}

enum digest_state digest_get(struct digest *digest, bool modified)
{
	enum digest_state state;

	if (!digest)
		return DIGEST_UNVERIFIED;
	state = atomic_load(&digest->state);
	return state == DIGEST_UNVERIFIED && modified ? DIGEST_IMPOSSIBLE : state;
}

void digest_stop(struct digest *digest)
{
	if (!digest)
		return;
	cf_lock(&digest->lock);
	atomic_store(&digest->stopping, true);
	cf_cond_signal(&digest->cond);
	cf_unlock(&digest->lock);
	(void)pthread_join(digest->thread, NULL);
}

void digest_free(struct digest *digest)
{
	if (!digest)
		return;
	cf_cond_fini(&digest->cond);
	cf_mutex_fini(&digest->lock);
	free(digest);
}
