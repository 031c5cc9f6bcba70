/*
 * One request to a control server: HTTP/1.1 over its Unix socket, JSON in both directions.
 * Needs curl_global_init(). Not thread-safe with respect to one socket path; keeps nothing.
 */
#ifndef CLONEFS_CLI_CLIENT_H
#define CLONEFS_CLI_CLIENT_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/control/status.h"

/* For what never waits for disk or source; for what does: the server's own deadline and more. */
#define CLIENT_TIMEOUT_MS      UINT64_C(10000)
#define CLIENT_SLOW_TIMEOUT_MS UINT64_C(330000)

struct json_t;

/*
 * GET @path, or POST it with @body (NULL: a GET; borrowed). *ret_object is a new reference.
 * Errors: -ECONNREFUSED nobody listens there (any more), or the connection broke; -EACCES;
 * -ETIMEDOUT no answer in time; -EPROTO not an answer of ours; -EREMOTEIO refused or failed, @err
 * holds the daemon's own sentence; -ENOMEM.
 */
int client_call(const char *socket_path, const char *path, const struct json_t *body,
                uint64_t timeout_ms, struct json_t **ret_object, struct cf_error *err);

/* GET /v1/status. Give back with control_status_fini(). */
int client_status(const char *socket_path, struct control_status *ret_status, struct cf_error *err);

#endif
