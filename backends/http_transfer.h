/*
 * One easy handle and what it is doing: a request is prepared, runs in the loop's multi handle,
 * and is finished; a redirect or a refused remembered URL makes it run once more. Knows nothing of
 * sockets and threads: everything here happens on the loop's thread.
 *
 *   idle --prepare--> running --finish--> idle     OVER: the outcome is known
 *                      ^  ^      |  |      ^
 *                      |  +------+  |      |         AGAIN: one hop more, add it to the multi again
 *                      |            v      |
 *                      +-renewed- waiting -+         WAITS: for the files with the login
 */
#ifndef CLONEFS_BACKENDS_HTTP_TRANSFER_H
#define CLONEFS_BACKENDS_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backends/http_reply.h"
#include "backends/http_url.h"
#include "backends/job.h"

struct http_auth;
struct http_probe;
struct http_transfer;

/* What the backend keeps of each request, in its room. */
struct http_job {
	struct source_job base; /* first */
	TAILQ_ENTRY(http_job) pending;
	TAILQ_ENTRY(http_job) command;
	struct http_transfer *transfer; /* borrowed; NULL: waits for one */
	struct http_probe *probe;       /* borrowed; NULL: an ordinary request */
	/* Protected by the loop's lock: */
	bool commanded; /* linked by @command */
	bool is_new;
	bool cancel_wanted;
	bool resume_wanted;
};

/* What all transfers of one source share. Only the loop's thread touches it. */
struct http_session {
	struct http_url *original;       /* owned reference; the URL the user gave */
	struct http_url *remembered;     /* owned reference; where it led to; NULL: nowhere yet */
	struct source_identity identity; /* pinned; size 0: not yet */
	struct curl_slist *conditions;   /* owned; the header that carries the pinned validator */
	struct http_auth *auth;          /* owned */
	char *cacert;                    /* owned; NULL: the system's */
	bool has_bundle;                 /* http_transfer_system_has_bundle() */
	bool insecure_redirect;          /* also from https to http */
	uint64_t stall_ms;
};

enum http_transfer_step { HTTP_TRANSFER_OVER, HTTP_TRANSFER_AGAIN, HTTP_TRANSFER_WAITS };

struct http_transfer {
	TAILQ_ENTRY(http_transfer) link; /* the loop's: idle or active */
	CURL *easy;                      /* owned */
	struct http_session *session;    /* borrowed */
	struct http_job *job;            /* borrowed; NULL: idle */
	bool has_slot;                   /* the loop's: it is one of max_connections */

	/* Of the request: */
	struct http_url *at; /* owned reference; asked now */
	unsigned int redirects;
	bool from_remembered; /* the first URL asked was the remembered one */
	bool renewed;         /* it was denied, and asked again with another login */
	uint64_t reading;     /* of the login's files, which it waits for; 0: it does not */

	/* Of the hop: */
	unsigned int auth_generation; /* of the login that was sent */
	struct curl_slist *headers;   /* owned; conditions and headers of the login; NULL: none */
	struct http_reply reply;
	bool judged;
	struct source_outcome verdict; /* of the header section, once judged */
	uint64_t expected;             /* bytes that a reply judged OK brings */
	uint64_t discarded;            /* body bytes that nobody wants */
	uint64_t progress_ns;          /* when a byte came last, or the hop began */
	uint64_t drain_ns; /* the rest of the reply is awaited from then on; 0: not yet */
	bool paused;
	char curl_error[CURL_ERROR_SIZE];
};

/* The system's certificates are in one file, too, and not in a folder only. Looks at the disk. */
bool http_transfer_system_has_bundle(void);

/* NULL: no memory. */
struct http_transfer *http_transfer_new(struct http_session *session);
/* Not while it is in a multi handle. */
void http_transfer_free(struct http_transfer *transfer);

/* Begins @job. -ENOMEM. On success the easy handle is to be added to the multi. */
int http_transfer_prepare(struct http_transfer *transfer, struct http_job *job, uint64_t now_ns);

/*
 * The easy handle is out of the multi; it ended with @code. OVER: @outcome is the request's, and
 * the transfer is idle. @stalled: no byte came for too long, and the loop took it out, or it has
 * waited for too long. WAITS only if it @may_wait.
 */
enum http_transfer_step http_transfer_finish(struct http_transfer *transfer, CURLcode code,
                                             bool stalled, bool may_wait, uint64_t now_ns,
                                             struct source_outcome *outcome);

/* Of one that waits: readings of the login's files up to @reading are over. Likewise. */
enum http_transfer_step http_transfer_renewed(struct http_transfer *transfer, uint64_t reading,
                                              uint64_t now_ns, struct source_outcome *outcome);

/* Gives up what runs; the easy handle is out of the multi already. */
void http_transfer_abandon(struct http_transfer *transfer);

/* Reads on after a pause; may deliver data before it returns. An error: it ended with that. */
CURLcode http_transfer_unpause(struct http_transfer *transfer, uint64_t now_ns);

/* When the loop should take it out; UINT64_MAX: never. */
uint64_t http_transfer_deadline(const struct http_transfer *transfer);

/* The header that holds a reply against @identity; NULL with *ret_ok when there is none. */
struct curl_slist *http_transfer_conditions(const struct source_identity *identity, bool *ret_ok);

#endif
