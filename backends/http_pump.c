#include "backends/http_pump.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"

#define WAIT_MS_MAX 60000
/* In place of a socket whose event is not wanted any more. */
#define GONE (-1)

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
	struct http_pump *pump = user;

	(void)multi;
	if (timeout_ms < 0)
		pump->curl_due_ns = UINT64_MAX;
	else
		pump->curl_due_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * CF_NS_PER_MS;
	return 0;
}

/* What was found of @fd and not looked at is over: a new connection may get its number, and must
 * not be told of it. */
static void forget_events(struct http_pump *pump, int fd)
{
	for (int i = pump->nr_done; i < pump->nr_events; i++) {
		if (pump->events[i].data.fd == fd)
			pump->events[i].data.fd = GONE;
	}
}

/* @known is not NULL for a socket that epoll has already. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
	struct http_pump *pump = user;
	struct epoll_event event = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* It may be closed already, and then it is gone by itself. */
		(void)epoll_ctl(pump->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		forget_events(pump, fd);
		return 0;
	}
	event.events =
	        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	if (!known)
		(void)curl_multi_assign(pump->multi, fd, pump);
	/* An error here would end all transfers of the multi for good. Where epoll has no room for
	 * the socket, only its transfer stalls, and fails in time. */
	if (epoll_ctl(pump->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0 &&
	    errno == EEXIST)
		(void)epoll_ctl(pump->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	return 0;
}

static int set_up_epoll(struct http_pump *pump)
{
	struct epoll_event event = {.events = EPOLLIN};

	pump->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (pump->epoll_fd < 0)
		return -errno;
	pump->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pump->wake_fd < 0)
		return -errno;
	event.data.fd = pump->wake_fd;
	return epoll_ctl(pump->epoll_fd, EPOLL_CTL_ADD, pump->wake_fd, &event) < 0 ? -errno : 0;
}

static int set_up_multi(struct http_pump *pump)
{
	CURLMcode rc;

	pump->multi = curl_multi_init();
	if (!pump->multi)
		return -ENOMEM;
	rc = curl_multi_setopt(pump->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	if (rc == CURLM_OK)
		rc = curl_multi_setopt(pump->multi, CURLMOPT_SOCKETDATA, pump);
	if (rc == CURLM_OK)
		rc = curl_multi_setopt(pump->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	if (rc == CURLM_OK)
		rc = curl_multi_setopt(pump->multi, CURLMOPT_TIMERDATA, pump);
	return rc == CURLM_OK ? 0 : -ENOMEM;
}

int http_pump_init(struct http_pump *pump, void (*ended)(void *user, CURL *easy, CURLcode code),
                   void *user)
{
	int r;

	*pump = (struct http_pump){
	        .epoll_fd = -1,
	        .wake_fd = -1,
	        .curl_due_ns = UINT64_MAX,
	        .ended = ended,
	        .user = user,
	};
	r = set_up_epoll(pump);
	if (r == 0)
		r = set_up_multi(pump);
	if (r < 0)
		http_pump_fini(pump);
	return r;
}

void http_pump_fini(struct http_pump *pump)
{
	if (pump->multi)
		(void)curl_multi_cleanup(pump->multi);
	if (pump->epoll_fd >= 0)
		(void)close(pump->epoll_fd);
	if (pump->wake_fd >= 0)
		(void)close(pump->wake_fd);
}

void http_pump_limit(struct http_pump *pump, unsigned int max_connections)
{
	(void)curl_multi_setopt(pump->multi, CURLMOPT_MAXCONNECTS, (long)max_connections);
	(void)curl_multi_setopt(pump->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)max_connections);
}

int http_pump_add(struct http_pump *pump, CURL *easy)
{
	return curl_multi_add_handle(pump->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void http_pump_remove(struct http_pump *pump, CURL *easy)
{
	(void)curl_multi_remove_handle(pump->multi, easy);
}

static void reap(struct http_pump *pump)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pump->multi, &left))) {
		CURL *easy = message->easy_handle;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_multi_remove_handle(pump->multi, easy);
		pump->ended(pump->user, easy, code);
	}
}

void http_pump_run_timer(struct http_pump *pump)
{
	int running;

	if (pump->curl_due_ns > clock_monotonic_ns())
		return;
	pump->curl_due_ns = UINT64_MAX;
	(void)curl_multi_socket_action(pump->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(pump);
}

static void run_event(struct http_pump *pump, const struct epoll_event *event)
{
	uint64_t count;
	int mask = 0;
	int running;

	if (event->data.fd == pump->wake_fd) {
		(void)!read(pump->wake_fd, &count, sizeof(count));
		return;
	}
	if (event->events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (event->events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (event->events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	(void)curl_multi_socket_action(pump->multi, event->data.fd, mask, &running);
	reap(pump);
}

/* For epoll_wait(): rounded up, so that the time has come when it returns. */
static int milliseconds_until(uint64_t due_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t ms;

	if (due_ns <= now)
		return 0;
	if (due_ns == UINT64_MAX)
		return -1;
	ms = (due_ns - now + CF_NS_PER_MS - 1) / CF_NS_PER_MS;
	return ms > WAIT_MS_MAX ? WAIT_MS_MAX : (int)ms;
}

void http_pump_wait(struct http_pump *pump, uint64_t due_ns)
{
	if (pump->curl_due_ns < due_ns)
		due_ns = pump->curl_due_ns;
	pump->nr_events = epoll_wait(pump->epoll_fd, pump->events, HTTP_PUMP_EVENTS,
	                             milliseconds_until(due_ns));
	pump->nr_done = 0;
}

bool http_pump_run_socket(struct http_pump *pump)
{
	while (pump->nr_done < pump->nr_events) {
		const struct epoll_event *event = &pump->events[pump->nr_done++];

		if (event->data.fd == GONE)
			continue;
		run_event(pump, event);
		return true;
	}
	return false;
}

void http_pump_wake(struct http_pump *pump)
{
	uint64_t one = 1;

	/* Cannot fail: the counter is far from full, and the pump reads it. */
	(void)!write(pump->wake_fd, &one, sizeof(one));
}
