/*
 * The engine's state in one place, for the files of this folder. Prototypes are in the header of
 * the file that has the function.
 *
 * One lock, image->lock, protects all scheduling state: inflight table, fetches, requests, budget,
 * queues. It is held for table work and for copying bytes that arrived, never across I/O, and only
 * short locks are taken inside: metadata's bitmap lock and what a backend's submit, cancel and
 * resume take. Functions ending in _locked want it. Locks: docs/locking.md.
 */
#ifndef CLONEFS_ENGINE_INTERNAL_H
#define CLONEFS_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/clock.h"
#include "core/base/geometry.h"
#include "core/base/min_max.h"
#include "core/base/mutex.h"
#include "core/engine/budget.h"
#include "core/engine/climb.h"
#include "core/engine/image.h"
#include "core/engine/list.h"
#include "core/engine/patience.h"
#include "core/engine/prealloc.h"
#include "core/engine/pushback.h"
#include "core/engine/source.h"
#include "core/engine/store.h"
#include "core/engine/sync_habit.h"
#include "core/engine/written.h"
#include "core/metadata/metadata.h"

#define NEVER_NS UINT64_MAX

/* Pieces are what is buffered and handed to the writers: a region, or part of a larger one. */
#define PIECE_SIZE_MAX (UINT64_C(128) << 10)

/* ---- inflight.c: regions that are missing and wanted ---- */

enum piece_state {
	PIECE_EMPTY,
	PIECE_FILLING, /* has a buffer; `filled` bytes of it are there */
	PIECE_QUEUED,  /* whole, waits for a writer */
	PIECE_WRITING, /* in a writer's hands */
	PIECE_STORED,  /* in the destination */
};

struct piece {
	struct list queue_link; /* in writers->pieces while QUEUED */
	struct list waits;      /* read_part.link */
	struct entry *entry;    /* the one it is part of */
	unsigned char *buf;     /* owned, from the budget; FILLING to WRITING */
	uint32_t filled;
	uint32_t nr_writes; /* in place, under way: it is not given to a writer meanwhile */
	enum piece_state state;
	enum budget_use use; /* what buf is charged to */
};

struct entry {
	struct entry *next_in_bucket;
	struct list link; /* in inflight->entries */
	uint64_t region;
	uint64_t cursor;    /* where the first reader's piece begins, bytes */
	struct list parked; /* parked.link: writes that wait for the region */
	uint32_t nr_pieces;
	uint32_t nr_filled;   /* QUEUED, WRITING or STORED, while kept */
	uint32_t nr_stored;   /* STORED, while kept */
	uint32_t nr_in_hands; /* WRITING, and writes in place that are under way */
	uint32_t nr_waits;    /* in all pieces */
	/* Pieces go to the destination. Otherwise bytes only answer readers, and the entry ends
	 * without its bit. */
	bool keep;
	const void *owner; /* the whole-region change that has taken it over (R3); NULL: none */
	bool background;   /* counted in inflight->nr_background */

	/* partial.c; all unused while valid is NULL. */
	uint64_t *valid; /* owned; the sectors that users wrote (valid_sectors.h) */
	uint64_t partial_seq;
	uint64_t partial_since_ns;
	uint32_t nr_writes;       /* in place, under way */
	struct list partial_link; /* in partial->entries */
	struct list todo_link;    /* in partial->todo */

	struct piece pieces[];
};

struct inflight {
	struct entry **buckets; /* owned */
	struct list entries;
	uint64_t nr_entries;
	uint64_t nr_background;
	struct cf_cond owners; /* a taken entry ended, a piece came back, a write in place ended */
};

/* ---- partial.c: regions that users have written in part ---- */

struct partial {
	struct list entries; /* entry.partial_link, by the time they became partial */
	struct list todo;    /* entry.todo_link: nobody asks for what they miss */
	struct list flushes; /* image_request.link: wait for entries, by arrival */
	uint64_t bytes;      /* lengths of their regions */
	uint64_t last_seq;
	/* Regions that were partial when the image stopped. */
	uint64_t nr_not_kept, nr_told;
	struct written not_kept; /* which, with can_name; unused while there is none */
	bool can_name;
};

/* ---- fetch.c: requests to the source ---- */

#define FETCH_NR_CLASSES 3

struct fetch {
	struct source_request req; /* while running */
	struct image *img;
	struct list link; /* in fetches->queued[class] or ->running */
	enum source_class class;
	uint64_t start, end;  /* all it was made for, bytes */
	uint64_t pos;         /* the next byte it brings */
	uint64_t attempt_pos; /* where this attempt began */
	uint64_t not_before_ns;
	uint64_t submitted_ns;
	uint64_t first_byte_ns;  /* 0: none yet */
	uint64_t moved_ns;       /* when this attempt last brought bytes, or was sent */
	uint64_t asked_again_ns; /* when it was last asked again for its silence; 0: never */
	uint64_t yielded_ns;     /* when it last gave up its connection for a probe; 0: never */
	uint64_t short_ns;       /* a short probe: how long it may take; 0: it is none */
	uint64_t expires_ns;     /* a short probe that was sent: when it is given up */
	unsigned int attempts;   /* in a row without a byte */
	bool running;
	bool joined;    /* a reader waits for some of it: its pieces count as foreground */
	bool stalled;   /* data() was refused for want of room */
	bool cancelled; /* source_cancel() was called; brings nothing any more */
	bool fresh;     /* confirms a change on a connection of its own */
	bool refused;   /* queued again, as the source refused one more */
	bool is_probe;  /* only asks whether the source is there */
	bool yields;    /* asked again: behind all others, on a connection of its own */
};

struct fetches {
	struct list queued[FETCH_NR_CLASSES];
	struct list running;
	unsigned int nr_running[FETCH_NR_CLASSES];
	unsigned int nr_queued[FETCH_NR_CLASSES];
	unsigned int nr_stalled;
	uint64_t hold_until_ns; /* Retry-After: nothing is sent before */
	uint64_t nr_requests;
	uint64_t nr_bytes;
};

/* ---- pacing.c: what the connections can do ---- */

#define PACING_SECONDS 11

struct pacing {
	uint64_t first_byte_ns;        /* smoothed time to the first byte, foreground; 0 unknown */
	uint64_t calm_ns;              /* the same while things are calm: a slowly rising minimum */
	uint64_t byte_rate;            /* of one connection, bytes per second; 0 unknown */
	uint64_t reader_ns;            /* when foreground or read-ahead was last asked for */
	unsigned int background_limit; /* requests at a time */
	struct climb climb;            /* of background_limit */
	uint64_t begin_ns;             /* of the last request that began when there was no other */
	uint64_t begin_bytes;          /* that came since then */
	struct {
		uint64_t second;
		uint64_t bytes;
	} seconds[PACING_SECONDS]; /* ring: what arrived lately */
};

/* ---- outage.c: is the source there? ---- */

struct outage {
	enum image_source_state state;
	uint64_t last_byte_ns;
	uint64_t since_ns;         /* unreachable: when it was declared */
	uint64_t silent_ns;        /* unreachable: from when on nothing came */
	uint64_t next_probe_ns;    /* when a miss, a probe or one of the failed may ask again */
	unsigned int failures;     /* attempts of any fetch that failed since the last byte */
	bool probing;              /* a probe fetch exists, short ones left out */
	uint64_t short_due_ns;     /* the next short one (silence.h): not before */
	bool short_probing;        /* a short one exists (silence.h) */
	unsigned int nr_fresh;     /* so many attempts more take connections of their own */
	uint64_t patient_until_ns; /* nobody is asked again for his silence before */
	char why[256];             /* the last failure */
};

/* ---- readahead.c ---- */

#define READAHEAD_NR_STREAMS 8

struct stream {
	bool active;
	uint64_t begin; /* where the run of reads began */
	uint64_t next;  /* behind the last byte read */
	uint64_t ahead; /* behind the last byte asked for */
	unsigned int nr_reads;
	uint64_t used; /* counts up: the least recently used one is replaced */
	/* A hit with this byte moves the stream on; UINT64_MAX: none. Read without lock. */
	_Atomic uint64_t trigger;
};

struct readahead {
	struct stream streams[READAHEAD_NR_STREAMS];
	uint64_t clock;
};

/* ---- hydrator.c ---- */

struct hydrator {
	pthread_t thread;
	bool started;
	bool stop;
	struct cf_cond wake;
	uint64_t wake_ns; /* when it wakes by itself */
	uint64_t cursor;  /* region where background goes on */
	bool paused;
	bool off;                  /* closing: no background any more */
	struct list pauses;        /* requests: answered when no background is in flight */
	uint64_t failed_until_ns;  /* background holds off after a failure nobody waited for */
	unsigned int failures;     /* in a row */
	uint64_t failing_since_ns; /* when the first of them was sent */
	int64_t tokens;            /* bytes that background may ask for now; may be negative */
	uint64_t tokens_ns;        /* when they were counted */
	int no_space;              /* negative errno of the destination, 0: fine */
	uint64_t next_try_ns;      /* no_space: when one region is tried */
};

/* ---- sharing.c ---- */

enum sharing_state { SHARING_IDLE, SHARING_QUEUED, SHARING_RUNNING };

struct sharing {
	bool possible; /* until the file system says that it is not */
	bool skip_one; /* the next batch is fetched all the same */
	enum sharing_state state;
	uint64_t first, nr; /* the regions, unless IDLE */
};

/* ---- writers.c ---- */

#define WRITERS_NR_THREADS 4

struct writers {
	pthread_t threads[WRITERS_NR_THREADS];
	unsigned int nr_threads;
	unsigned int nr_idle;
	unsigned int nr_busy;
	unsigned int nr_storing; /* of them: with pieces */
	bool called;             /* an idle one was woken for pieces and has not come yet */
	uint64_t returned_ns;    /* when the disk last took pieces, or refused them */
	bool stop;
	struct cf_cond work;
	struct list locals; /* image_request.local_link: reads of the destination */
	struct list parked; /* parked.link: writes whose region is hydrated */
	struct list pieces; /* piece.queue_link */
};

/* ---- committer.c ---- */

struct committer {
	pthread_t thread;
	bool started;
	bool stop;
	uint64_t interval_ms; /* at most so long from a change to its commit, but see patience.h */
	struct cf_cond wake;
	struct list tickets; /* image_request.link: for the next commit */
	bool wanted;         /* a commit nobody waits for */
	bool dirty;          /* bits were set since the last commit began */
	bool stale;          /* invalidate() is to be called */
	bool busy;           /* a commit runs, on whichever thread */
	struct patience patience;
	uint64_t dirty_ns;    /* when dirty was set */
	uint64_t last_ns;     /* when the last commit ended */
	uint64_t ahead_ns;    /* when the destination was last told to write back */
	unsigned int percent; /* the last milestone */
	struct cf_error last_error;
};

/* ---- events.c ---- */

struct events {
	struct list queue; /* owned; emitted in order by the hydrator's thread */
};

/* ---- request.c ---- */

enum request_kind { REQUEST_READ, REQUEST_CHANGE, REQUEST_FLUSH, REQUEST_PAUSE };

enum read_part_state {
	PART_WAITING, /* in a piece's waits */
	PART_LOCAL,   /* is to be read from the destination */
	PART_READING, /* is being read from it */
	PART_MIXED,   /* came from the source; its valid sectors are to be read over that */
	PART_DONE,
};

/* What a read wants from one piece. */
struct read_part {
	struct list link; /* in piece->waits */
	struct image_request *req;
	struct piece *piece; /* while WAITING */
	uint64_t offset;     /* in the image */
	uint32_t length;
	uint32_t got; /* bytes that are in the reply */
	enum read_part_state state;
};

enum parked_state { PARKED_NONE, PARKED_WAITING, PARKED_READY, PARKED_WRITING, PARKED_DONE };

/* Part of a region that a change waits to write until the region is hydrated. */
struct parked {
	struct list link; /* in entry->parked, then in writers->parked */
	struct image_request *req;
	uint64_t offset;
	size_t length;
	unsigned char *data; /* owned, charged to BUDGET_WRITE; NULL: zeros */
	enum parked_state state;
};

struct image_request {
	atomic_uint refs;
	struct image *img; /* not touched once it ended and was let go */
	enum request_kind kind;
	image_done_fn *done;
	void *user;

	/* The rest is protected by img->lock. */
	struct list link; /* img->ended, committer->tickets, hydrator->pauses, partial->flushes */
	struct list waiting_link; /* img->waiting: it depends on the source */
	uint64_t arrived_ns;
	bool ended; /* its answer is decided */
	int error;
	unsigned int hands; /* who uses its buffers now */
	unsigned int open;  /* parts that are not done */

	uint64_t flush_seq; /* waits for regions that were partial so early; 0: for none */

	uint64_t offset;
	size_t length;
	unsigned char
	        *buf; /* owned: the reply, from the budget; made when its first bytes are there */
	size_t charged_write;
	struct list local_link; /* in writers->locals */
	bool local_busy;        /* a thread is (or will be) in read_local_parts() */

	struct parked parked[2];
	uint32_t nr_parts;
	struct read_part parts[];
};

/* ---- image.c ---- */

struct image {
	/* Constant while open. */
	struct geometry geo;
	uint32_t piece_size;
	struct metadata *metadata; /* borrowed */
	struct store store;
	struct source *source; /* borrowed; NULL: none */
	struct image_callbacks callbacks;
	void *callbacks_user;
	bool read_only;

	/* Read without a lock by reads that hit. */
	atomic_int mode;        /* enum image_mode; release: who sees ro sees the lost set */
	atomic_uint epoch;      /* odd: bits are being reloaded; changes when they were */
	atomic_bool stopped;    /* image_stop() was called */
	struct written written; /* metadata's bitmap lock; constant once mode is not rw */

	struct sync_habit sync_habit; /* atomic */

	struct cf_mutex modify_lock; /* held while first_modify() runs */
	atomic_bool modified;

	struct cf_mutex lock; /* protects all below */
	bool stopping;        /* the same as stopped, for waits under the lock */
	struct image_settings settings;
	struct list ended;         /* requests whose done() is to be called */
	struct list waiting;       /* requests that depend on the source, by arrival */
	unsigned int nr_finishing; /* threads that call done() */
	struct cf_cond changed;    /* epoch got even, nr_finishing, fetches or hands got 0 */
	struct budget budget;
	struct inflight inflight;
	struct partial partial;
	struct fetches fetches;
	struct pacing pacing;
	struct pushback pushback;
	struct outage outage;
	struct readahead readahead;
	struct hydrator hydrator;
	struct prealloc prealloc;
	struct sharing sharing;
	struct writers writers;
	struct committer committer;
	struct events events;
	char mode_why[256]; /* why it is not rw */
};

#define CF_IMAGE_LOCKED CF_REQUIRES(&img->lock)

static inline enum image_mode image_mode(const struct image *img)
{
	return (enum image_mode)atomic_load_explicit(&img->mode, memory_order_acquire);
}

static inline bool image_is_stopped(const struct image *img)
{
	return atomic_load_explicit(&img->stopped, memory_order_relaxed);
}

static inline uint64_t ns_after(uint64_t base_ns, uint64_t ms)
{
	return ms > (NEVER_NS - base_ns) / CF_NS_PER_MS ? NEVER_NS : base_ns + ms * CF_NS_PER_MS;
}

#endif
