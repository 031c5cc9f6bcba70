#include "daemon/reply_pipe.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A pipe has a slot for each page of its size; a part of a page takes one, too. */
#define PIPE_SIZE (1 << 20)
/* libfuse wants three more than the bytes and their header need. */
#define EXTRA_PAGES 4
/* The inode of the user namespace that a system begins with. */
#define INITIAL_USER_NAMESPACE 0xEFFFFFFD

struct reply_pipe {
	atomic_bool busy; /* acquire and release: whoever has it set owns the rest */
	bool open;
	int in;
	int out;
};

static struct reply_pipe pipes[REPLY_PIPE_NR];
static atomic_bool allowed;

static bool open_pipe(struct reply_pipe *pipe)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	if (fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE) < PIPE_SIZE) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		return false;
	}
	pipe->out = ends[0];
	pipe->in = ends[1];
	pipe->open = true;
	return true;
}

static void close_pipe(struct reply_pipe *pipe)
{
	(void)close(pipe->in);
	(void)close(pipe->out);
	pipe->open = false;
}

static void give_back(struct reply_pipe *pipe)
{
	atomic_store_explicit(&pipe->busy, false, memory_order_release);
}

static bool is_root_of_the_system(void)
{
	struct stat st;

	return geteuid() == 0 && stat("/proc/self/ns/user", &st) == 0 &&
	       st.st_ino == INITIAL_USER_NAMESPACE;
}

void reply_pipe_allow(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct reply_pipe trial;

	if (!is_root_of_the_system() || REPLY_PIPE_MAX + EXTRA_PAGES * page > PIPE_SIZE ||
	    !open_pipe(&trial))
		return;
	close_pipe(&trial);
	atomic_store(&allowed, true);
}

bool reply_pipe_forbid(void)
{
	return atomic_exchange(&allowed, false);
}

struct reply_pipe *reply_pipe_get(void)
{
	if (!atomic_load_explicit(&allowed, memory_order_relaxed))
		return NULL;
	/* The lowest one: only as many are opened as are needed at a time. */
	for (struct reply_pipe *pipe = pipes; pipe < pipes + REPLY_PIPE_NR; pipe++) {
		if (atomic_load_explicit(&pipe->busy, memory_order_relaxed) ||
		    atomic_exchange_explicit(&pipe->busy, true, memory_order_acquire))
			continue;
		if (pipe->open || open_pipe(pipe))
			return pipe;
		give_back(pipe);
	}
	return NULL;
}

int reply_pipe_in(const struct reply_pipe *pipe)
{
	return pipe->in;
}

int reply_pipe_out(const struct reply_pipe *pipe)
{
	return pipe->out;
}

void reply_pipe_put(struct reply_pipe *pipe)
{
	int left;

	/* A reply that failed on the way may have left something for the next one to begin with. */
	if (ioctl(pipe->out, FIONREAD, &left) < 0 || left)
		close_pipe(pipe);
	give_back(pipe);
}
