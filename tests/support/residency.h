/* How much of a range of memory is resident, for tests of what is given back to the system. */
#ifndef CLONEFS_TESTS_SUPPORT_RESIDENCY_H
#define CLONEFS_TESTS_SUPPORT_RESIDENCY_H

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes of [@memory, @memory + @length) that are resident; a page that is not mapped is none.
 * @memory begins a page. */
static inline size_t resident_bytes(void *memory, size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t resident = 0;

	for (size_t at = 0; at < length; at += page) {
		unsigned char state = 0;

		if (mincore((unsigned char *)memory + at, page, &state) == 0 && (state & 1))
			resident += page;
	}
	return resident;
}

#endif
