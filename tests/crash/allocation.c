#include "tests/crash/allocation.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct allocation_fault allocation_fault;

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t nr, size_t size);
void *__real_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t nr, size_t size);
void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);

void *harness_malloc(size_t size);
void *harness_calloc(size_t nr, size_t size);
void *harness_realloc(void *memory, size_t size);
void *harness_reallocarray(void *memory, size_t nr, size_t size);
void *harness_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);

static bool fails(void)
{
	if (!allocation_fault.in)
		return false;
	if (allocation_fault.in > 1) {
		allocation_fault.in--;
		return false;
	}
	if (!allocation_fault.forever)
		allocation_fault.in = 0;
	allocation_fault.nr_failed++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t nr, size_t size)
{
	return fails() ? NULL : __real_reallocarray(memory, nr, size);
}

void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : __real_mmap(at, length, prot, flags, fd, offset);
}

void *harness_malloc(size_t size)
{
	return __real_malloc(size);
}

void *harness_calloc(size_t nr, size_t size)
{
	return __real_calloc(nr, size);
}

void *harness_realloc(void *memory, size_t size)
{
	return __real_realloc(memory, size);
}

void *harness_reallocarray(void *memory, size_t nr, size_t size)
{
	return __real_reallocarray(memory, nr, size);
}

void *harness_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	return __real_mmap(at, length, prot, flags, fd, offset);
}
