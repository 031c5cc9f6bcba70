/*
 * The source of the benchmark: one image over HTTP/1.1 with byte ranges, with a settable time to
 * the first byte and bandwidth, cheap enough that what is measured is the client.
 *
 *     range_server [-s MIB] [-t MS] [-r BYTES] [-l BYTES]
 *
 * -s: size of the image (1024); -t: time to the first byte (20); -r: bytes a second of each
 * connection, -l: of all together (0: no limit). Prints "PORT n" once it listens; ends with its
 * standard input. The image is /disk.raw, /stats tells what of it was sent: body bytes, requests,
 * connections ever, those open now.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/range_server/alarms.h"
#include "tests/bench/range_server/connection.h"

#define EVENTS_MAX   64
#define LATENESS_MAX 100e-6
/* What need not be exact is sent together: a wake-up for each chunk is more work than the chunk. */
#define TICK 1e-3
/* There on every Linux. A default of bbr would pace the loopback with timers of its own. */
#define CONGESTION "reno"

struct server {
	struct server_settings settings;
	struct alarms alarms;
	int epoll_fd, listen_fd;
	double lateness; /* seconds, of exact timers: what those up to now were late by */
};

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int watch(const struct server *server, int fd, uint32_t events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int listen_somewhere(struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);

	server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->listen_fd < 0 ||
	    setsockopt(server->listen_fd, IPPROTO_TCP, TCP_CONGESTION, CONGESTION,
	               strlen(CONGESTION)) < 0 ||
	    bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(server->listen_fd, 1024) < 0 ||
	    getsockname(server->listen_fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	(void)printf("PORT %u\n", ntohs(address.sin_port));
	(void)fflush(stdout);
	return 0;
}

static int go_on(struct server *server, struct connection *connection)
{
	struct connection_wish wish = connection_go_on(connection, now());
	double tick = TICK * ceil(wish.until / TICK);

	if (wish.waits_for != CONNECTION_SLEEPS)
		return 0;
	/* That one is not woken earlier, so it comes after its tick. */
	if (tick + LATENESS_MAX <= wish.latest)
		return alarms_add(&server->alarms, tick, false, connection);
	return alarms_add(&server->alarms, fmax(wish.until, wish.latest), true, connection);
}

static int accept_all(struct server *server)
{
	int one = 1;
	int fd;

	while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = connection_new(fd, &server->settings);
		int r;

		if (!connection)
			return -ENOMEM;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
		/* Edges only: who waits for its time is not woken, and asks again afterwards. */
		r = watch(server, fd, EPOLLIN | EPOLLOUT | EPOLLET, connection);
		if (r < 0)
			return r;
	}
	return errno == EAGAIN || errno == ECONNABORTED ? 0 : -errno;
}

static int ring_alarms(struct server *server)
{
	double until = now();
	struct connection *connection;
	int r = 0;

	while (r == 0 && (connection = alarms_take(&server->alarms, until)))
		r = go_on(server, connection);
	return r;
}

/* A processor that sleeps wakes up late. It is told to as much earlier as it was late before, and
 * the rest is waited for awake: some microseconds. */
static void wait_awake(struct server *server, double armed, double due)
{
	double woken = now();
	double late = woken - armed;

	if (late > LATENESS_MAX)
		late = LATENESS_MAX;
	server->lateness += (late - server->lateness) / 8;
	while (now() < due)
		;
}

static int wait_for_events(struct server *server, struct epoll_event *events)
{
	struct timespec timeout = {0};
	const struct alarm *next = server->alarms.count > 0 ? server->alarms.heap : NULL;
	bool exactly = next && next->exactly;
	double due = next ? next->due : 0;
	double start = now();
	double seconds = due - start - (exactly ? server->lateness : 0);
	int count;

	if (seconds > 0) {
		timeout.tv_sec = (time_t)seconds;
		timeout.tv_nsec = (long)((seconds - (double)timeout.tv_sec) * 1e9);
	}
	count = epoll_pwait2(server->epoll_fd, events, EVENTS_MAX, next ? &timeout : NULL, NULL);
	if (count == 0 && seconds > 0 && exactly)
		wait_awake(server, start + seconds, due);
	return count;
}

/* 1: standard input has ended. */
static int handle(struct server *server, void *data)
{
	if (data == server)
		return accept_all(server);
	if (!data)
		return 1;
	return connection_sleeps(data) ? 0 : go_on(server, data);
}

static int serve(struct server *server)
{
	struct epoll_event events[EVENTS_MAX];
	int r = 0;

	while (r == 0) {
		int count = wait_for_events(server, events);

		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count && r == 0; i++)
			r = handle(server, events[i].data.ptr);
		if (r == 0)
			r = ring_alarms(server);
	}
	return r < 0 ? r : 0;
}

static int set_up(struct server *server, uint64_t size)
{
	int r = image_make(&server->settings.image, size);

	/* sendfile has no MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Timers to the microsecond, not to fifty. */
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	if (r < 0)
		return r;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll_fd < 0)
		return -errno;
	r = listen_somewhere(server);
	if (r == 0)
		r = watch(server, server->listen_fd, EPOLLIN, server);
	return r < 0 ? r : watch(server, STDIN_FILENO, EPOLLIN, NULL);
}

int main(int argc, char **argv)
{
	struct server server = {.settings.ttfb = 0.020};
	uint64_t size_mib = 1024;
	int option;
	int r;

	while ((option = getopt(argc, argv, "s:t:r:l:")) != -1) {
		double value = optarg ? strtod(optarg, NULL) : 0;

		switch (option) {
		case 's':
			size_mib = (uint64_t)value;
			break;
		case 't':
			server.settings.ttfb = value / 1e3;
			break;
		case 'r':
			server.settings.rate = value;
			break;
		case 'l':
			server.settings.link.rate = value;
			break;
		default:
			(void)fputs("usage: range_server [-s MIB] [-t MS] [-r BYTES] [-l BYTES]\n",
			            stderr);
			return 2;
		}
	}
	r = set_up(&server, size_mib << 20);
	if (r == 0)
		r = serve(&server);
	if (r < 0)
		(void)fprintf(stderr, "range_server: %s\n", strerror(-r));
	return r < 0;
}
