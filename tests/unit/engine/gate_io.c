#include "gate_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "core/base/clock.h"

static struct gate_io *of(struct block_io *io)
{
	return (struct gate_io *)io;
}

static void pass(struct gate_io *gate, const bool *hold)
{
	cf_lock(&gate->lock);
	while (*hold && !gate->one_may_go) {
		gate->nr_held++;
		cf_cond_broadcast(&gate->changed);
		cf_cond_wait(&gate->changed, &gate->lock);
		gate->nr_held--;
		cf_cond_broadcast(&gate->changed);
	}
	if (*hold)
		gate->one_may_go = false;
	cf_cond_broadcast(&gate->changed);
	cf_unlock(&gate->lock);
}

void gate_io_let_one_go(struct gate_io *gate)
{
	cf_lock(&gate->lock);
	gate->one_may_go = true;
	cf_cond_broadcast(&gate->changed);
	while (gate->one_may_go)
		cf_cond_wait(&gate->changed, &gate->lock);
	cf_unlock(&gate->lock);
}

static int gate_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	pass(of(io), &of(io)->hold_reads);
	return block_io_pread(of(io)->inner, buf, length, offset);
}

static int gate_splice(struct block_io *io, int pipe, size_t length, uint64_t offset)
{
	if (of(io)->no_splice)
		return -EOPNOTSUPP;
	pass(of(io), &of(io)->hold_reads);
	return block_io_splice(of(io)->inner, pipe, length, offset);
}

static int gate_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	pass(of(io), &of(io)->hold_writes);
	cf_lock(&of(io)->lock);
	for (int i = 0; i < nr_iov; i++)
		of(io)->bytes_written += iov[i].iov_len;
	cf_unlock(&of(io)->lock);
	return block_io_pwritev(of(io)->inner, iov, nr_iov, offset);
}

static void count(struct gate_io *gate, unsigned int *number)
{
	cf_lock(&gate->lock);
	(*number)++;
	cf_unlock(&gate->lock);
}

static int gate_sync(struct block_io *io)
{
	count(of(io), &of(io)->nr_syncs);
	pass(of(io), &of(io)->hold_syncs);
	return block_io_sync(of(io)->inner);
}

static void gate_write_back(struct block_io *io, uint64_t offset, uint64_t length)
{
	struct gate_io *gate = of(io);
	bool is_all = offset == 0 && length == io->size;

	cf_lock(&gate->lock);
	if (is_all) {
		gate->nr_write_backs++;
	} else {
		gate->nr_part_write_backs++;
		gate->part_offset = offset;
		gate->part_length = length;
	}
	cf_unlock(&gate->lock);
}

static int gate_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	if (of(io)->no_punch)
		return -EOPNOTSUPP;
	pass(of(io), &of(io)->hold_writes);
	return block_io_punch(of(io)->inner, offset, length);
}

static int gate_zero(struct block_io *io, uint64_t offset, uint64_t length)
{
	if (of(io)->no_zero)
		return -EOPNOTSUPP;
	pass(of(io), &of(io)->hold_writes);
	return block_io_zero(of(io)->inner, offset, length);
}

static int gate_allocate(struct block_io *io, uint64_t offset, uint64_t length)
{
	struct gate_io *gate = of(io);
	int r;

	cf_lock(&gate->lock);
	if (gate->nr_allocated < GATE_IO_NR_ALLOCATED) {
		gate->allocated[gate->nr_allocated].offset = offset;
		gate->allocated[gate->nr_allocated].length = length;
	}
	gate->nr_allocated++;
	r = gate->allocate_error;
	cf_unlock(&gate->lock);
	return r ? r : block_io_allocate(gate->inner, offset, length);
}

static int gate_seek(struct block_io *io, uint64_t offset, int whence, uint64_t *ret_offset)
{
	return block_io_seek(of(io)->inner, offset, whence, ret_offset);
}

static void gate_close(struct block_io *io)
{
	(void)io;
}

static const struct block_io_ops ops = {
        .pread = gate_pread,
        .splice = gate_splice,
        .pwritev = gate_pwritev,
        .sync = gate_sync,
        .write_back = gate_write_back,
        .punch = gate_punch,
        .zero = gate_zero,
        .allocate = gate_allocate,
        .seek = gate_seek,
        .close = gate_close,
};

void gate_io_init(struct gate_io *gate, struct block_io *inner)
{
	*gate = (struct gate_io){.io = {.ops = &ops, .size = inner->size}, .inner = inner};
	cf_mutex_init(&gate->lock);
	cf_cond_init(&gate->changed);
}

void gate_io_fini(struct gate_io *gate)
{
	cf_cond_fini(&gate->changed);
	cf_mutex_fini(&gate->lock);
}

void gate_io_hold(struct gate_io *gate, bool reads, bool writes, bool syncs)
{
	cf_lock(&gate->lock);
	gate->hold_reads = reads;
	gate->hold_writes = writes;
	gate->hold_syncs = syncs;
	cf_cond_broadcast(&gate->changed);
	cf_unlock(&gate->lock);
}

void gate_io_wait_held(struct gate_io *gate, unsigned int nr)
{
	uint64_t until_ns = clock_monotonic_ns() + 60 * CF_NS_PER_S;

	cf_lock(&gate->lock);
	while (gate->nr_held < nr) {
		if (!cf_cond_wait_until(&gate->changed, &gate->lock, until_ns)) {
			(void)fprintf(stderr, "gate_io: nobody came within a minute\n");
			abort();
		}
	}
	cf_unlock(&gate->lock);
}

static unsigned int counted(struct gate_io *gate, const unsigned int *number)
{
	unsigned int nr;

	cf_lock(&gate->lock);
	nr = *number;
	cf_unlock(&gate->lock);
	return nr;
}

unsigned int gate_io_nr_syncs(struct gate_io *gate)
{
	return counted(gate, &gate->nr_syncs);
}

unsigned int gate_io_nr_write_backs(struct gate_io *gate)
{
	return counted(gate, &gate->nr_write_backs);
}

unsigned int gate_io_nr_part_write_backs(struct gate_io *gate, uint64_t *ret_offset,
                                         uint64_t *ret_length)
{
	unsigned int nr;

	cf_lock(&gate->lock);
	nr = gate->nr_part_write_backs;
	*ret_offset = gate->part_offset;
	*ret_length = gate->part_length;
	cf_unlock(&gate->lock);
	return nr;
}

uint64_t gate_io_bytes_written(struct gate_io *gate)
{
	uint64_t bytes;

	cf_lock(&gate->lock);
	bytes = gate->bytes_written;
	cf_unlock(&gate->lock);
	return bytes;
}
