/*
 * The limit of whatever serves a file through FUSE: one file that only reads (and with -w writes
 * and syncs) its backing file, with the settings clonefsd uses. Runs in the foreground and says
 * "ready" once it can be read.
 *
 *     minimal_fuse [-r KIB] [-b NUMBER] [-i THREADS] [-m THREADS] [-c] [-w] [-p] BACKING FILE
 *
 * FILE is the regular file in whose place it appears. -r: read-ahead; -b: max_background; -i, -m:
 * idle and greatest number of workers; -c: each worker with a descriptor of its own (clone_fd); -p:
 * the kernel passes reads to the backing file itself (libfuse 3.17, root).
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define IO_MAX       (1u << 20)
#define ATTR_TIMEOUT 3600.0

struct settings {
	unsigned int read_ahead_kb;
	unsigned int max_background;
	unsigned int idle_workers;
	unsigned int max_workers;
	unsigned int clone_fd;
	bool pass;
	const char *mountpoint;
	int backing;
};

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)

static void set_capabilities(struct fuse_conn_info *conn, bool pass)
{
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
	                                      FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	if (pass && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		conn->max_backing_stack_depth = 1;
}

/* All opens share one, made at the first: the kernel wants that. 0, or an error. */
static int pass_through(fuse_req_t req, int fd, struct fuse_file_info *fi)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int backing;

	(void)pthread_mutex_lock(&lock);
	if (backing <= 0)
		backing = fuse_passthrough_open(req, fd);
	fi->backing_id = backing;
	(void)pthread_mutex_unlock(&lock);
	return fi->backing_id > 0 ? 0 : -EIO;
}

#else

static void set_capabilities(struct fuse_conn_info *conn, bool pass)
{
	(void)pass;
	conn->want &= ~(unsigned int)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
	                              FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
}

static int pass_through(fuse_req_t req, int fd, struct fuse_file_info *fi)
{
	(void)req;
	(void)fd;
	(void)fi;
	return -EOPNOTSUPP;
}

#endif

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct settings *settings = userdata;

	set_capabilities(conn, settings->pass);
	conn->max_write = IO_MAX;
	conn->max_background = settings->max_background;
	conn->congestion_threshold = settings->max_background * 3 / 4;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct settings *settings = fuse_req_userdata(req);
	struct stat st;

	(void)fi;
	if (fstat(settings->backing, &st) < 0) {
		(void)fuse_reply_err(req, errno);
		return;
	}
	st.st_ino = ino;
	(void)fuse_reply_attr(req, &st, ATTR_TIMEOUT);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct settings *settings = fuse_req_userdata(req);
	int r = settings->pass ? pass_through(req, settings->backing, fi) : 0;

	(void)ino;
	fi->keep_cache = !settings->pass;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_open(req, fi);
}

static pthread_key_t buffer_key;

/* This worker's, or NULL. */
static char *thread_buffer(void)
{
	char *buffer = pthread_getspecific(buffer_key);

	if (!buffer) {
		buffer = malloc(IO_MAX);
		(void)pthread_setspecific(buffer_key, buffer);
	}
	return buffer;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
	const struct settings *settings = fuse_req_userdata(req);
	char *buffer = size <= IO_MAX ? thread_buffer() : NULL;
	ssize_t n;

	(void)ino;
	(void)fi;
	if (!buffer) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	n = pread(settings->backing, buffer, size, offset);
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_buf(req, buffer, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
	const struct settings *settings = fuse_req_userdata(req);
	ssize_t n = pwrite(settings->backing, bytes, size, offset);

	(void)ino;
	(void)fi;
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct settings *settings = fuse_req_userdata(req);

	(void)ino;
	(void)datasync;
	(void)fi;
	(void)fuse_reply_err(req, fdatasync(settings->backing) < 0 ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
        .init = op_init,
        .getattr = op_getattr,
        .open = op_open,
        .read = op_read,
        .write = op_write,
        .fsync = op_fsync,
};

static int set_read_ahead(const struct settings *settings)
{
	struct stat st;
	char path[64];
	FILE *file;

	if (stat(settings->mountpoint, &st) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
	               minor(st.st_dev));
	file = fopen(path, "we");
	if (!file)
		return -errno;
	(void)fprintf(file, "%u\n", settings->read_ahead_kb);
	return fclose(file) == 0 ? 0 : -errno;
}

/* Beside the workers: they have to answer its stat. */
static void *announce(void *arg)
{
	int r = set_read_ahead(arg);

	if (r < 0)
		(void)fprintf(stderr, "minimal_fuse: cannot set the read-ahead: %s\n",
		              strerror(-r));
	(void)puts("ready");
	(void)fflush(stdout);
	return NULL;
}

static int serve(struct fuse_session *session, struct settings *settings)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	pthread_t announcer;
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_idle_threads(config, settings->idle_workers);
	fuse_loop_cfg_set_max_threads(config, settings->max_workers);
	fuse_loop_cfg_set_clone_fd(config, settings->clone_fd);
	r = -pthread_create(&announcer, NULL, announce, settings);
	if (r == 0) {
		r = fuse_session_loop_mt(session, config);
		(void)pthread_join(announcer, NULL);
	}
	fuse_loop_cfg_destroy(config);
	return r;
}

static int mount_and_serve(struct settings *settings)
{
	char name[] = "minimal_fuse";
	char options[] = "-ofsname=minimal_fuse,default_permissions";
	char *words[] = {name, options, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, words);
	struct fuse_session *session =
	        fuse_session_new(&args, &operations, sizeof(operations), settings);
	int r = -EIO;

	fuse_opt_free_args(&args);
	if (!session)
		return -ENOMEM;
	if (fuse_set_signal_handlers(session) == 0) {
		if (fuse_session_mount(session, settings->mountpoint) == 0) {
			r = serve(session, settings);
			fuse_session_unmount(session);
		}
		fuse_remove_signal_handlers(session);
	}
	fuse_session_destroy(session);
	return r;
}

static int usage(void)
{
	(void)fputs("usage: minimal_fuse [-r KIB] [-b NUMBER] [-i THREADS] [-m THREADS] [-c] [-w] "
	            "[-p] BACKING FILE\n",
	            stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct settings settings = {
	        .read_ahead_kb = 1008, .max_background = 64, .idle_workers = 16, .max_workers = 32};
	int access = O_RDONLY;
	int option;

	while ((option = getopt(argc, argv, "r:b:i:m:cwp")) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 1;

		switch (option) {
		case 'r':
			settings.read_ahead_kb = value;
			break;
		case 'b':
			settings.max_background = value;
			break;
		case 'i':
			settings.idle_workers = value;
			break;
		case 'm':
			settings.max_workers = value;
			break;
		case 'c':
			settings.clone_fd = value;
			break;
		case 'w':
			access = O_RDWR;
			break;
		case 'p':
			settings.pass = true;
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 2)
		return usage();
	if (pthread_key_create(&buffer_key, free) != 0)
		return 1;
	settings.backing = open(argv[optind], access | O_CLOEXEC);
	if (settings.backing < 0) {
		perror(argv[optind]);
		return 1;
	}
	settings.mountpoint = argv[optind + 1];
	return mount_and_serve(&settings) < 0;
}
