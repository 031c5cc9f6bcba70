#include "daemon/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/daemon.h"
#include "daemon/fuse_loop.h"
#include "daemon/notify.h"
#include "daemon/signals.h"
#include "daemon/stop_guard.h"

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t ms;

	if (deadline_ns == UINT64_MAX)
		return -1;
	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now) / CF_NS_PER_MS + 1;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

enum wake { WAKE_LOOP_ENDED, WAKE_SIGNAL, WAKE_DEADLINE };

static enum wake wait_for_news(const struct fuse_loop *loop, int signal_fd, uint64_t deadline_ns,
                               const char **ret_signal)
{
	struct pollfd fds[] = {
	        {.fd = fuse_loop_end_fd(loop), .events = POLLIN},
	        {.fd = signal_fd, .events = POLLIN},
	};

	for (;;) {
		int r = poll(fds, 2, remaining_ms(deadline_ns));

		if (r > 0 && fds[0].revents)
			return WAKE_LOOP_ENDED;
		if (r > 0 && fds[1].revents) {
			const char *name = signals_take(signal_fd);

			if (name) {
				*ret_signal = name;
				return WAKE_SIGNAL;
			}
		}
		if (r == 0 && clock_monotonic_ns() >= deadline_ns)
			return WAKE_DEADLINE;
	}
}

/*
 * Whoever waits for a source that stays away under on_source_error=wait would hold the inode's lock
 * and with it everybody who wants to close: from now on it is as with eio, and stays so.
 */
static void wait_no_more(struct daemon *d)
{
	struct image_settings settings;

	cf_lock(&d->lock);
	d->closing = true;
	d->settings.on_source_error = SETTINGS_ON_ERROR_EIO;
	clone_image_settings(&d->settings, &settings);
	image_configure(d->clone.image, &settings);
	cf_unlock(&d->lock);
}

static void begin_to_leave(struct daemon *d, struct fuse_loop *loop, uint64_t stop_timeout_ms)
{
	int r;

	log_notice("%s: stopping, open files are served for up to %llu ms more",
	           state_name(d->clone.state), (unsigned long long)stop_timeout_ms);
	notify_stopping(stop_timeout_ms);
	state_set_closing(d->clone.state);
	image_stop_background(d->clone.image);
	wait_no_more(d);
	r = mount_detach(d->place.path, d->device);
	if (r < 0)
		log_warn("%s: cannot unmount %s, it is left behind error=%d",
		         state_name(d->clone.state), d->place.path, -r);
	/* Also then: libfuse would unmount whatever lies on top there. */
	fuse_loop_set_detached(loop);
}

static uint64_t get_stop_timeout(struct daemon *d)
{
	uint64_t stop_timeout_ms;

	cf_lock(&d->lock);
	stop_timeout_ms = d->settings.stop_timeout_ms;
	cf_unlock(&d->lock);
	return stop_timeout_ms;
}

/* Nobody is served any more: whatever hangs from here on must not keep the process. */
static void begin_to_end(struct daemon *d, int signal_fd, unsigned int nr_signals)
{
	d->guard = stop_guard_new(state_name(d->clone.state), signal_fd, nr_signals,
	                          STOP_GUARD_GRACE_MS);
}

static void cut_off(struct daemon *d, struct fuse_loop *loop)
{
	log_notice("%s: the image is still open, cutting it off", state_name(d->clone.state));
	image_stop(d->clone.image);
	fuse_loop_exit(loop);
}

const char *serve_until_end(struct daemon *d, int signal_fd)
{
	struct fuse_loop *loop = d->loop;
	const char *first = NULL;
	const char *second = NULL;
	uint64_t stop_timeout_ms;
	uint64_t deadline_ns;

	if (wait_for_news(loop, signal_fd, UINT64_MAX, &first) == WAKE_LOOP_ENDED) {
		begin_to_end(d, signal_fd, 0);
		return "umount";
	}
	stop_timeout_ms = get_stop_timeout(d);
	begin_to_leave(d, loop, stop_timeout_ms);
	deadline_ns = clock_monotonic_ns() + stop_timeout_ms * CF_NS_PER_MS;
	switch (wait_for_news(loop, signal_fd, deadline_ns, &second)) {
	case WAKE_LOOP_ENDED:
		begin_to_end(d, signal_fd, 1);
		break;
	case WAKE_SIGNAL:
		begin_to_end(d, signal_fd, 2);
		cut_off(d, loop);
		return "a second signal: what was open is cut off";
	case WAKE_DEADLINE:
		begin_to_end(d, signal_fd, 1);
		cut_off(d, loop);
		return "stop_timeout= is over: what was open is cut off";
	}
	return first;
}
