#include "tests/bench/range_server/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/range_server/request.h"

#define VALIDATORS                                                                \
	"ETag: \"benchmark\"\r\nLast-Modified: Sun, 13 Sep 2020 12:26:40 GMT\r\n" \
	"Accept-Ranges: bytes\r\n"
/* What one turn may send without a limit, so that the others get theirs. */
#define TURN_MAX (1u << 20)
/* Older stamps, in seconds, are not believed. */
#define AGE_MAX 0.1

enum state { TAKES_REQUEST, SLEEPS_BEFORE_ANSWER, SENDS_HEAD, SENDS_CHUNK, SLEEPS_BEFORE_CHUNK };

struct connection {
	int fd;
	enum state state;
	struct server_settings *settings;
	struct pace pace;
	double until;
	double arrived; /* what it received last */
	bool keep_alive;
	bool has_begun; /* a chunk of the answer is sent */
	char input[8192];
	size_t input_length;
	char head[1024]; /* and the whole answer if it is not of the image */
	size_t head_length, head_sent;
	uint64_t offset, left, chunk_left;
};

struct connection *connection_new(int fd, struct server_settings *settings)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		(void)close(fd);
		return NULL;
	}
	connection->fd = fd;
	connection->settings = settings;
	connection->pace.rate = settings->rate;
	settings->connections++;
	settings->open++;
	return connection;
}

int connection_fd(const struct connection *connection)
{
	return connection->fd;
}

static struct connection_wish close_connection(struct connection *connection)
{
	connection->settings->open--;
	(void)close(connection->fd);
	free(connection);
	return (struct connection_wish){.waits_for = CONNECTION_CLOSED};
}

static void answer_small(struct connection *connection, const struct request *request)
{
	const struct server_settings *settings = connection->settings;
	bool is_index = strcmp(request->path, "/") == 0;
	char body[256] = "";

	if (is_index)
		(void)snprintf(body, sizeof(body),
		               "<html><a href=\"disk.raw\">disk.raw</a></html>\n");
	else if (strcmp(request->path, "/stats") == 0)
		(void)snprintf(body, sizeof(body),
		               "{\"bytes\": %" PRIu64 ", \"requests\": %" PRIu64
		               ", \"connections\": %" PRIu64 ", \"open\": %u}\n",
		               settings->bytes, settings->requests, settings->connections,
		               settings->open);
	connection->head_length = (size_t)snprintf(
	        connection->head, sizeof(connection->head),
	        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
	        *body ? "200 OK" : "404 Not Found", is_index ? "text/html" : "application/json",
	        strlen(body), request->is_head ? "" : body);
}

static void answer_image(struct connection *connection, const struct request *request)
{
	struct server_settings *settings = connection->settings;
	uint64_t size = settings->image.size;
	uint64_t length = request->has_range ? request->last - request->first + 1 : size;
	char range[96] = "";

	settings->requests++;
	if (request->cannot_satisfy)
		length = 0;
	if (request->has_range && !request->cannot_satisfy)
		(void)snprintf(range, sizeof(range),
		               "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
		               request->first, request->last, size);
	connection->head_length = (size_t)snprintf(
	        connection->head, sizeof(connection->head),
	        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\n" VALIDATORS
	        "%sContent-Length: %" PRIu64 "\r\n\r\n",
	        request->cannot_satisfy ? "416 Range Not Satisfiable"
	        : request->has_range    ? "206 Partial Content"
	                                : "200 OK",
	        range, length);
	connection->offset = request->first;
	connection->left = request->is_head ? 0 : length;
}

static void begin_answer(struct connection *connection, const struct request *request)
{
	connection->head_sent = 0;
	connection->left = 0;
	connection->has_begun = false;
	connection->keep_alive = request->keep_alive;
	if (strcmp(request->path, "/disk.raw") == 0) {
		answer_image(connection, request);
		connection->until = connection->arrived + connection->settings->ttfb;
	} else {
		answer_small(connection, request);
		connection->until = connection->arrived;
	}
	connection->state = SLEEPS_BEFORE_ANSWER;
}

/* How long ago the kernel got a message, by the clock it stamps with. */
static double age_of(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct timespec stamp, now;
	double age;

	if (!control || control->cmsg_level != SOL_SOCKET ||
	    control->cmsg_type != SCM_TIMESTAMPNS || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return 0;
	memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
	age = (double)(now.tv_sec - stamp.tv_sec) + (double)(now.tv_nsec - stamp.tv_nsec) / 1e9;
	/* That clock may be set meanwhile. */
	return age > 0 && age < AGE_MAX ? age : 0;
}

/* As recv(2). The time to the first byte begins when a request is here, not when the server wakes.
 */
static ssize_t receive(struct connection *connection, double now)
{
	struct iovec space = {connection->input + connection->input_length,
	                      sizeof(connection->input) - connection->input_length};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct timespec))];
	} control;
	struct msghdr message = {.msg_iov = &space,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(connection->fd, &message, 0);

	if (n > 0)
		connection->arrived = now - age_of(&message);
	return n;
}

/* 1: a request is there; 0: not yet; negative: the connection ends. */
static int take_request(struct connection *connection, double now)
{
	struct request request;
	int r;

	for (;;) {
		ssize_t n;

		r = request_parse(connection->input, connection->input_length,
		                  connection->settings->image.size, &request);
		if (r != 0)
			break;
		if (connection->input_length == sizeof(connection->input))
			return -EINVAL;
		n = receive(connection, now);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
		connection->input_length += (size_t)n;
	}
	if (r < 0)
		return r;
	connection->input_length -= (size_t)r;
	memmove(connection->input, connection->input + r, connection->input_length);
	begin_answer(connection, &request);
	return 1;
}

static void next_chunk(struct connection *connection, double now)
{
	struct server_settings *settings = connection->settings;
	bool is_limited = settings->rate > 0 || settings->link.rate > 0;
	uint64_t length = is_limited ? PACE_CHUNK : TURN_MAX;

	connection->chunk_left = connection->left < length ? connection->left : length;
	connection->until = pace_take(&connection->pace, &settings->link, connection->until, now,
	                              connection->chunk_left);
	connection->state = SLEEPS_BEFORE_CHUNK;
}

/* Who is late sends with its chunk all that is due by now; but a link is for all in turn. */
static void catch_up(struct connection *connection, double now)
{
	uint64_t most = connection->left < TURN_MAX ? connection->left : TURN_MAX;

	while (connection->settings->link.rate <= 0 && connection->chunk_left < most) {
		double due = connection->until;
		uint64_t length = most - connection->chunk_left;

		if (length > PACE_CHUNK)
			length = PACE_CHUNK;
		if (pace_end(&connection->pace, length) > now)
			break;
		(void)pace_take(&connection->pace, &connection->settings->link, due, now, length);
		connection->chunk_left += length;
	}
}

/* 1: all is sent; 0: the socket is full; negative: the connection ends. */
static int send_head(struct connection *connection)
{
	while (connection->head_sent < connection->head_length) {
		ssize_t n = send(connection->fd, connection->head + connection->head_sent,
		                 connection->head_length - connection->head_sent,
		                 MSG_NOSIGNAL | (connection->left ? MSG_MORE : 0));

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		connection->head_sent += (size_t)n;
	}
	return 1;
}

static int send_chunk(struct connection *connection)
{
	while (connection->chunk_left > 0) {
		ssize_t n = image_send(&connection->settings->image, connection->fd,
		                       connection->offset, connection->chunk_left);

		if (n <= 0)
			return n == -EAGAIN ? 0 : n < 0 ? (int)n : -EIO;
		connection->offset += (uint64_t)n;
		connection->left -= (uint64_t)n;
		connection->chunk_left -= (uint64_t)n;
		connection->settings->bytes += (uint64_t)n;
	}
	return 1;
}

/* 1: the state has changed; 0: it waits for the socket; negative: the connection ends. */
static int step(struct connection *connection, double now)
{
	int r = 1;

	switch (connection->state) {
	case TAKES_REQUEST:
		return take_request(connection, now);
	case SLEEPS_BEFORE_ANSWER:
		connection->state = SENDS_HEAD;
		return 1;
	case SENDS_HEAD:
		r = send_head(connection);
		break;
	case SLEEPS_BEFORE_CHUNK:
		catch_up(connection, now);
		connection->state = SENDS_CHUNK;
		return 1;
	case SENDS_CHUNK:
		r = send_chunk(connection);
		connection->has_begun = true;
		break;
	}
	if (r <= 0)
		return r;
	if (connection->left > 0)
		next_chunk(connection, now);
	else if (!connection->keep_alive)
		return -ESHUTDOWN;
	else
		connection->state = TAKES_REQUEST;
	return 1;
}

bool connection_sleeps(const struct connection *connection)
{
	return connection->state == SLEEPS_BEFORE_ANSWER ||
	       connection->state == SLEEPS_BEFORE_CHUNK;
}

/* When its next chunk may leave at the latest: with others, if the last one of the answer is in
 * time. The first one may not, nor what is due already; and on a link one holds up the others. */
static double latest(const struct connection *connection, double now)
{
	bool is_exact = connection->state == SLEEPS_BEFORE_ANSWER || !connection->has_begun ||
	                connection->until <= now || connection->settings->link.rate > 0;

	return is_exact ? connection->until
	                : pace_end(&connection->pace, connection->left - connection->chunk_left);
}

struct connection_wish connection_go_on(struct connection *connection, double now)
{
	bool has_sent = false;
	int r;

	do {
		/* Without a limit the next chunk is due at once, but after those of the others. */
		if (connection_sleeps(connection) && (has_sent || connection->until > now))
			return (struct connection_wish){
			        .waits_for = CONNECTION_SLEEPS,
			        .until = connection->until,
			        .latest = latest(connection, now),
			};
		has_sent = connection->state == SENDS_CHUNK;
		r = step(connection, now);
	} while (r > 0);
	if (r < 0)
		return close_connection(connection);
	return (struct connection_wish){.waits_for = CONNECTION_SOCKET};
}
