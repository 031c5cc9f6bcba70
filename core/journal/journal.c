/*
 * Thread model: callers put records into a ring under a short lock; the journal's thread writes
 * them from there without the lock (callers touch only free slots) and frees the slots when they
 * are in the database. In trouble the ring keeps what it has, and what comes then is counted.
 */
#include "core/journal/journal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mutex.h"
#include "core/journal/journal_db.h"

#define SLOTS            256u
#define BATCH_MAX        64u
#define RETRY_DEFAULT_MS 5000u
#define RETRY_BUSY_MS    100u
#define CLOSE_WAIT_MS    2000u

struct journal {
	/* Fixed from the open on. */
	char *path; /* owned */
	bool without_wal;
	unsigned int retry_ms;
	pthread_t thread;

	struct cf_mutex lock;        /* protects all down to close_deadline_ns */
	struct cf_cond wake;         /* for the thread: records, drops or the end */
	struct cf_cond change;       /* for flush: settled moved */
	struct journal_record *ring; /* owned; SLOTS, the used ones are written by nobody */
	size_t head, nr_used;
	bool lasting[NR_JOURNAL_KINDS]; /* begin taken, end not yet; each keeps a slot free */
	size_t nr_lasting;
	uint64_t taken, settled; /* records put into the ring; gone from it */
	uint64_t written, dropped;
	uint64_t dropped_unwritten; /* of dropped, in no row yet */
	bool closing;
	uint64_t close_deadline_ns;

	/* The thread's own (before it runs, the opener's). */
	struct journal_db *db;  /* owned; NULL: to be opened again */
	bool had_session;       /* the database was open before */
	bool in_trouble;        /* said in the log */
	struct cf_error damage; /* code 0: none */
};

static int open_database(struct journal *j, struct cf_error *err)
{
	struct journal_db_params params = {
	        .path = j->path,
	        .without_wal = j->without_wal,
	        .same_session = j->had_session,
	        .damage = j->damage.code ? j->damage.text : NULL,
	};
	int r = journal_db_open(&params, &j->db, err);

	if (r == 0) {
		j->had_session = true;
		j->damage.code = 0;
	}
	return r;
}

static int write_once(struct journal *j, const struct journal_record *records, size_t nr,
                      uint64_t dropped, struct cf_error *err)
{
	int r = 0;

	if (!j->db)
		r = open_database(j, err);
	if (r == 0)
		r = journal_db_write(j->db, records, nr, dropped, err);
	if (r < 0 && r != -EBUSY && r != -ENOSPC) {
		journal_db_close(j->db, false);
		j->db = NULL;
	}
	return r;
}

static void tell_trouble(struct journal *j, int error, const struct cf_error *err)
{
	if (error == 0 && j->in_trouble)
		log_notice("the journal %s is being written again", j->path);
	else if (error < 0 && !j->in_trouble)
		log_warn("the journal %s cannot be written, trying again: %s", j->path, err->text);
	j->in_trouble = error < 0;
}

/* Writes without the lock; damage found by writing is met by one new database at once. */
static int write_batch(struct journal *j, const struct journal_record *records, size_t nr,
                       uint64_t dropped)
{
	struct cf_error err = {0};
	int r = write_once(j, records, nr, dropped, &err);

	if (r == -EUCLEAN) {
		j->damage = err;
		r = write_once(j, records, nr, dropped, &err);
	}
	/* A lock that is held for a moment is not worth a line. */
	if (r != -EBUSY)
		tell_trouble(j, r, &err);
	return r;
}

static void settle_locked(struct journal *j, size_t nr) CF_REQUIRES(&j->lock)
{
	j->head = (j->head + nr) % SLOTS;
	j->nr_used -= nr;
	j->settled += nr;
	cf_cond_broadcast(&j->change);
}

static void wait_retry_locked(struct journal *j, int error) CF_REQUIRES(&j->lock)
{
	bool closing = j->closing;
	unsigned int ms = closing || error == -EBUSY ? RETRY_BUSY_MS : j->retry_ms;
	uint64_t deadline = clock_monotonic_ns() + ms * CF_NS_PER_MS;

	while (j->closing == closing && cf_cond_wait_until(&j->wake, &j->lock, deadline))
		;
}

/* One round with the lock held outside of the writing; false: the thread ends. */
static bool round_locked(struct journal *j) CF_REQUIRES(&j->lock)
{
	size_t nr = j->nr_used;
	bool last_try = j->closing;
	uint64_t dropped;
	int r;

	if (nr > SLOTS - j->head)
		nr = SLOTS - j->head;
	if (nr > BATCH_MAX)
		nr = BATCH_MAX;
	/* What was dropped came after what is queued: it is told with the last of that. */
	dropped = nr == j->nr_used ? j->dropped_unwritten : 0;

	cf_unlock(&j->lock);
	r = write_batch(j, j->ring + j->head, nr, dropped);
	cf_lock(&j->lock);

	if (r == 0) {
		j->written += nr;
		j->dropped_unwritten -= dropped;
		settle_locked(j, nr);
	} else if (last_try && (r != -EBUSY || clock_monotonic_ns() > j->close_deadline_ns)) {
		j->dropped += j->nr_used;
		return false;
	} else {
		wait_retry_locked(j, r);
	}
	return true;
}

static void *journal_main(void *arg)
{
	struct journal *j = arg;
	bool more = true;

	cf_lock(&j->lock);
	while (more) {
		while (!j->nr_used && !j->dropped_unwritten && !j->closing)
			cf_cond_wait(&j->wake, &j->lock);
		more = (j->nr_used || j->dropped_unwritten) && round_locked(j);
	}
	cf_unlock(&j->lock);
	journal_db_close(j->db, true);
	j->db = NULL;
	return NULL;
}

/* One slot is kept for the close, and one for each episode's end. */
static bool has_room_locked(const struct journal *j, size_t slots)
{
	return j->nr_used + j->nr_lasting + 1 + slots <= SLOTS;
}

static void put_locked(struct journal *j, enum journal_record_form form, enum journal_kind kind,
                       uint64_t value, const char *text) CF_REQUIRES(&j->lock)
{
	journal_record_set(&j->ring[(j->head + j->nr_used) % SLOTS], form, kind, value, text);
	j->nr_used++;
	j->taken++;
	cf_cond_signal(&j->wake);
}

static void drop_locked(struct journal *j) CF_REQUIRES(&j->lock)
{
	j->dropped++;
	j->dropped_unwritten++;
}

static void end_locked(struct journal *j, enum journal_kind kind) CF_REQUIRES(&j->lock)
{
	if (!j->lasting[kind])
		return;
	j->lasting[kind] = false;
	j->nr_lasting--;
	put_locked(j, RECORD_END, kind, 0, NULL);
}

void journal_event(struct journal *j, enum journal_kind kind, uint64_t value, const char *text)
{
	if (!j)
		return;
	assert(!journal_kind_lasts(kind));
	cf_lock(&j->lock);
	if (has_room_locked(j, 1))
		put_locked(j, RECORD_MOMENT, kind, value, text);
	else
		drop_locked(j);
	cf_unlock(&j->lock);
}

void journal_begin(struct journal *j, enum journal_kind kind, const char *text)
{
	if (!j)
		return;
	assert(journal_kind_lasts(kind));
	cf_lock(&j->lock);
	end_locked(j, kind);
	if (has_room_locked(j, 2)) {
		put_locked(j, RECORD_BEGIN, kind, 0, text);
		j->lasting[kind] = true;
		j->nr_lasting++;
	} else {
		drop_locked(j);
	}
	cf_unlock(&j->lock);
}

void journal_end(struct journal *j, enum journal_kind kind)
{
	if (!j)
		return;
	assert(journal_kind_lasts(kind));
	cf_lock(&j->lock);
	end_locked(j, kind);
	cf_unlock(&j->lock);
}

int journal_flush(struct journal *j, unsigned int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + timeout_ms * CF_NS_PER_MS;
	bool in_time = true;
	uint64_t taken;
	int r;

	if (!j)
		return 0;
	cf_lock(&j->lock);
	taken = j->taken;
	while (j->settled < taken && in_time)
		in_time = cf_cond_wait_until(&j->change, &j->lock, deadline);
	r = j->settled < taken ? -ETIMEDOUT : 0;
	cf_unlock(&j->lock);
	return r;
}

void journal_get_counts(struct journal *j, struct journal_counts *ret_counts)
{
	*ret_counts = (struct journal_counts){0};
	if (!j)
		return;
	cf_lock(&j->lock);
	ret_counts->written = j->written;
	ret_counts->dropped = j->dropped;
	cf_unlock(&j->lock);
}

static void journal_free(struct journal *j)
{
	journal_db_close(j->db, false);
	cf_cond_fini(&j->change);
	cf_cond_fini(&j->wake);
	cf_mutex_fini(&j->lock);
	free(j->ring);
	free(j->path);
	free(j);
}

/* Signals are for the program's own threads. */
static int start_thread(struct journal *j)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&j->thread, NULL, journal_main, j);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -EAGAIN;
	(void)pthread_setname_np(j->thread, "clonefs-journal");
	return 0;
}

int journal_open(const char *path, const struct journal_options *options,
                 struct journal **ret_journal, struct cf_error *err)
{
	struct journal *j = calloc(1, sizeof(*j));
	struct cf_error trouble = {0};
	int r;

	if (!j)
		return cf_error_errno(err, -ENOMEM, "the journal %s cannot be opened", path);
	cf_mutex_init(&j->lock);
	cf_cond_init(&j->wake);
	cf_cond_init(&j->change);
	j->path = strdup(path);
	j->ring = calloc(SLOTS, sizeof(*j->ring));
	j->without_wal = options->without_wal;
	j->retry_ms = options->retry_ms ? options->retry_ms : RETRY_DEFAULT_MS;
	if (!j->path || !j->ring) {
		r = cf_error_errno(err, -ENOMEM, "the journal %s cannot be opened", path);
		goto failed;
	}

	r = open_database(j, &trouble);
	if (r == -EOPNOTSUPP || r == -EINVAL || r == -ENOMEM) {
		(void)cf_error_set(err, r, "the journal %s %s", path, trouble.text);
		goto failed;
	}
	tell_trouble(j, r, &trouble);
	journal_event(j, JOURNAL_OPEN, (uint64_t)getpid(), options->opening);
	r = start_thread(j);
	if (r < 0) {
		(void)cf_error_errno(err, r, "the journal's thread cannot be started");
		goto failed;
	}
	*ret_journal = j;
	return 0;
failed:
	journal_free(j);
	return r;
}

void journal_close(struct journal *j, const char *reason)
{
	if (!j)
		return;
	cf_lock(&j->lock);
	put_locked(j, RECORD_MOMENT, JOURNAL_CLOSE, 0, reason);
	j->closing = true;
	j->close_deadline_ns = clock_monotonic_ns() + CLOSE_WAIT_MS * CF_NS_PER_MS;
	cf_cond_signal(&j->wake);
	cf_unlock(&j->lock);
	(void)pthread_join(j->thread, NULL);
	journal_free(j);
}
