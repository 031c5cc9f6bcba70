#include "tests/support/memory_io.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512u

struct memory_io_log {
	pthread_mutex_t lock; /* protects all below, and all devices of the log */
	struct memory_io_op *ops;
	size_t nr, room;
};

struct memory_io {
	struct block_io io; /* first */
	uint8_t *data;      /* what reads see */
	uint8_t *durable;   /* NULL without a log: what was there when the log began */
	struct memory_io_log *log;
	pthread_mutex_t own_lock; /* without a log */
	unsigned int fault_kinds; /* 0: none */
	uint64_t fault_countdown;
	int fault_code;
	bool fault_forever;
	uint64_t nr_failed;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static struct memory_io *of(struct block_io *io)
{
	return (struct memory_io *)io;
}

static void lock(struct memory_io *m)
{
	(void)pthread_mutex_lock(m->log ? &m->log->lock : &m->own_lock);
}

static void unlock(struct memory_io *m)
{
	(void)pthread_mutex_unlock(m->log ? &m->log->lock : &m->own_lock);
}

struct memory_io_log *memory_io_log_new(void)
{
	struct memory_io_log *log = must(calloc(1, sizeof(*log)));

	(void)pthread_mutex_init(&log->lock, NULL);
	return log;
}

static void drop_ops(struct memory_io_log *log)
{
	for (size_t i = 0; i < log->nr; i++)
		free((void *)(uintptr_t)log->ops[i].data);
	log->nr = 0;
}

void memory_io_log_free(struct memory_io_log *log)
{
	if (!log)
		return;
	drop_ops(log);
	free(log->ops);
	(void)pthread_mutex_destroy(&log->lock);
	free(log);
}

size_t memory_io_log_nr(const struct memory_io_log *log)
{
	return log->nr;
}

const struct memory_io_op *memory_io_log_op(const struct memory_io_log *log, size_t i)
{
	return &log->ops[i];
}

/* Applies writes and punches of this device to @image. */
static void apply(uint8_t *image, const struct memory_io_op *op, uint64_t from, uint64_t length)
{
	if (op->kind == MEMORY_IO_WRITE)
		memcpy(image + op->offset + from, op->data + from, length);
	else if (op->kind == MEMORY_IO_PUNCH)
		memset(image + op->offset + from, 0, length);
}

void memory_io_log_clear(struct memory_io_log *log)
{
	(void)pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->nr; i++) {
		const struct memory_io_op *op = &log->ops[i];

		apply(of(op->io)->durable, op, 0, op->length);
	}
	drop_ops(log);
	(void)pthread_mutex_unlock(&log->lock);
}

static void record(struct memory_io *m, enum memory_io_kind kind, uint64_t offset, uint64_t length,
                   const void *data, int result)
{
	struct memory_io_log *log = m->log;
	uint8_t *copy = NULL;

	if (!log)
		return;
	if (log->nr == log->room) {
		log->room = log->room ? 2 * log->room : 64;
		log->ops = must(reallocarray(log->ops, log->room, sizeof(*log->ops)));
	}
	if (kind == MEMORY_IO_WRITE) {
		copy = must(malloc(length ? length : 1));
		memcpy(copy, data, length);
	}
	log->ops[log->nr++] = (struct memory_io_op){
	        .kind = kind,
	        .io = &m->io,
	        .offset = offset,
	        .length = length,
	        .data = copy,
	        .result = result,
	};
}

/* 0, or the error with which this operation is to fail. */
static int fault(struct memory_io *m, enum memory_io_kind kind)
{
	if (!(m->fault_kinds & kind) || m->fault_countdown == 0)
		return 0;
	if (m->fault_countdown > 1) {
		m->fault_countdown--;
		return 0;
	}
	if (!m->fault_forever)
		m->fault_countdown = 0;
	m->nr_failed++;
	return m->fault_code;
}

static bool is_inside(const struct memory_io *m, uint64_t offset, uint64_t length)
{
	return offset <= m->io.size && length <= m->io.size - offset;
}

static int memory_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	struct memory_io *m = of(io);
	int r;

	lock(m);
	r = fault(m, MEMORY_IO_READ);
	if (r == 0 && !is_inside(m, offset, length))
		r = -ENODATA;
	if (r == 0)
		memcpy(buf, m->data + offset, length);
	unlock(m);
	return r;
}

/* As many bytes as a pipe holds; more would wait for a reader. */
static int memory_splice(struct block_io *io, int pipe, size_t length, uint64_t offset)
{
	uint8_t *bytes = must(malloc(length));
	int r = memory_pread(io, bytes, length, offset);

	if (r == 0 && write(pipe, bytes, length) != (ssize_t)length)
		r = -EAGAIN;
	free(bytes);
	return r;
}

static int memory_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	struct memory_io *m = of(io);
	uint64_t length = 0, done = 0;
	uint8_t *flat;
	int r;

	for (int i = 0; i < nr_iov; i++)
		length += iov[i].iov_len;
	flat = must(malloc(length ? length : 1));
	for (int i = 0; i < nr_iov; i++) {
		memcpy(flat + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	lock(m);
	r = fault(m, MEMORY_IO_WRITE);
	if (!is_inside(m, offset, length)) {
		r = -ENOSPC;
		length = 0;
	} else if (r < 0) {
		length = length / SECTOR / 2 * SECTOR;
	}
	memcpy(m->data + offset * (length > 0), flat, length);
	record(m, MEMORY_IO_WRITE, offset, length, flat, r);
	unlock(m);
	free(flat);
	return r;
}

static int memory_sync(struct block_io *io)
{
	struct memory_io *m = of(io);
	int r;

	lock(m);
	r = fault(m, MEMORY_IO_SYNC);
	record(m, MEMORY_IO_SYNC, 0, 0, NULL, r);
	unlock(m);
	return r;
}

static int memory_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	struct memory_io *m = of(io);
	int r;

	lock(m);
	r = fault(m, MEMORY_IO_PUNCH);
	if (r == 0 && !is_inside(m, offset, length))
		r = -EINVAL;
	if (r == 0)
		memset(m->data + offset, 0, length);
	record(m, MEMORY_IO_PUNCH, offset, r == 0 ? length : 0, NULL, r);
	unlock(m);
	return r;
}

static int memory_allocate(struct block_io *io, uint64_t offset, uint64_t length)
{
	return is_inside(of(io), offset, length) ? 0 : -ENOSPC;
}

/* All of it is data, as on a device that cannot tell. */
static int memory_seek(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset)
{
	(void)io;
	(void)offset;
	(void)whence;
	(void)ret_offset;
	return -EOPNOTSUPP;
}

static void memory_close(struct block_io *io)
{
	struct memory_io *m = of(io);

	(void)pthread_mutex_destroy(&m->own_lock);
	free(m->data);
	free(m->durable);
	free(m);
}

static const struct block_io_ops memory_ops = {
        .pread = memory_pread,
        .splice = memory_splice,
        .pwritev = memory_pwritev,
        .sync = memory_sync,
        .punch = memory_punch,
        .zero = memory_punch,
        .allocate = memory_allocate,
        .seek = memory_seek,
        .close = memory_close,
};

struct block_io *memory_io_new(uint64_t size, struct memory_io_log *log)
{
	struct memory_io *m = must(calloc(1, sizeof(*m)));

	m->io = (struct block_io){.ops = &memory_ops, .size = size};
	m->data = must(calloc(size ? size : 1, 1));
	m->durable = log ? must(calloc(size ? size : 1, 1)) : NULL;
	m->log = log;
	(void)pthread_mutex_init(&m->own_lock, NULL);
	return &m->io;
}

struct block_io *memory_io_from(const void *data, uint64_t size, struct memory_io_log *log)
{
	struct block_io *io = memory_io_new(size, log);

	memcpy(of(io)->data, data, size);
	if (log)
		memcpy(of(io)->durable, data, size);
	return io;
}

uint8_t *memory_io_data(struct block_io *io)
{
	return of(io)->data;
}

void memory_io_fail(struct block_io *io, unsigned int kinds, uint64_t nth, int code, bool forever)
{
	struct memory_io *m = of(io);

	lock(m);
	m->fault_kinds = nth ? kinds : 0;
	m->fault_countdown = nth;
	m->fault_code = code;
	m->fault_forever = forever;
	m->nr_failed = 0;
	unlock(m);
}

uint64_t memory_io_nr_failed(struct block_io *io)
{
	struct memory_io *m = of(io);
	uint64_t nr_failed;

	lock(m);
	nr_failed = m->nr_failed;
	unlock(m);
	return nr_failed;
}

static bool is_change(const struct memory_io_op *op)
{
	return op->kind == MEMORY_IO_WRITE || op->kind == MEMORY_IO_PUNCH;
}

/*
 * For each of the first @at operations: is it a write of this device that the sync which follows it
 * made durable? Only that sync counts: after a failed one the writes are doubtful for ever. Owned
 * by the caller; *@ret_nr_doubtful: the device's other writes.
 */
static bool *find_covered(const struct memory_io *m, size_t at, size_t *ret_nr_doubtful)
{
	bool *covered = must(calloc(at ? at : 1, sizeof(*covered)));
	bool synced = false;

	*ret_nr_doubtful = 0;
	for (size_t i = at; i-- > 0;) {
		const struct memory_io_op *op = &m->log->ops[i];

		if (op->io != &m->io)
			continue;
		if (op->kind == MEMORY_IO_SYNC)
			synced = op->result == 0;
		else
			covered[i] = synced;
		*ret_nr_doubtful += is_change(op) && !synced;
	}
	return covered;
}

size_t memory_io_nr_doubtful(struct block_io *io, size_t at)
{
	struct memory_io *m = of(io);
	size_t nr;

	lock(m);
	free(find_covered(m, at, &nr));
	unlock(m);
	return nr;
}

/* splitmix64: small, and good from any seed. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static void apply_sectors(uint8_t *image, const struct memory_io_op *op, uint64_t *random)
{
	uint64_t at = 0;

	while (at < op->length) {
		/* Sectors are the device's: a write need not begin with one. */
		uint64_t piece = SECTOR - (op->offset + at) % SECTOR;

		if (piece > op->length - at)
			piece = op->length - at;
		if (next_random(random) & 1)
			apply(image, op, at, piece);
		at += piece;
	}
}

static void apply_doubtful(uint8_t *image, const struct memory_io_op *op, size_t number,
                           size_t nr_doubtful, const struct memory_io_cut *cut, uint64_t *random)
{
	bool whole = false;

	switch (cut->kind) {
	case MEMORY_IO_CUT_NONE:
		break;
	case MEMORY_IO_CUT_ALL:
		whole = true;
		break;
	case MEMORY_IO_CUT_ONE:
		whole = nr_doubtful && number == cut->seed % nr_doubtful;
		break;
	case MEMORY_IO_CUT_RANDOM:
		whole = next_random(random) & 1;
		break;
	case MEMORY_IO_CUT_SECTORS:
		apply_sectors(image, op, random);
		break;
	}
	if (whole)
		apply(image, op, 0, op->length);
}

struct block_io *memory_io_after_cut(struct block_io *io, const struct memory_io_cut *cut)
{
	struct memory_io *m = of(io);
	struct block_io *after;
	uint64_t random = cut->seed;
	size_t number = 0, nr_doubtful;
	bool *covered;

	lock(m);
	after = memory_io_from(m->durable, io->size, NULL);
	covered = find_covered(m, cut->at, &nr_doubtful);
	for (size_t i = 0; i < cut->at; i++) {
		const struct memory_io_op *op = &m->log->ops[i];

		if (op->io != io || !is_change(op))
			continue;
		if (covered[i])
			apply(of(after)->data, op, 0, op->length);
		else
			apply_doubtful(of(after)->data, op, number++, nr_doubtful, cut, &random);
	}
	unlock(m);
	free(covered);
	return after;
}
