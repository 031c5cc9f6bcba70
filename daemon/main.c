/*
 * clonefsd, also called mount.clonefs: start-up and shut-down, top to bottom.
 *
 * Start: arguments; fork (nothing before it makes a thread or takes a lock); the mountpoint; the
 * clone with its locks; the engine; the mount; the control socket; a first look at the image
 * through the kernel; "ready". Stop: in the other direction; every request is answered before the
 * session is destroyed, the last commit comes before any lock is let go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/state/paths.h"
#include "daemon/argv_hide.h"
#include "daemon/controls.h"
#include "daemon/daemon.h"
#include "daemon/daemonize.h"
#include "daemon/digest.h"
#include "daemon/events.h"
#include "daemon/fuse_loop.h"
#include "daemon/hardening.h"
#include "daemon/history.h"
#include "daemon/mountinfo.h"
#include "daemon/notify.h"
#include "daemon/pending.h"
#include "daemon/serve.h"
#include "daemon/signals.h"
#include "daemon/stop_guard.h"
#include "daemon/watcher.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2
/* How long the end waits for the source to bring the rest of regions that were written in part. */
#define LAST_FLUSH_MS UINT64_C(5000)

static void on_event(void *user, const struct image_event *event)
{
	struct daemon *d = user;

	events_handle(state_name(d->clone.state), event);
	history_event(d->clone.journal, event);
	if (event->kind == IMAGE_EVENT_MILESTONE && event->value >= 100)
		digest_begin(d->digest);
}

static void on_invalidate(void *user)
{
	struct daemon *d = user;
	struct fuse_loop *loop = atomic_load(&d->loop);

	if (loop)
		fuse_loop_invalidate(loop);
}

static int on_first_modify(void *user)
{
	struct daemon *d = user;

	return state_mark_modified(d->clone.state);
}

static void on_tick(void *user)
{
	struct daemon *d = user;

	file_times_keep(&d->times);
	trim_keep(&d->trim, d->clone.image, clock_monotonic_ns());
}

static void cancel_request(void *user, struct image_request *req, int error)
{
	struct daemon *d = user;

	image_request_cancel(d->clone.image, req, error);
}

static int start_engine(struct daemon *d, struct cf_error *err)
{
	static const struct image_callbacks callbacks = {
	        .event = on_event,
	        .invalidate = on_invalidate,
	        .first_modify = on_first_modify,
	};

	d->settings = d->clone.settings;
	log_set_level(d->settings.log_level);
	file_times_init(&d->times, d->clone.state);
	return clone_start(&d->clone, d->options, &callbacks, d, err);
}

/* Not while a digest is awaited: its verdict may be that nothing is to be read. */
static bool may_pass(void *user)
{
	struct daemon *d = user;
	struct digest *digest = atomic_load(&d->digest);

	return image_is_plain(d->clone.image) &&
	       (!d->options->sha256 || (digest && digest_get(digest, false) != DIGEST_UNVERIFIED));
}

static void describe_file(struct daemon *d)
{
	const struct options *options = d->options;

	d->file = (struct fuse_file){
	        .image = d->clone.image,
	        .pending = d->pending,
	        .watcher = d->watcher,
	        .destination = state_destination(d->clone.state),
	        .times = &d->times,
	        .opens = &d->opens,
	        .may_pass = may_pass,
	        .user = d,
	        .size = state_config(d->clone.state)->source.size,
	        .basename = d->clone.name->basename,
	        .is_mountpoint = d->place.is_file,
	        .uid = options->uid_given ? options->uid : getuid(),
	        .gid = options->gid_given ? options->gid : getgid(),
	        .mode = options->mode_given  ? options->mode
	                : options->read_only ? 0400
	                                     : 0600,
	};
}

static int start_watching(struct daemon *d, struct cf_error *err)
{
	const struct pending_engine engine = {
	        .cancel = cancel_request,
	        .put = image_request_put,
	        .user = d,
	};

	d->pending = pending_table_new(&engine);
	if (!d->pending)
		return cf_error_set(err, -ENOMEM, "out of memory");
	return watcher_start(d->pending, on_tick, d, &d->watcher, err);
}

static bool is_modified(void *user)
{
	struct daemon *d = user;

	return state_is_modified(d->clone.state);
}

static void on_digest(void *user, enum digest_state state, const char *sentence)
{
	struct daemon *d = user;
	const char *name = state_name(d->clone.state);

	if (state == DIGEST_MISMATCH)
		log_error("%s: %s", name, sentence);
	else
		log_notice("%s: %s", name, sentence);
	history_digest(d->clone.journal, state, sentence);
	if (state != DIGEST_MISMATCH || !d->options->mismatch_fails)
		return;
	image_fail(d->clone.image, sentence);
}

/* What was complete before, or has become it before there was somebody to tell, is looked at now.
 */
static int start_digest(struct daemon *d, struct cf_error *err)
{
	const struct digest_params params = {
	        .expected = d->options->sha256,
	        .io = state_destination(d->clone.state),
	        .size = state_config(d->clone.state)->source.size,
	        .is_modified = is_modified,
	        .known = on_digest,
	        .user = d,
	};
	struct image_status status;
	struct digest *digest;
	int r;

	if (!params.expected)
		return 0;
	r = digest_new(&params, &digest, err);
	if (r < 0)
		return r;
	atomic_store(&d->digest, digest);
	image_get_status(d->clone.image, &status);
	if (status.regions_committed == status.regions_total)
		digest_begin(digest);
	return 0;
}

static int start_mount(struct daemon *d, struct cf_error *err)
{
	CF_AUTO_FREE char *mount_options = NULL;
	struct fuse_loop *loop;
	int r;

	mount_options = mount_option_string(d->clone.name->shown, d->options->read_only,
	                                    d->options->allow_other, d->options->kernel_options);
	if (!mount_options)
		return cf_error_set(err, -ENOMEM, "out of memory");
	r = fuse_loop_mount(d->place.path, mount_options, &d->file, &loop, err);
	if (r < 0)
		return r;
	atomic_store(&d->loop, loop);
	return fuse_loop_start(loop, err);
}

/*
 * Through the kernel: its handshake with us is over when this returns, and a file that is the
 * mountpoint has its size from here on (an mmap before that would be SIGBUS).
 */
static int look_at_mount(struct daemon *d, struct cf_error *err)
{
	struct mountinfo_entry entry;
	int r = mount_ask(d->image_path);

	if (r >= 0)
		r = mountinfo_look(d->place.path, &entry);
	if (r < 0)
		return cf_error_errno(err, r, "cannot look at %s after mounting it", d->image_path);
	d->device = entry.device;
	mount_set_read_ahead(d->device);
	return 0;
}

static int start_control(struct daemon *d, struct cf_error *err)
{
	CF_AUTO_FREE char *folder = NULL;
	CF_AUTO_FREE char *path = NULL;
	struct control_server_params params = {.ops = &controls, .user = d};
	int r;

	r = path_runtime_dir(state_dir(d->clone.state), &folder, err);
	if (r == 0)
		r = path_make_runtime_dir(folder, err);
	if (r == 0)
		r = path_socket(state_name(d->clone.state), state_dir(d->clone.state), &path, err);
	if (r < 0)
		return r;
	params.socket_path = path;
	return control_server_start(&params, &d->control, err);
}

static int find_image_path(struct daemon *d, struct cf_error *err)
{
	const char *folder = strcmp(d->place.path, "/") == 0 ? "" : d->place.path;
	int r;

	if (d->place.is_file)
		r = asprintf(&d->image_path, "%s", d->place.path);
	else
		r = asprintf(&d->image_path, "%s/%s", folder, d->clone.name->basename);
	if (r < 0)
		return cf_error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int start(struct daemon *d, int signal_fd, struct cf_error *err)
{
	int r;

	r = mount_place_find(d->options->mountpoint, d->options->fake, &d->place, err);
	if (r < 0)
		return r;
	r = clone_open(d->options, d->place.path, &d->clone, err);
	if (r < 0 || d->options->fake)
		return r;
	if (signals_take(signal_fd))
		return cf_error_set(err, -EINTR, "a signal came before anything was mounted");
	r = find_image_path(d, err);
	if (r < 0)
		return r;
	r = start_engine(d, err);
	if (r < 0)
		return r;
	r = start_watching(d, err);
	if (r < 0)
		return r;
	describe_file(d);
	r = start_mount(d, err);
	if (r < 0)
		return r;
	r = start_control(d, err);
	if (r < 0)
		return r;
	r = look_at_mount(d, err);
	return r < 0 ? r : start_digest(d, err);
}

struct flush_wait {
	struct cf_mutex lock; /* protects: done */
	struct cf_cond cond;
	bool done;
};

static void flush_done(void *user, int error, const void *data, size_t length)
{
	struct flush_wait *wait = user;

	(void)error; /* image_close() tries again and says why */
	(void)data;
	(void)length;
	cf_lock(&wait->lock);
	wait->done = true;
	cf_cond_signal(&wait->cond);
	cf_unlock(&wait->lock);
}

/* True: it is answered. */
static bool wait_for_flush(struct flush_wait *wait, uint64_t deadline_ns)
{
	bool done;

	cf_lock(&wait->lock);
	while (!wait->done && cf_cond_wait_until(&wait->cond, &wait->lock, deadline_ns))
		;
	done = wait->done;
	cf_unlock(&wait->lock);
	return done;
}

/*
 * The last commit, while the socket still answers who wants to know. It waits for the source to
 * bring the rest of regions that were written in part, but not for ever: what it does not bring is
 * told by image_stop(). A commit that has begun ends as it ends.
 */
static void commit(struct image *image)
{
	struct flush_wait wait = {.done = false};
	struct image_request *req;

	cf_mutex_init(&wait.lock);
	cf_cond_init(&wait.cond);
	req = image_flush(image, flush_done, &wait);
	if (!wait_for_flush(&wait, clock_monotonic_ns() + LAST_FLUSH_MS * CF_NS_PER_MS)) {
		image_request_cancel(image, req, -ETIMEDOUT);
		cf_lock(&wait.lock);
		while (!wait.done)
			cf_cond_wait(&wait.cond, &wait.lock);
		cf_unlock(&wait.lock);
	}
	image_request_put(req);
	cf_cond_fini(&wait.cond);
	cf_mutex_fini(&wait.lock);
}

/* What still waits is answered with EIO; nothing reaches the image after that. */
static void stop_serving(struct daemon *d)
{
	if (d->clone.image)
		image_stop(d->clone.image);
	if (d->loop)
		fuse_loop_exit(d->loop);
	if (d->pending)
		pending_wait_empty(d->pending);
	watcher_stop(d->watcher);
	if (d->clone.image)
		file_times_keep(&d->times);
}

/* Accepts what was started half. Says why the clone did not end well; @reason is for the journal.
 */
static int stop(struct daemon *d, const char *reason, struct cf_error *err)
{
	int r;

	if (d->clone.state)
		state_set_closing(d->clone.state);
	digest_stop(d->digest);
	if (d->device) {
		image_stop_background(d->clone.image);
		commit(d->clone.image);
	}
	control_server_stop(d->control);
	stop_serving(d);
	r = clone_close(&d->clone, reason, err);
	digest_free(d->digest);
	fuse_loop_close(d->loop);
	pending_table_free(d->pending);
	mount_place_fini(&d->place);
	free(d->image_path);
	return r;
}

static void become_ready(struct daemon *d, struct daemonize *daemonize)
{
	log_info("%s: mounted at %s", state_name(d->clone.state), d->place.path);
	notify_ready(d->image_path);
	if (!d->options->foreground)
		log_to_syslog("clonefsd");
	daemonize_ready(daemonize);
}

static int run(const struct options *options, struct daemonize *daemonize, struct cf_error *err)
{
	struct daemon d = {.options = options, .started_ns = clock_monotonic_ns()};
	struct cf_error stop_err = {0};
	CF_AUTO_CLOSE int signal_fd = -1;
	struct cf_error failed_start = {0};
	const char *reason = failed_start.text;
	bool ready = false;
	int r;
	int stopped;

	r = signals_open(&signal_fd, err);
	if (r < 0)
		return r;
	harden_against_reclaim();
	trim_prepare();
	cf_mutex_init(&d.lock);
	opens_init(&d.opens);
	r = start(&d, signal_fd, err);
	ready = r == 0 && !options->fake;
	d.clone.shown = ready;
	if (ready) {
		become_ready(&d, daemonize);
		reason = serve_until_end(&d, signal_fd);
	} else if (r < 0) {
		(void)cf_error_set(&failed_start, r, "failed start: %s", err->text);
	}
	stopped = stop(&d, reason, &stop_err);
	stop_guard_free(d.guard);
	if (ready && stopped < 0) {
		log_error("%s", stop_err.text);
		r = cf_error_set(err, stopped, "%s", stop_err.text);
	}
	opens_fini(&d.opens);
	cf_mutex_fini(&d.lock);
	return r;
}

static int hide_source(const struct options *options, int argc, char *argv[], struct cf_error *err)
{
	struct source_name *name;
	int r = source_name_parse(options->source, &name, err);

	if (r < 0)
		return r;
	argv_hide(argc, argv, options->source, name->shown);
	argv_hide_proxy(argc, argv);
	source_name_free(name);
	return 0;
}

/* Until "ready" everything is said on stderr, which is the caller's. */
static void start_log(struct options *options)
{
	struct settings_patch *patch = &options->settings;

	if (options->verbose && !patch->given[SETTING_LOG_LEVEL])
		(void)settings_patch_add(patch, setting_name(SETTING_LOG_LEVEL),
		                         log_level_name(LOG_LEVEL_INFO), NULL);
	if (patch->given[SETTING_LOG_LEVEL])
		log_set_level(patch->values.log_level);
	log_to_stderr(options->foreground && getenv("JOURNAL_STREAM"));
	for (size_t i = 0; i < options->nr_warnings; i++)
		log_warn("%s", options->warnings[i]);
}

static int mount_clone(struct options *options, int argc, char *argv[])
{
	struct daemonize daemonize = {.report_fd = -1};
	struct cf_error err = {0};
	int r;

	r = hide_source(options, argc, argv, &err);
	start_log(options);
	if (r == 0)
		r = daemonize_begin(options->foreground || options->fake, &daemonize, &err);
	if (r == 0)
		r = run(options, &daemonize, &err);
	if (r < 0)
		daemonize_fail(&daemonize, EXIT_FAILED, err.text);
	return r < 0 ? EXIT_FAILED : 0;
}

int main(int argc, char *argv[])
{
	struct options options;
	struct cf_error err = {0};
	int r = options_parse(argc, argv, &options, &err);
	int status = 0;

	if (r < 0) {
		(void)fprintf(stderr, "mount.clonefs: %s\n", err.text);
		status = r == -EINVAL || r == -ERANGE ? EXIT_USAGE : EXIT_FAILED;
	} else if (options.help) {
		(void)fputs(options_usage(), stdout);
	} else if (options.version) {
		(void)puts("clonefs " CLONEFS_VERSION);
	} else {
		status = mount_clone(&options, argc, argv);
	}
	options_fini(&options);
	return status;
}
