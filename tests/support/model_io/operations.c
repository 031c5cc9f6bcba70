#include "tests/support/model_io/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)

struct place {
	uint64_t offset;
	uint64_t length;
};

struct operation {
	const char *name;
	/* Bytes are locked from start to end of pages: the kernel moves whole ones. */
	bool whole_pages;
	enum operation_result (*run)(struct worker *worker, struct place place);
};

static _Thread_local sigjmp_buf bus_jump;
static _Thread_local volatile sig_atomic_t bus_expected;

static void on_sigbus(int number)
{
	if (bus_expected)
		siglongjmp(bus_jump, 1);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

void operation_handle_sigbus(void)
{
	struct sigaction action = {.sa_handler = on_sigbus, .sa_flags = SA_NODEFER};

	(void)sigaction(SIGBUS, &action, NULL);
}

bool worker_init(struct worker *worker, struct target *target, uint64_t seed)
{
	*worker = (struct worker){.target = target, .random = {seed}, .fd = -1, .direct_fd = -1};
	worker->buffer = aligned_alloc(PAGE, OPERATION_ROOM);
	if (worker->buffer && worker_open(worker))
		return true;
	perror(target->path);
	return false;
}

void worker_fini(struct worker *worker)
{
	worker_close(worker);
	free(worker->buffer);
}

bool worker_open(struct worker *worker)
{
	worker->fd = open(worker->target->path, O_RDWR | O_CLOEXEC);
	worker->direct_fd = open(worker->target->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	return worker->fd >= 0 && worker->direct_fd >= 0;
}

void worker_close(struct worker *worker)
{
	if (worker->fd >= 0)
		(void)close(worker->fd);
	if (worker->direct_fd >= 0)
		(void)close(worker->direct_fd);
	worker->fd = worker->direct_fd = -1;
}

static enum operation_result refused(struct worker *worker, int error)
{
	worker->error = error;
	return OPERATION_FAILED;
}

static enum operation_result compared(struct worker *worker, struct place place,
                                      const uint8_t *bytes)
{
	return model_check(worker->target->model, worker->what, place.offset, bytes, place.length)
	               ? OPERATION_DONE
	               : OPERATION_WRONG;
}

static enum operation_result read_from(struct worker *worker, int fd, struct place place)
{
	uint64_t done = 0;

	while (done < place.length) {
		ssize_t n = pread(fd, worker->buffer + done, place.length - done,
		                  (off_t)(place.offset + done));

		if (n < 0)
			return refused(worker, errno);
		if (n == 0)
			return refused(worker, ENODATA);
		done += (uint64_t)n;
	}
	return compared(worker, place, worker->buffer);
}

static enum operation_result run_read(struct worker *worker, struct place place)
{
	return read_from(worker, worker->fd, place);
}

static enum operation_result run_read_direct(struct worker *worker, struct place place)
{
	return read_from(worker, worker->direct_fd, place);
}

static enum operation_result write_to(struct worker *worker, int fd, struct place place)
{
	struct model *model = worker->target->model;
	struct model_write *write;
	uint64_t done = 0;

	random_fill(&worker->random, worker->buffer, place.length);
	write = model_write_begin(model, place.offset, worker->buffer, place.length);
	while (done < place.length) {
		ssize_t n = pwrite(fd, worker->buffer + done, place.length - done,
		                   (off_t)(place.offset + done));

		if (n <= 0)
			return refused(worker, n < 0 ? errno : ENODATA);
		done += (uint64_t)n;
	}
	model_write_end(model, write);
	return OPERATION_DONE;
}

static enum operation_result run_write(struct worker *worker, struct place place)
{
	return write_to(worker, worker->fd, place);
}

static enum operation_result run_write_direct(struct worker *worker, struct place place)
{
	return write_to(worker, worker->direct_fd, place);
}

static enum operation_result fallocate_zeros(struct worker *worker, struct place place, int mode)
{
	struct model *model = worker->target->model;
	struct model_write *write = model_write_begin(model, place.offset, NULL, place.length);

	if (fallocate(worker->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)place.offset,
	              (off_t)place.length) < 0)
		return refused(worker, errno);
	model_write_end(model, write);
	return OPERATION_DONE;
}

static enum operation_result run_punch(struct worker *worker, struct place place)
{
	return fallocate_zeros(worker, place, FALLOC_FL_PUNCH_HOLE);
}

static enum operation_result run_zero(struct worker *worker, struct place place)
{
	return fallocate_zeros(worker, place, FALLOC_FL_ZERO_RANGE);
}

/* memcpy() that SIGBUS may end: false then. */
static bool copy_mapped(uint8_t *to, const uint8_t *from, size_t length)
{
	if (sigsetjmp(bus_jump, 1) != 0) {
		bus_expected = 0;
		return false;
	}
	bus_expected = 1;
	memcpy(to, from, length);
	bus_expected = 0;
	return true;
}

static uint8_t *map_pages(const struct worker *worker, struct place place, size_t *ret_length)
{
	uint64_t first = place.offset / PAGE * PAGE;
	void *pages;

	*ret_length = place.offset + place.length - first;
	pages = mmap(NULL, *ret_length, PROT_READ | PROT_WRITE, MAP_SHARED, worker->fd,
	             (off_t)first);
	return pages == MAP_FAILED ? NULL : pages;
}

static enum operation_result run_read_mapped(struct worker *worker, struct place place)
{
	size_t length;
	uint8_t *pages = map_pages(worker, place, &length);
	bool copied;

	if (!pages)
		return refused(worker, errno);
	copied = copy_mapped(worker->buffer, pages + place.offset % PAGE, place.length);
	(void)munmap(pages, length);
	return copied ? compared(worker, place, worker->buffer) : refused(worker, EFAULT);
}

/* Stores that are not synced reach the image at the kernel's leisure: they are part of this. */
static enum operation_result run_write_mapped(struct worker *worker, struct place place)
{
	struct model *model = worker->target->model;
	enum operation_result result = OPERATION_DONE;
	struct model_write *write;
	size_t length;
	uint8_t *pages = map_pages(worker, place, &length);
	uint64_t begun;

	if (!pages)
		return refused(worker, errno);
	random_fill(&worker->random, worker->buffer, place.length);
	begun = model_sync_begin(model);
	write = model_write_begin(model, place.offset, worker->buffer, place.length);
	if (!copy_mapped(pages + place.offset % PAGE, worker->buffer, place.length))
		result = refused(worker, EFAULT);
	else if (msync(pages, length, MS_SYNC) < 0)
		result = refused(worker, errno);
	(void)munmap(pages, length);
	if (result != OPERATION_DONE)
		return result;
	model_write_end_synced(model, write, begun);
	return OPERATION_DONE;
}

static enum operation_result run_sync(struct worker *worker, struct place place)
{
	uint64_t begun = model_sync_begin(worker->target->model);

	if ((place.offset % 2 ? fsync(worker->fd) : fdatasync(worker->fd)) < 0)
		return refused(worker, errno);
	model_sync_end(worker->target->model, begun);
	return OPERATION_DONE;
}

static const struct operation operations[NR_OPERATIONS] = {
        [OPERATION_READ] = {"read", false, run_read},
        [OPERATION_READ_DIRECT] = {"read_direct", true, run_read_direct},
        [OPERATION_READ_MAPPED] = {"read_mapped", true, run_read_mapped},
        [OPERATION_WRITE] = {"write", false, run_write},
        [OPERATION_WRITE_DIRECT] = {"write_direct", true, run_write_direct},
        [OPERATION_WRITE_MAPPED] = {"write_mapped", true, run_write_mapped},
        [OPERATION_WRITE_REGIONS] = {"write_regions", false, run_write},
        [OPERATION_PUNCH] = {"punch", true, run_punch},
        [OPERATION_ZERO] = {"zero", true, run_zero},
        [OPERATION_SYNC] = {"sync", false, run_sync},
};

const char *operation_name(enum operation_kind kind)
{
	return operations[kind].name;
}

int operation_find(const char *name)
{
	for (int kind = 0; kind < NR_OPERATIONS; kind++)
		if (strcmp(operations[kind].name, name) == 0)
			return kind;
	return -1;
}

static enum operation_kind choose_kind(struct worker *worker)
{
	const unsigned int *weights = worker->target->weights;
	unsigned int kind = 0;
	uint64_t sum = 0, at;

	for (unsigned int i = 0; i < NR_OPERATIONS; i++)
		sum += weights[i];
	for (at = random_below(&worker->random, sum); at >= weights[kind]; kind++)
		at -= weights[kind];
	return (enum operation_kind)kind;
}

static uint64_t choose_length(struct worker *worker)
{
	struct random *random = &worker->random;

	switch (random_below(random, 8)) {
	case 0:
		return 1 + random_below(random, 16);
	case 1:
		return 512 * (1 + random_below(random, 16));
	case 2:
	case 3:
		return PAGE * (1 + random_below(random, 8));
	case 4:
		return 1 + random_below(random, 3 * worker->target->region_size);
	default:
		return 1 + random_below(random, 3 * PAGE);
	}
}

static uint64_t choose_offset(struct worker *worker, uint64_t size)
{
	struct random *random = &worker->random;
	uint64_t spot;

	if (random_below(random, 400) == 0)
		atomic_store(&worker->target->hot_spot, random_below(random, size));
	spot = atomic_load(&worker->target->hot_spot);
	if (random_below(random, 2) == 0)
		return random_below(random, size);
	return (spot + random_below(random, 4 * worker->target->region_size)) % size;
}

static struct place choose_place(struct worker *worker, enum operation_kind kind)
{
	static const uint64_t alignments[] = {1, 1, 512, PAGE};
	uint64_t region_size = worker->target->region_size;
	uint64_t size = model_size(worker->target->model);
	struct place place = {.length = choose_length(worker)};
	uint64_t align = alignments[random_below(&worker->random, 4)];

	place.offset = choose_offset(worker, size);
	if (kind == OPERATION_WRITE_REGIONS ||
	    (kind >= OPERATION_PUNCH && random_below(&worker->random, 2))) {
		align = region_size;
		place.length = region_size * (1 + random_below(&worker->random, 3));
	}
	if (place.length > OPERATION_ROOM)
		place.length = OPERATION_ROOM;
	place.offset -= place.offset % align;
	if (place.length > size - place.offset)
		place.length = size - place.offset;
	return place;
}

enum operation_result operation_run(struct worker *worker)
{
	enum operation_kind kind = choose_kind(worker);
	const struct operation *operation = &operations[kind];
	struct place place = choose_place(worker, kind);
	uint64_t start = place.offset, end = place.offset + place.length;
	struct target *target = worker->target;
	bool locked = kind != OPERATION_SYNC;
	uint64_t number;
	enum operation_result result;
	struct byte_lock lock;

	worker->what = operation->name;
	worker->offset = place.offset;
	worker->length = place.length;
	if (operation->whole_pages) {
		start -= start % PAGE;
		end += PAGE - 1 - (end - 1) % PAGE;
	}
	if (locked)
		byte_locks_take(&target->locks, &lock, start, end, kind >= OPERATION_WRITE);
	number = locked ? history_begin(&target->history, operation->name, place.offset,
	                                place.length)
	                : 0;
	result = operation->run(worker, place);
	if (locked && result == OPERATION_DONE)
		history_end(&target->history, number, worker->buffer[0]);
	if (locked)
		byte_locks_drop(&target->locks, &lock);
	if (result == OPERATION_DONE)
		atomic_fetch_add(&target->counts[kind], 1);
	return result;
}
