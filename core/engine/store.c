/* Zeros have three ways down: give the space back, zero in place, write. Each one that the
 * destination does not know falls through to the next. */
#include "core/engine/store.h"

#include <errno.h>
#include <sys/uio.h>

#define ZEROS_SIZE ((size_t)64 << 10)
#define ZEROS_IOV  16
/* Ranges that a block device can punch or zero are whole blocks; others say nothing about it. */
#define BLOCK_MASK UINT64_C(4095)

static const unsigned char zeros[ZEROS_SIZE];

void store_init(struct store *store, struct block_io *io, bool no_discard)
{
	store->io = io;
	store->no_discard = no_discard;
	atomic_init(&store->cannot_punch, false);
	atomic_init(&store->cannot_zero, false);
}

bool store_is_device(const struct store *store)
{
	return store->io->is_device;
}

bool store_holes_are_dear(const struct store *store)
{
	return store->io->holes_are_dear;
}

int store_read(struct store *store, void *buf, size_t length, uint64_t offset)
{
	return block_io_pread(store->io, buf, length, offset);
}

int store_splice(struct store *store, int pipe, size_t length, uint64_t offset)
{
	return block_io_splice(store->io, pipe, length, offset);
}

int store_write(struct store *store, const void *data, size_t length, uint64_t offset)
{
	return block_io_pwrite(store->io, data, length, offset);
}

int store_writev(struct store *store, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	return block_io_pwritev(store->io, iov, nr_iov, offset);
}

int store_sync(struct store *store)
{
	return block_io_sync(store->io);
}

void store_write_back(struct store *store, uint64_t offset, uint64_t length)
{
	block_io_write_back(store->io, offset, length);
}

/* In steps that end at multiples of ZEROS_SIZE: none ends inside a sector, which a power cut
 * between two of them would leave half zeroed. */
static int write_zeros(struct store *store, uint64_t offset, uint64_t length)
{
	while (length) {
		struct iovec iov[ZEROS_IOV];
		uint64_t done = 0;
		int nr_iov = 0;
		int r;

		while (nr_iov < ZEROS_IOV && done < length) {
			uint64_t n = ZEROS_SIZE - (offset + done) % ZEROS_SIZE;

			if (n > length - done)
				n = length - done;
			/* struct iovec has no const; pwritev only reads. */
			iov[nr_iov++] = (struct iovec){
			        .iov_base = (void *)(uintptr_t)zeros,
			        .iov_len = (size_t)n,
			};
			done += n;
		}
		r = block_io_pwritev(store->io, iov, nr_iov, offset);
		if (r < 0)
			return r;
		offset += done;
		length -= done;
	}
	return 0;
}

static void note_unsupported(atomic_bool *flag, uint64_t offset, uint64_t length)
{
	if (!((offset | length) & BLOCK_MASK))
		atomic_store_explicit(flag, true, memory_order_relaxed);
}

int store_zero(struct store *store, uint64_t offset, uint64_t length)
{
	int r;

	if (!atomic_load_explicit(&store->cannot_zero, memory_order_relaxed)) {
		r = block_io_zero(store->io, offset, length);
		if (r != -EOPNOTSUPP)
			return r;
		note_unsupported(&store->cannot_zero, offset, length);
	}
	return write_zeros(store, offset, length);
}

int store_punch(struct store *store, uint64_t offset, uint64_t length)
{
	int r;

	if (!store->no_discard &&
	    !atomic_load_explicit(&store->cannot_punch, memory_order_relaxed)) {
		r = block_io_punch(store->io, offset, length);
		if (r != -EOPNOTSUPP)
			return r;
		note_unsupported(&store->cannot_punch, offset, length);
	}
	return store_zero(store, offset, length);
}

int store_allocate(struct store *store, uint64_t offset, uint64_t length)
{
	return block_io_allocate(store->io, offset, length);
}

int store_seek(struct store *store, uint64_t offset, int whence, uint64_t *ret_offset)
{
	return block_io_seek(store->io, offset, whence, ret_offset);
}
