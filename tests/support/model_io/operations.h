/*
 * One random operation on the image, compared with the model: reads and writes (buffered, O_DIRECT,
 * mmap), punch and zero-range, fsync. Sizes and places are mixed: single bytes to several regions,
 * aligned or not, half of them near a spot that moves now and then, so that operations meet.
 */
#ifndef CLONEFS_TESTS_MODEL_IO_OPERATIONS_H
#define CLONEFS_TESTS_MODEL_IO_OPERATIONS_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/support/model_io/byte_locks.h"
#include "tests/support/model_io/history.h"
#include "tests/support/model_io/model.h"
#include "tests/support/model_io/random.h"

enum operation_kind {
	OPERATION_READ,
	OPERATION_READ_DIRECT,
	OPERATION_READ_MAPPED,
	OPERATION_WRITE,
	OPERATION_WRITE_DIRECT,
	OPERATION_WRITE_MAPPED,
	OPERATION_WRITE_REGIONS,
	OPERATION_PUNCH,
	OPERATION_ZERO,
	OPERATION_SYNC,
	NR_OPERATIONS,
};

enum operation_result {
	OPERATION_DONE,
	OPERATION_FAILED, /* the image refused it: fine in a crash only */
	OPERATION_WRONG,  /* it is not what the model says; said on stderr */
};

/* What all workers share. */
struct target {
	const char *path;
	uint64_t region_size;
	struct model *model;
	struct byte_locks locks;
	struct history history;
	unsigned int weights[NR_OPERATIONS]; /* how often each kind is chosen */
	_Atomic uint64_t counts[NR_OPERATIONS];
	_Atomic uint64_t hot_spot; /* byte offset */
};

/* One thread's. */
struct worker {
	struct target *target;
	struct random random;
	int fd, direct_fd; /* -1: closed */
	uint8_t *buffer;   /* owned, OPERATION_ROOM bytes, aligned to a page */
	const char *what;  /* the operation that failed or was wrong, with its place: */
	uint64_t offset;
	uint64_t length;
	int error; /* errno of OPERATION_FAILED */
};

#define OPERATION_ROOM (UINT64_C(4) << 20)

/* False: said on stderr. */
bool worker_init(struct worker *worker, struct target *target, uint64_t seed);
void worker_fini(struct worker *worker);
/* Opens the image again, as after a crash. False: errno says why. */
bool worker_open(struct worker *worker);
void worker_close(struct worker *worker);

/* From SIGBUS of a mapping whose image is gone, on the thread of its worker. */
void operation_handle_sigbus(void);

enum operation_result operation_run(struct worker *worker);
/* By name, as in the table of kinds; -1: unknown. */
int operation_find(const char *name);
const char *operation_name(enum operation_kind kind);

#endif
