#include "daemon/fuse_loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mutex.h"
#include "daemon/fuse_file.h"
#include "daemon/fuse_ops.h"
#include "daemon/stderr_capture.h"

/* Waiting writes may take workers away; hydrated reads must still find one. */
#define IDLE_WORKERS 16
#define MAX_WORKERS  32
/* How often a loop that shall end is woken: the first signal may come just before it sleeps. */
#define KICK_MS UINT64_C(20)

struct fuse_loop {
	struct fuse_session *session;
	struct fuse_file *file; /* borrowed */
	pthread_t thread;
	bool started;
	bool detached;
	int end_fd;

	struct cf_mutex lock; /* protects: ended, exiting, nr_invalidating */
	struct cf_cond changed;
	bool ended;
	bool exiting;
	unsigned int nr_invalidating; /* calls under way, which need the loop's answers to end */
};

/* What libfuse said last: the reason of a mount that failed. Set before threads are made. */
static char last_message[256];

/*
 * A session whose mount somebody still uses cannot be unmounted by libfuse without hitting what
 * may be mounted at the same place now. The kernel ends it when the process does.
 */
static struct fuse_session *volatile left_to_exit;

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list args)
        __attribute__((format(printf, 2, 0)));

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list args)
{
	char text[sizeof(last_message)];

	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		memcpy(last_message, text, sizeof(text));
	log_debug("libfuse: %s", text);
}

static void on_kick(int signal_number)
{
	(void)signal_number;
}

/* The setuid helper, and what libfuse says when it cannot be started, end up on standard error. */
#define HELPER "fusermount3: "

/* The reason in one line: the helper's own words, if it had any, else libfuse's. */
static int mount_error(const char *mountpoint, char *said, struct cf_error *err)
{
	const char *message = last_message;
	char *words = strstr(said, HELPER);

	if (strstr(said, "exec fusermount3"))
		return cf_error_set(err, -ENOENT,
		                    "cannot mount at %s: ordinary users need the program "
		                    "fusermount3 to mount and unmount, and it cannot be run "
		                    "(Debian's package fuse3 has it)",
		                    mountpoint);
	if (words) {
		words += strlen(HELPER);
		words[strcspn(words, "\n")] = '\0';
		message = words;
	} else if (strncmp(message, "fuse: ", 6) == 0) {
		message += 6;
	}
	return cf_error_set(err, -EIO, "cannot mount at %s: %s", mountpoint,
	                    *message ? message : "libfuse gives no reason");
}

static int mount_session(struct fuse_session *session, const char *mountpoint, struct cf_error *err)
{
	struct stderr_capture capture;
	char said[1024];
	int r;

	stderr_capture_begin(&capture);
	r = fuse_session_mount(session, mountpoint);
	stderr_capture_end(&capture, said, sizeof(said));
	if (r != 0)
		return mount_error(mountpoint, said, err);
	if (*said)
		(void)fputs(said, stderr);
	return 0;
}

static int make_session(const char *mount_options, struct fuse_file *file,
                        struct fuse_session **ret_session)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (fuse_opt_add_arg(&args, "clonefsd") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, mount_options) == 0)
		session = fuse_session_new(&args, &fuse_ops, sizeof(fuse_ops), file);
	fuse_opt_free_args(&args);
	*ret_session = session;
	return session ? 0 : -ENOMEM;
}

int fuse_loop_mount(const char *mountpoint, const char *mount_options, struct fuse_file *file,
                    struct fuse_loop **ret_loop, struct cf_error *err)
{
	struct fuse_loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return cf_error_set(err, -ENOMEM, "out of memory");
	loop->file = file;
	loop->end_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->end_fd < 0) {
		r = cf_error_errno(err, -errno, "cannot make an eventfd");
		goto free_loop;
	}
	fuse_set_log_func(on_fuse_log);
	r = make_session(mount_options, file, &loop->session);
	if (r < 0) {
		char said[] = "";

		r = mount_error(mountpoint, said, err);
		goto close_fd;
	}
	r = mount_session(loop->session, mountpoint, err);
	if (r < 0)
		goto destroy_session;
	cf_mutex_init(&loop->lock);
	cf_cond_init(&loop->changed);
	*ret_loop = loop;
	return 0;

destroy_session:
	fuse_session_destroy(loop->session);
close_fd:
	(void)close(loop->end_fd);
free_loop:
	free(loop);
	return r;
}

/* Does not return before every worker has ended. */
static int serve(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_idle_threads(config, IDLE_WORKERS);
	fuse_loop_cfg_set_max_threads(config, MAX_WORKERS);
	fuse_loop_cfg_set_clone_fd(config, 0);
	r = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return r;
}

static void *loop_main(void *arg)
{
	struct fuse_loop *loop = arg;
	uint64_t one = 1;
	sigset_t kick;
	int r;

	(void)sigemptyset(&kick);
	(void)sigaddset(&kick, SIGUSR1);
	(void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	r = serve(loop->session);
	if (r < 0)
		log_error("the FUSE loop failed error=%d", -r);
	cf_lock(&loop->lock);
	loop->ended = true;
	cf_cond_broadcast(&loop->changed);
	cf_unlock(&loop->lock);
	if (write(loop->end_fd, &one, sizeof(one)) < 0)
		log_error("cannot tell that the FUSE loop has ended error=%d", errno);
	return NULL;
}

int fuse_loop_start(struct fuse_loop *loop, struct cf_error *err)
{
	/* Without SA_RESTART: it is there to break into a wait. */
	struct sigaction action = {.sa_handler = on_kick};
	int r;

	if (sigaction(SIGUSR1, &action, NULL) < 0)
		return cf_error_errno(err, -errno, "cannot handle SIGUSR1");
	r = -pthread_create(&loop->thread, NULL, loop_main, loop);
	if (r < 0)
		return cf_error_errno(err, r, "cannot start the FUSE loop's thread");
	(void)pthread_setname_np(loop->thread, "clonefs-fuse");
	loop->started = true;
	return 0;
}

int fuse_loop_end_fd(const struct fuse_loop *loop)
{
	return loop->end_fd;
}

/*
 * fuse_session_exit() only sets a flag; libfuse 3.14 looks at it when a request comes or when a
 * signal breaks into its wait.
 */
void fuse_loop_exit(struct fuse_loop *loop)
{
	if (!loop->started)
		return;
	cf_lock(&loop->lock);
	loop->exiting = true;
	while (loop->nr_invalidating && !loop->ended)
		cf_cond_wait(&loop->changed, &loop->lock);
	cf_unlock(&loop->lock);
	fuse_session_exit(loop->session);
	cf_lock(&loop->lock);
	while (!loop->ended) {
		(void)pthread_kill(loop->thread, SIGUSR1);
		(void)cf_cond_wait_until(&loop->changed, &loop->lock,
		                         clock_monotonic_ns() + KICK_MS * CF_NS_PER_MS);
	}
	cf_unlock(&loop->lock);
}

void fuse_loop_invalidate(struct fuse_loop *loop)
{
	bool may;

	cf_lock(&loop->lock);
	may = !loop->exiting && !loop->ended;
	loop->nr_invalidating += may;
	cf_unlock(&loop->lock);
	if (!may)
		return;
	/* Nothing to drop is no error, and there is nobody to tell another. */
	(void)fuse_lowlevel_notify_inval_inode(loop->session, fuse_file_inode(loop->file), 0, 0);
	cf_lock(&loop->lock);
	loop->nr_invalidating--;
	cf_cond_broadcast(&loop->changed);
	cf_unlock(&loop->lock);
}

void fuse_loop_set_detached(struct fuse_loop *loop)
{
	loop->detached = true;
}

/* The kernel has cut the connection: unmounted and no file open, or aborted. */
static bool connection_is_dead(struct fuse_session *session)
{
	struct pollfd p = {.fd = fuse_session_fd(session)};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

void fuse_loop_close(struct fuse_loop *loop)
{
	if (!loop)
		return;
	if (loop->started)
		(void)pthread_join(loop->thread, NULL);
	if (loop->detached && !connection_is_dead(loop->session)) {
		left_to_exit = loop->session;
	} else {
		fuse_session_unmount(loop->session);
		fuse_session_destroy(loop->session);
	}
	cf_cond_fini(&loop->changed);
	cf_mutex_fini(&loop->lock);
	(void)close(loop->end_fd);
	free(loop);
}
