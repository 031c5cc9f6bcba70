#include "tests/crash/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "tests/crash/schedule.h"

#define PAGE        4096u
#define WRITE_NS    20000    /* at most, before a write is in the page cache */
#define SYNC_NS     20000000 /* a slow sync takes so long at most */
#define SYNC_ONE_IN 2        /* is slow */

struct handle {
	struct block_io io; /* first */
	struct disks *disks;
	enum disk_number number;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void disks_init(struct disks *disks, uint64_t seed)
{
	*disks = (struct disks){.kill_in = NEVER_KILLED};
	disks->random = random_from(seed, 0xD15C);
}

static void forget_records(struct disks *disks)
{
	for (size_t i = 0; i < disks->nr_records; i++)
		free(disks->records[i].data);
	disks->nr_records = 0;
}

void disks_fini(struct disks *disks)
{
	forget_records(disks);
	free(disks->records);
	for (int i = 0; i < NR_DISKS; i++) {
		free(disks->disk[i].cache);
		free(disks->disk[i].durable);
	}
}

void disks_make(struct disks *disks, enum disk_number number, uint64_t size,
                const struct window *windows, unsigned int nr_windows)
{
	struct disk *disk = &disks->disk[number];

	*disk = (struct disk){.size = size, .nr_windows = nr_windows};
	for (unsigned int i = 0; i < nr_windows; i++) {
		disk->windows[i] = windows[i];
		disk->nr_bytes += windows[i].end - windows[i].begin;
	}
	disk->cache = must(calloc(disk->nr_bytes, 1));
	disk->durable = must(calloc(disk->nr_bytes, 1));
}

void disks_revive(struct disks *disks)
{
	disks->killed = false;
	disks->kill_in = NEVER_KILLED;
	disks->kill_superblock = 0;
}

void disks_settle(struct disks *disks)
{
	for (int i = 0; i < NR_DISKS; i++)
		memcpy(disks->disk[i].durable, disks->disk[i].cache, disks->disk[i].nr_bytes);
	forget_records(disks);
	disks_revive(disks);
	disks->fault = (struct disk_fault){0};
}

uint64_t disks_tick(struct disks *disks)
{
	return ++disks->time;
}

bool disk_find(const struct disk *disk, uint64_t offset, uint64_t *ret_at, uint64_t *ret_length)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i < disk->nr_windows; i++) {
		const struct window *window = &disk->windows[i];

		if (offset < window->begin) {
			*ret_length = window->begin - offset;
			return false;
		}
		if (offset < window->end) {
			*ret_at = at + (offset - window->begin);
			*ret_length = window->end - offset;
			return true;
		}
		at += window->end - window->begin;
	}
	*ret_length = UINT64_MAX;
	return false;
}

uint64_t disk_offset(const struct disk *disk, uint64_t at)
{
	for (unsigned int i = 0; i < disk->nr_windows; i++) {
		uint64_t length = disk->windows[i].end - disk->windows[i].begin;

		if (at < length)
			return disk->windows[i].begin + at;
		at -= length;
	}
	return disk->size;
}

/* ---- the record ---- */

static struct record *add_record(struct disks *disks, enum record_kind kind,
                                 enum disk_number number)
{
	struct record *record;

	if (disks->nr_records == disks->room) {
		disks->room = disks->room ? 2 * disks->room : 256;
		disks->records =
		        must(reallocarray(disks->records, disks->room, sizeof(*disks->records)));
	}
	record = &disks->records[disks->nr_records++];
	*record = (struct record){.kind = kind, .disk = number, .time = disks_tick(disks)};
	return record;
}

/* Bytes [@at, @at + @length) of the cache have changed. */
static void record_write(struct disks *disks, enum disk_number number, uint64_t at, uint64_t length)
{
	const struct disk *disk = &disks->disk[number];
	struct record *record = add_record(disks, RECORD_WRITE, number);
	uint64_t end = (at + length + SECTOR - 1) / SECTOR * SECTOR;

	record->at = at / SECTOR * SECTOR;
	record->length = (end < disk->nr_bytes ? end : disk->nr_bytes) - record->at;
	record->data = must(malloc(record->length));
	memcpy(record->data, disk->cache + record->at, record->length);
}

/* Puts @data (NULL: zeros) into the cache, as far as there are windows. */
static void change(struct disks *disks, enum disk_number number, const uint8_t *data,
                   uint64_t offset, uint64_t length)
{
	struct disk *disk = &disks->disk[number];

	while (length) {
		uint64_t at, n;
		bool found = disk_find(disk, offset, &at, &n);

		if (n > length)
			n = length;
		if (found && data)
			memcpy(disk->cache + at, data, n);
		else if (found)
			memset(disk->cache + at, 0, n);
		if (found)
			record_write(disks, number, at, n);
		data = data ? data + n : NULL;
		offset += n;
		length -= n;
	}
}

/* ---- operations ---- */

static struct handle *of(struct block_io *io)
{
	return (struct handle *)io;
}

/* True: this operation is the one in which the process is killed. */
static bool is_killed_now(struct disks *disks)
{
	if (disks->kill_in == NEVER_KILLED || --disks->kill_in)
		return false;
	disks->killed = true;
	return true;
}

/* 0, or how this operation fails. */
static int fault(const struct handle *handle, enum disk_operation operation)
{
	struct disk_fault *fault = &handle->disks->fault;

	if (!fault->in || !(fault->operations[handle->number] & operation))
		return 0;
	if (fault->in > 1) {
		fault->in--;
		return 0;
	}
	if (!fault->forever)
		fault->in = 0;
	fault->nr_failed++;
	fault->metadata_failed |= handle->number == METADATA;
	return fault->code;
}

static int io_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	const struct disk *disk = &of(io)->disks->disk[of(io)->number];
	uint8_t *to = buf;
	int r = fault(of(io), DISK_READ);

	if (r < 0)
		return r;
	if (offset > disk->size || length > disk->size - offset)
		return -ENODATA;
	while (length) {
		uint64_t at, n;
		bool found = disk_find(disk, offset, &at, &n);

		if (n > length)
			n = length;
		if (found)
			memcpy(to, disk->cache + at, n);
		else
			memset(to, 0, n);
		to += n;
		offset += n;
		length -= n;
	}
	return 0;
}

/* @data: NULL for zeros. A write that fails has written half of its sectors. */
static int do_change(struct block_io *io, const uint8_t *data, uint64_t length, uint64_t offset)
{
	struct disks *disks = of(io)->disks;
	int r;

	if (offset > io->size || length > io->size - offset)
		return -ENOSPC;
	schedule_sleep_ns(random_below(&disks->random, WRITE_NS));
	if (disks->killed)
		return -EIO;
	if (is_killed_now(disks)) {
		/* A page that has begun is finished. */
		uint64_t end =
		        random_below(&disks->random, (offset % PAGE + length) / PAGE + 1) * PAGE +
		        offset / PAGE * PAGE;

		change(disks, of(io)->number, data, offset, end > offset ? end - offset : 0);
		return -EIO;
	}
	r = fault(of(io), data ? DISK_WRITE : DISK_PUNCH);
	if (r < 0)
		length = length / SECTOR / 2 * SECTOR;
	change(disks, of(io)->number, data, offset, length);
	if (of(io)->number == METADATA && offset == 0 && disks->kill_superblock &&
	    !--disks->kill_superblock)
		disks->kill_in = 1;
	schedule_yield_one_in(2);
	return r;
}

static int io_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	uint64_t length = 0;
	uint64_t done = 0;
	uint8_t *flat;
	int r;

	for (int i = 0; i < nr_iov; i++)
		length += iov[i].iov_len;
	flat = must(malloc(length));
	for (int i = 0; i < nr_iov; i++) {
		memcpy(flat + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	r = do_change(io, flat, length, offset);
	free(flat);
	return r;
}

static int io_punch(struct block_io *io, uint64_t offset, uint64_t length)
{
	return of(io)->disks->cannot_punch ? -EOPNOTSUPP : do_change(io, NULL, length, offset);
}

static int io_zero(struct block_io *io, uint64_t offset, uint64_t length)
{
	return of(io)->disks->cannot_zero ? -EOPNOTSUPP : do_change(io, NULL, length, offset);
}

/* Of the disk's first @nr_before records, those that are not durable yet are now (or never). */
static void mark_synced(struct disks *disks, enum disk_number number, size_t nr_before, bool good)
{
	for (size_t i = 0; i < nr_before; i++) {
		struct record *record = &disks->records[i];

		if (record->kind != RECORD_WRITE || record->disk != number || record->covered ||
		    record->doubtful)
			continue;
		record->covered = good;
		record->doubtful = !good;
	}
}

static int io_sync(struct block_io *io)
{
	struct disks *disks = of(io)->disks;
	enum disk_number number = of(io)->number;
	size_t nr_before = disks->nr_records;
	uint64_t begun = disks_tick(disks);
	int r;

	if (random_one_in(&disks->random, SYNC_ONE_IN))
		schedule_sleep_ns(random_below(&disks->random, SYNC_NS));
	if (disks->killed || is_killed_now(disks))
		return -EIO;
	r = fault(of(io), DISK_SYNC);
	mark_synced(disks, number, r < 0 ? disks->nr_records : nr_before, r == 0);
	if (r == 0)
		add_record(disks, RECORD_SYNC, number)->nr_before = nr_before;
	if (number == DESTINATION && r < 0 && !disks->fault.sync_begun)
		disks->fault.sync_begun = begun;
	else if (number == DESTINATION && r == 0)
		disks->fault.sync_was_good = disks_tick(disks);
	schedule_yield_one_in(2);
	return r;
}

static int io_allocate(struct block_io *io, uint64_t offset, uint64_t length)
{
	return offset <= io->size && length <= io->size - offset ? 0 : -ENOSPC;
}

static void io_close(struct block_io *io)
{
	free(io);
}

static const struct block_io_ops ops = {
        .pread = io_pread,
        .pwritev = io_pwritev,
        .sync = io_sync,
        .punch = io_punch,
        .zero = io_zero,
        .allocate = io_allocate,
        .close = io_close,
};

struct block_io *disks_open(struct disks *disks, enum disk_number number)
{
	struct handle *handle = must(calloc(1, sizeof(*handle)));

	handle->io = (struct block_io){.ops = &ops, .size = disks->disk[number].size};
	handle->disks = disks;
	handle->number = number;
	return &handle->io;
}

/* ---- views ---- */

struct view {
	struct block_io io; /* first */
	const uint8_t *bytes;
};

static int view_pread(struct block_io *io, void *buf, size_t length, uint64_t offset)
{
	if (offset > io->size || length > io->size - offset)
		return -ENODATA;
	memcpy(buf, ((struct view *)io)->bytes + offset, length);
	return 0;
}

static int view_pwritev(struct block_io *io, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	(void)io;
	(void)iov;
	(void)nr_iov;
	(void)offset;
	abort();
}

static int view_sync(struct block_io *io)
{
	(void)io;
	abort();
}

static const struct block_io_ops view_ops = {
        .pread = view_pread,
        .pwritev = view_pwritev,
        .sync = view_sync,
        .close = io_close,
};

struct block_io *disk_view(const uint8_t *bytes, uint64_t size)
{
	struct view *view = must(calloc(1, sizeof(*view)));

	view->io = (struct block_io){.ops = &view_ops, .size = size};
	view->bytes = bytes;
	return &view->io;
}
