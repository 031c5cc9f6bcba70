/*
 * The time to the first byte, as a client on this machine sees it that does nothing else: one
 * connection to a range_server, one request for a region after the other, from before it is sent
 * until bytes are here. Prints one JSON object: requests, and mean, median and p99 in microseconds.
 *
 *     first_byte [-n REQUESTS] PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REGION 65536u

static double now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int connect_to(unsigned int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons((uint16_t)port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}

/* All of a region's answer; *ret_first is when it began. */
static int receive(int fd, double *ret_first)
{
	static char answer[REGION + 4096];
	size_t length = 0;
	const char *body = NULL;

	while (!body || length - (size_t)(body - answer) < REGION) {
		ssize_t n = recv(fd, answer + length, sizeof(answer) - length, 0);

		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		if (length == 0)
			*ret_first = now_us();
		length += (size_t)n;
		if (!body) {
			body = memmem(answer, length, "\r\n\r\n", 4);
			body = body ? body + 4 : NULL;
		}
		if (!body && length == sizeof(answer))
			return -EPROTO;
	}
	return strncmp(answer, "HTTP/1.1 206 ", 13) == 0 ? 0 : -EPROTO;
}

static int measure(int fd, double *latencies, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		unsigned long offset = (unsigned long)i * REGION;
		char request[128];
		int length = snprintf(request, sizeof(request),
		                      "GET /disk.raw HTTP/1.1\r\nRange: bytes=%lu-%lu\r\n\r\n",
		                      offset, offset + REGION - 1);
		double start = now_us();
		double first = start;
		int r;

		if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
			return -EIO;
		r = receive(fd, &first);
		if (r < 0)
			return r;
		latencies[i] = first - start;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double *latencies, unsigned int count)
{
	double sum = 0;

	qsort(latencies, count, sizeof(*latencies), compare);
	for (unsigned int i = 0; i < count; i++)
		sum += latencies[i];
	(void)printf("{\"requests\": %u, \"mean_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
	             count, sum / count, latencies[count / 2],
	             latencies[(unsigned long)count * 99 / 100]);
}

int main(int argc, char **argv)
{
	unsigned int count = 100;
	double *latencies;
	int option, fd, r;

	while ((option = getopt(argc, argv, "n:")) != -1)
		count = option == 'n' ? (unsigned int)strtoul(optarg, NULL, 10) : 0;
	if (count == 0 || argc - optind != 1) {
		(void)fputs("usage: first_byte [-n REQUESTS] PORT\n", stderr);
		return 2;
	}
	latencies = malloc(count * sizeof(*latencies));
	fd = connect_to((unsigned int)strtoul(argv[optind], NULL, 10));
	r = !latencies ? -ENOMEM : fd < 0 ? fd : measure(fd, latencies, count);
	if (r == 0)
		report(latencies, count);
	else
		(void)fprintf(stderr, "first_byte: %s\n", strerror(-r));
	if (fd >= 0)
		(void)close(fd);
	free(latencies);
	return r < 0;
}
