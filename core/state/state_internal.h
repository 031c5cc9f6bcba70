/* struct state, shared by the files that make, open and keep a clone. */
#ifndef CLONEFS_STATE_STATE_INTERNAL_H
#define CLONEFS_STATE_STATE_INTERNAL_H

#include "core/base/mutex.h"
#include "core/state/state.h"

#define DESTINATION_FILE "disk.img"
#define METADATA_FILE    "metadata"
#define MODIFIED_FILE    "modified"

/* What becomes of a part of a new clone. */
enum part_plan {
	PART_MAKE,   /* a file that is made, or is empty */
	PART_USE,    /* it is there and is taken as it is (destination), or formatted (metadata) */
	PART_RESIZE, /* destination: a file of another size that may be overwritten */
	PART_ADOPT,  /* metadata: it is that of a clone already */
};

struct state {
	char *dir; /* owned; absolute */
	char name[CLONE_NAME_MAX + 1];
	unsigned int nr_made_folders; /* by state_acquire(); 0 once a clone is there */
	unsigned int nr_new_folders;  /* what nr_made_folders was when this process created it */
	bool created;                 /* by this process */
	int lock_fd;                  /* owned; -1: none */
	struct clone_config *config;  /* owned; NULL: new */

	/* What was asked for. */
	char *source_url; /* owned; as shown */
	char source_sha256[SHA256_HEX_LENGTH + 1];
	char *destination_path; /* owned; absolute */
	char *metadata_path;    /* owned; absolute */
	bool destination_given;
	bool metadata_given;
	uint64_t region_size; /* 0: not given */
	bool overwrite_dest;
	bool relocate;

	/* A new clone, from state_check_new() on. */
	enum part_plan destination_plan;
	enum part_plan metadata_plan;
	uint64_t new_region_size;
	uint64_t adopted_hydrated; /* regions, with PART_ADOPT */
	bool made_destination;     /* by this process: taken away again if creation fails */
	bool made_metadata;

	/* Open and locked. */
	struct block_io *destination; /* owned; NULL: not open */
	struct block_io *metadata_io; /* owned; NULL: not open */
	struct metadata *metadata;    /* owned; NULL: not open; uses metadata_io */

	struct cf_mutex modified_lock; /* protects: modified */
	bool modified;
};

/* FOLDER/FILE; NULL: no memory. The caller frees it. */
char *state_file(const struct state *state, const char *file);

/*
 * block_io_open() for us alone, with @what ("destination", "metadata") in each sentence. Waits for
 * a holder that is closing; -EBUSY names the process that holds it.
 */
int state_open_exclusive(const char *what, const char *path, struct block_io **ret_io,
                         struct cf_error *err);

/* Closes metadata, its device and the destination. */
void state_close_parts(struct state *state);

/* Reads whether STATE/modified is there. */
int state_load_modified(struct state *state, struct cf_error *err);

/* new_destination.c: decides destination_plan for an image of @size bytes; opens what is there. */
int state_check_new_destination(struct state *state, uint64_t size, struct cf_error *err);
/* Carries the plan out, durably; destination is open afterwards. */
int state_make_destination(struct state *state, uint64_t size, struct cf_error *err);

/*
 * new_metadata.c: decides metadata_plan and new_region_size; opens what is there. Changes nothing.
 */
int state_check_new_metadata(struct state *state, uint64_t size, struct cf_error *err);
/* Carries the plan out, durably; metadata_io is open afterwards. */
int state_make_metadata(struct state *state, uint64_t size, struct cf_error *err);

#endif
