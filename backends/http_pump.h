/*
 * What turns: curl's multi handle, its sockets in epoll, its timer, and an eventfd to wake the
 * thread that waits. Everything but http_pump_wake() happens on that thread.
 *
 * curl_multi_socket_action() and epoll rather than curl_multi_perform(): with 64 connections that
 * is a third more requests a second.
 */
#ifndef CLONEFS_BACKENDS_HTTP_PUMP_H
#define CLONEFS_BACKENDS_HTTP_PUMP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define HTTP_PUMP_EVENTS 64

struct http_pump {
	CURLM *multi;         /* owned */
	int epoll_fd;         /* owned */
	int wake_fd;          /* owned; eventfd */
	uint64_t curl_due_ns; /* when curl wants to be called; UINT64_MAX: not at all */
	struct epoll_event events[HTTP_PUMP_EVENTS];
	int nr_events; /* what the last wait found */
	int nr_done;   /* of these; the others are run by and by, unless their socket is closed */
	/* A transfer is over; its handle is out of the multi and may be added again. */
	void (*ended)(void *user, CURL *easy, CURLcode code);
	void *user;
};

/* 0, or a negative errno; then nothing is to be undone. */
int http_pump_init(struct http_pump *pump, void (*ended)(void *user, CURL *easy, CURLcode code),
                   void *user);
/* No handle may be in it. */
void http_pump_fini(struct http_pump *pump);

/* Connections at a time, kept-alive ones included: a server may allow only so many. */
void http_pump_limit(struct http_pump *pump, unsigned int max_connections);

/* -ENOMEM. The transfer begins with the next http_pump_run_timer(). */
int http_pump_add(struct http_pump *pump, CURL *easy);
/* At any time, but not within a callback of curl's. Ends the transfer without ended(). */
void http_pump_remove(struct http_pump *pump, CURL *easy);

/* Does what curl's timer says is due: new transfers begin here. Calls ended(). */
void http_pump_run_timer(struct http_pump *pump);

/* Waits for sockets, for http_pump_wake(), or until @due_ns or curl's timer (monotonic; 0: looks
 * only). */
void http_pump_wait(struct http_pump *pump, uint64_t due_ns);

/* Does what one of the sockets that the wait found is ready for; false: there is none left, and
 * http_pump_wait() may be called again. Calls ended() if its transfer is over. */
bool http_pump_run_socket(struct http_pump *pump);

/* From any thread: http_pump_wait() returns, or will at once when it is called next. */
void http_pump_wake(struct http_pump *pump);

#endif
