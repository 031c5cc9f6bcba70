/*
 * Reads the files with secrets again, on a thread of its own that is made for the first time it is
 * asked to: a disk that does not answer (a dead NFS server) holds that thread and nobody else.
 */
#ifndef CLONEFS_BACKENDS_HTTP_RENEWAL_H
#define CLONEFS_BACKENDS_HTTP_RENEWAL_H

#include <stdint.h>

#include "backends/http_secrets.h"

struct http_renewal;

/* Takes @files over on success, which hold at least one. -ENOMEM. */
int http_renewal_new(struct http_secret_files *files, struct http_renewal **ret);

/* A reading in the kernel is left behind, and cleans up after itself. NULL is allowed. */
void http_renewal_free(struct http_renewal *renewal);

/*
 * @notify is called on the reading thread after each reading, until http_renewal_free(); it takes
 * no lock and only wakes who will take the result. Before the first ask.
 */
void http_renewal_watch(struct http_renewal *renewal, void (*notify)(void *user), void *user);

/*
 * Asks for a reading that begins after this call, and returns its number, from 1 on: those who ask
 * before it has begun share it. 0: there is none to be had soon, as one has not ended for
 * @patience_ns, or there is no thread. Never blocks.
 */
uint64_t http_renewal_ask(struct http_renewal *renewal, uint64_t patience_ns);

/*
 * The number of the last reading that has ended, if one has since the last call, else 0. Then
 * *ret_error is 0 and *ret holds what it found, for the caller to wipe; or it is negative, with
 * the sentence in *err.
 */
uint64_t http_renewal_take(struct http_renewal *renewal, int *ret_error, struct http_secrets *ret,
                           struct cf_error *err);

#endif
