/*
 * One read of a file source: opens the file if need be, reads, and looks whether it still is the
 * version that is pinned. Blocks on the disk; takes no lock and touches nothing but its arguments,
 * so that whoever asked for it may have gone when it returns.
 */
#ifndef CLONEFS_BACKENDS_FILE_PIECE_H
#define CLONEFS_BACKENDS_FILE_PIECE_H

#include <stdbool.h>

#include "core/base/block_io.h"
#include "core/engine/source.h"

/* An open file, shared by the readers that use it; @refs is counted under the source's lock. */
struct file_handle {
	unsigned int refs;
	int fd; /* owned */
	bool is_device;
};

/* With one reference; takes @fd over. NULL: no memory, @fd is closed. */
struct file_handle *file_handle_new(int fd, bool is_device);
/* NULL is allowed. */
void file_handle_free(struct file_handle *handle);

struct file_piece {
	uint64_t offset; /* bytes */
	size_t length;
	bool fresh;                      /* the handle was made for this piece */
	struct file_handle *handle;      /* a reference; NULL: to be opened, by path */
	struct source_identity identity; /* what is pinned */
};

/*
 * Fills @buffer with the piece. The bytes are good only with SOURCE_OK: size and mtime are compared
 * after they were read. Otherwise @outcome, zeroed before, says why not. A handle that was opened
 * is left in the piece, with one reference.
 */
enum source_result file_piece_read(struct file_piece *piece, const char *path,
                                   unsigned char *buffer, struct source_outcome *outcome);

/*
 * Makes the range of @destination that the piece is the file's own blocks: source_ops.share, with
 * its errors. The piece has a handle.
 */
int file_piece_share(const struct file_piece *piece, struct block_io *destination);

#endif
