/* The benchmark's source keeps to its settings: never a byte too early, and the last one in time.
 * Its connections are told the time, so here the clock is a variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/range_server/connection.h"

#define KIB      ((uint64_t)1 << 10)
#define MIB      ((uint64_t)1 << 20)
#define TTFB     0.020
#define PUT_OFF  0.010
#define ACCURACY 1e-6
#define NR_MAX   4

struct client {
	struct connection *connection;
	int fd;
	struct connection_wish wish;
	char head[1024];
	size_t head_length;
	uint64_t received; /* of the body */
	double first_at, last_at;
};

struct rig {
	struct server_settings settings;
	struct client clients[NR_MAX];
	unsigned int nr;
	double now;
};

/* cmocka's own compares floats. */
static void assert_near(double found, double expected, double tolerance)
{
	if (fabs(found - expected) > tolerance)
		fail_msg("%.7f instead of %.7f", found, expected);
}

static void connect_client(struct rig *rig)
{
	struct client *client = &rig->clients[rig->nr++];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	client->connection = connection_new(fds[0], &rig->settings);
	assert_non_null(client->connection);
	client->fd = fds[1];
}

/* @link: all connections share @rate, in bytes a second; otherwise each has it. 0: no limit. */
static void rig_init(struct rig *rig, unsigned int nr, double rate, bool link)
{
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(image_make(&rig->settings.image, 64 * MIB), 0);
	rig->settings.ttfb = TTFB;
	if (link)
		rig->settings.link.rate = rate;
	else
		rig->settings.rate = rate;
	rig->now = 1000;
	while (rig->nr < nr)
		connect_client(rig);
}

static void rig_fini(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->nr; i++) {
		(void)close(rig->clients[i].fd);
		assert_int_equal(connection_go_on(rig->clients[i].connection, rig->now).waits_for,
		                 CONNECTION_CLOSED);
	}
	(void)close(rig->settings.image.fd);
}

static void take_bytes(struct client *client, const char *bytes, size_t length, double now)
{
	while (length && (client->head_length < 4 ||
	                  memcmp(client->head + client->head_length - 4, "\r\n\r\n", 4) != 0)) {
		assert_true(client->head_length < sizeof(client->head));
		client->head[client->head_length++] = *bytes++;
		length--;
	}
	if (!length)
		return;
	if (!client->received)
		client->first_at = now;
	client->received += length;
	client->last_at = now;
}

/* What the server can do at this time, and what arrives by it. */
static void go_on(struct rig *rig, struct client *client)
{
	static char bytes[256 << 10];
	ssize_t n;
	bool any;

	do {
		any = false;
		client->wish = connection_go_on(client->connection, rig->now);
		assert_int_not_equal(client->wish.waits_for, CONNECTION_CLOSED);
		while ((n = read(client->fd, bytes, sizeof(bytes))) > 0) {
			take_bytes(client, bytes, (size_t)n, rig->now);
			any = true;
		}
		assert_int_equal(errno, EAGAIN);
	} while (any && client->wish.waits_for == CONNECTION_SOCKET);
}

static void ask(struct rig *rig, struct client *client, uint64_t length)
{
	char request[128];
	int n = snprintf(request, sizeof(request),
	                 "GET /disk.raw HTTP/1.1\r\nRange: bytes=0-%" PRIu64 "\r\n\r\n",
	                 length - 1);

	client->head_length = 0;
	client->received = 0;
	assert_int_equal(write(client->fd, request, (size_t)n), n);
	go_on(rig, client);
	assert_int_equal(client->wish.waits_for, CONNECTION_SLEEPS);
	assert_near(client->wish.until, rig->now + TTFB, ACCURACY);
}

static double wakes_at(const struct client *client, bool late)
{
	const struct connection_wish *wish = &client->wish;

	return late ? fmin(fmax(wish->until, wish->latest), wish->until + PUT_OFF) : wish->until;
}

/* Who is next; NULL: all have what they asked for. */
static struct client *next_client(struct rig *rig, bool late)
{
	struct client *next = NULL;

	for (unsigned int i = 0; i < rig->nr; i++) {
		struct client *client = &rig->clients[i];

		if (client->wish.waits_for == CONNECTION_SLEEPS &&
		    (!next || wakes_at(client, late) < wakes_at(next, late)))
			next = client;
	}
	return next;
}

/* Wakes each connection when it wants to be, or as late as it may be (@late), and looks that since
 * @begin never more has come than @rate allows and what may be @ahead. */
static void run(struct rig *rig, double begin, double rate, uint64_t ahead, bool late)
{
	for (struct client *next; (next = next_client(rig, late));) {
		uint64_t received = 0;

		rig->now = fmax(rig->now, wakes_at(next, late));
		go_on(rig, next);
		for (unsigned int i = 0; i < rig->nr; i++)
			received += rig->clients[i].received;
		if (rate > 0)
			assert_true((double)received <=
			            (double)ahead + rate * (rig->now - begin + ACCURACY));
	}
}

static void assert_answered(struct rig *rig, struct client *client, uint64_t length, double rate,
                            bool late)
{
	double begin = rig->now + TTFB;
	double rest = length > PACE_CHUNK ? (double)(length - PACE_CHUNK) / rate : 0;

	ask(rig, client, length);
	run(rig, begin, rate, PACE_CHUNK, late);
	assert_int_equal(client->received, length);
	assert_near(client->first_at, begin, ACCURACY);
	assert_near(client->last_at, begin + rest, ACCURACY);
}

static void a_connection_keeps_its_rate_however_late_it_is_woken(void **state)
{
	static const uint64_t lengths[] = {1, 64 * KIB, 64 * KIB + 1, MIB, 8 * MIB + 300};
	static const double rates[] = {8 * MIB, 100 * MIB, 2000.0 * MIB};
	struct rig rig;

	(void)state;
	for (unsigned int i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		rig_init(&rig, 1, rates[i], false);
		for (unsigned int j = 0; j < sizeof(lengths) / sizeof(*lengths); j++) {
			/* The second one finds nothing saved up in between. */
			assert_answered(&rig, &rig.clients[0], lengths[j], rates[i], false);
			rig.now += 10;
			assert_answered(&rig, &rig.clients[0], lengths[j], rates[i], true);
			rig.now += 0.001;
		}
		rig_fini(&rig);
	}
}

/* Below 64 KiB in the time to the first byte, the chunk before is not over when the next is due. */
static void a_slow_connection_gives_its_next_answer_when_it_can(void **state)
{
	double rate = MIB;
	struct rig rig;
	double asked;

	(void)state;
	rig_init(&rig, 1, rate, false);
	assert_answered(&rig, &rig.clients[0], 256 * KIB, rate, true);
	asked = rig.now;
	ask(&rig, &rig.clients[0], 256 * KIB);
	run(&rig, asked, rate, 0, true);
	assert_near(rig.clients[0].first_at, asked + PACE_CHUNK / rate, ACCURACY);
	assert_near(rig.clients[0].last_at, asked + 256 * KIB / rate, ACCURACY);
	rig_fini(&rig);
}

/* Late once, in the middle of 4 MiB. */
static void assert_catches_up(bool link, double lag)
{
	double rate = 100 * MIB;
	double rest = (double)(4 * MIB - (link ? 0 : PACE_CHUNK)) / rate;
	double lost = fmax(lag - PUT_OFF, 0);
	struct rig rig;
	double begin;

	rig_init(&rig, 1, rate, link);
	begin = rig.now + TTFB;
	ask(&rig, &rig.clients[0], 4 * MIB);
	while (rig.now < begin + rest / 2) {
		rig.now = rig.clients[0].wish.until;
		go_on(&rig, &rig.clients[0]);
	}
	rig.now += lag;
	run(&rig, begin, rate, link ? 0 : PACE_CHUNK, false);
	assert_int_equal(rig.clients[0].received, 4 * MIB);
	assert_near(rig.clients[0].last_at, begin + rest + lost,
	            lost > 0 ? 2 * PACE_CHUNK / rate : ACCURACY);
	rig_fini(&rig);
}

static void who_is_late_catches_up_with_ten_milliseconds(void **state)
{
	(void)state;
	assert_catches_up(false, 0.005);
	assert_catches_up(false, 0.030);
	assert_catches_up(true, 0.005);
	assert_catches_up(true, 0.030);
}

/* Whichever is the slower one. */
static void connections_and_their_link_can_both_be_limited(void **state)
{
	static const double links[] = {50 * MIB, 150 * MIB, 1000.0 * MIB};
	double rate = 100 * MIB;

	(void)state;
	for (unsigned int i = 0; i < sizeof(links) / sizeof(*links); i++) {
		double both = fmin(2 * rate, links[i]);
		struct rig rig;
		double begin;

		rig_init(&rig, 2, rate, false);
		rig.settings.link.rate = links[i];
		begin = rig.now + TTFB;
		for (unsigned int j = 0; j < rig.nr; j++)
			ask(&rig, &rig.clients[j], 4 * MIB);
		run(&rig, begin, both, 2 * PACE_CHUNK, false);
		assert_near(rig.now, begin + 8 * MIB / both, 2 * PACE_CHUNK / rate);
		rig_fini(&rig);
	}
}

static void a_link_serves_its_connections_in_turn(void **state)
{
	double rate = 100 * MIB;
	double all = NR_MAX * 2 * MIB / rate;
	struct rig rig;
	double begin;

	(void)state;
	rig_init(&rig, NR_MAX, rate, true);
	begin = rig.now + TTFB;
	for (unsigned int i = 0; i < rig.nr; i++)
		ask(&rig, &rig.clients[i], 2 * MIB);
	run(&rig, begin, rate, 0, true);
	for (unsigned int i = 0; i < rig.nr; i++) {
		assert_int_equal(rig.clients[i].received, 2 * MIB);
		assert_near(rig.clients[i].last_at, begin + all, NR_MAX * PACE_CHUNK / rate);
	}
	assert_near(rig.now, begin + all, ACCURACY);
	rig_fini(&rig);
}

static void without_a_limit_all_comes_after_the_first_byte(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, 2, 0, false);
	for (unsigned int i = 0; i < rig.nr; i++)
		ask(&rig, &rig.clients[i], 16 * MIB);
	run(&rig, 0, 0, 0, false);
	for (unsigned int i = 0; i < rig.nr; i++) {
		assert_int_equal(rig.clients[i].received, 16 * MIB);
		assert_near(rig.clients[i].last_at, 1000 + TTFB, ACCURACY);
	}
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_connection_keeps_its_rate_however_late_it_is_woken),
	        cmocka_unit_test(a_slow_connection_gives_its_next_answer_when_it_can),
	        cmocka_unit_test(who_is_late_catches_up_with_ten_milliseconds),
	        cmocka_unit_test(connections_and_their_link_can_both_be_limited),
	        cmocka_unit_test(a_link_serves_its_connections_in_turn),
	        cmocka_unit_test(without_a_limit_all_comes_after_the_first_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
