/*
 * Two disks, the destination's and the metadata's, with one record of all that is done to them, so
 * that the order of writes and syncs among each other is known and every state that a power cut
 * could leave can be made afterwards (cut.h).
 *
 * A disk has windows: only bytes within them exist. Reads elsewhere give zeros, writes elsewhere go
 * nowhere. So a small memory stands for a large disk of which little is used. A place within the
 * windows, counted without the gaps, is called `at`; offsets are the disk's own.
 *
 * What is recorded of a write are whole sectors, as they were in the page cache behind it: no disk
 * gets part of a sector. A sync makes durable what was written before it began, when it ends.
 *
 * The process can be killed in any operation: it does part of its work, and everything afterwards
 * fails and does nothing. What was written stays in the page cache for the next opener.
 */
#ifndef CLONEFS_TESTS_DISK_H
#define CLONEFS_TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/block_io.h"
#include "tests/crash/random.h"

#define SECTOR       512u
#define MAX_WINDOWS  8
#define NR_DISKS     2
#define NEVER_KILLED UINT64_MAX

enum disk_number { DESTINATION, METADATA };

struct window {
	uint64_t begin, end; /* offsets; multiples of SECTOR, but the disk's last end */
};

struct disk {
	uint64_t size;
	struct window windows[MAX_WINDOWS]; /* ascending, apart */
	unsigned int nr_windows;
	uint64_t nr_bytes; /* within the windows */
	uint8_t *cache;    /* owned: what reads see */
	uint8_t *durable;  /* owned: what was on the disk when the record began */
};

/* Operations that can be told to fail. A write that fails is a short one: it has written half of
 * its sectors. (unit.short_io has the system calls below.) */
enum disk_operation { DISK_READ = 1, DISK_WRITE = 2, DISK_PUNCH = 4, DISK_SYNC = 8 };

struct disk_fault {
	unsigned int operations[NR_DISKS]; /* enum disk_operation; which ones count */
	uint64_t in;                       /* the in-th of them fails (1: the next); 0: none */
	int code;                          /* with this errno, negative */
	bool forever;                      /* and all that follow */
	uint64_t nr_failed;
	bool metadata_failed;   /* one of them was the metadata's */
	uint64_t sync_begun;    /* of the destination, that failed; 0: none did */
	uint64_t sync_was_good; /* of the destination: end of the last one that did not */
};

enum record_kind { RECORD_WRITE, RECORD_SYNC };

struct record {
	enum record_kind kind;
	enum disk_number disk;
	uint64_t time;      /* RECORD_SYNC: of its end */
	uint64_t at;        /* a multiple of SECTOR */
	uint64_t length;    /* of whole sectors, but at the disk's end */
	uint64_t nr_before; /* RECORD_SYNC: how many records it makes durable (of its disk) */
	bool covered;       /* RECORD_WRITE: a sync made it durable */
	bool doubtful;      /* RECORD_WRITE: a sync of it failed, so none will ever do it */
	uint8_t *data;      /* owned */
};

struct disks {
	struct disk disk[NR_DISKS];
	struct record *records; /* owned */
	size_t nr_records, room;
	/* Counts all events, those of users too, so that each has a moment of its own. */
	uint64_t time;
	uint64_t kill_in;         /* operations until the process is killed; NEVER_KILLED */
	uint64_t kill_superblock; /* the same, behind so many writes of block 0; 0: never */
	bool killed;
	bool cannot_punch, cannot_zero; /* the destination's file system does not know how */
	struct disk_fault fault;
	struct random random;
};

void disks_init(struct disks *disks, uint64_t seed);
void disks_fini(struct disks *disks);
/* A disk of @size bytes with these windows, full of zeros. */
void disks_make(struct disks *disks, enum disk_number number, uint64_t size,
                const struct window *windows, unsigned int nr_windows);

/* What is in the caches is on the disks from now on: an empty record. */
void disks_settle(struct disks *disks);

/* Another process opens them; nothing is to kill it. */
void disks_revive(struct disks *disks);

/* The next moment. */
uint64_t disks_tick(struct disks *disks);

/* A block_io on the disk for one opener; given back with block_io_close(). */
struct block_io *disks_open(struct disks *disks, enum disk_number number);

/* A block_io that reads @size bytes at @bytes (borrowed) and aborts when it is written to. */
struct block_io *disk_view(const uint8_t *bytes, uint64_t size);

/* Where @offset is within the windows, and how many bytes from there on are in the same window;
 * false: in none, *ret_length bytes until the next one. */
bool disk_find(const struct disk *disk, uint64_t offset, uint64_t *ret_at, uint64_t *ret_length);
/* The offset of @at. */
uint64_t disk_offset(const struct disk *disk, uint64_t at);

#endif
