/*
 * HTTP's mechanics on libmicrohttpd: who may connect, collecting a body, sending an answer,
 * suspended connections. What is answered is in control_routes.c.
 *
 * Threads: libmicrohttpd's one thread runs handle_request() and request_completed(); struct
 * request belongs to it alone. Calls have a lock of their own (control_calls.h).
 */
#include "daemon/control/control_server.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/units.h"
#include "core/control/message.h"
#include "daemon/control/control_calls.h"
#include "daemon/control/control_routes.h"
#include "daemon/control/control_socket.h"

#define CONNECTION_LIMIT        64u
#define CONNECTION_TIMEOUT_S    10u
#define CONNECTION_MEMORY_LIMIT ((size_t)32 << 10)
/* Half of the connections stay free for status and resume. */
#define WAITING_CALLS_MAX   (CONNECTION_LIMIT / 2)
#define CALL_TIMEOUT_MS     UINT64_C(300000)
#define STOP_ANSWER_WAIT_NS (2 * CF_NS_PER_S)
/* What a client may send beyond a body that is refused, before he is cut off. */
#define DISCARD_MAX (64 * CONTROL_REQUEST_MAX)

struct control_server {
	struct control_backend backend;
	struct control_socket *socket;
	struct control_calls *calls;
	struct MHD_Daemon *http;
};

struct request {
	const struct control_route *route;
	struct control_call *call; /* a reference; NULL: nothing is waited for */
	size_t length;             /* of the body so far, also what did not fit */
	char body[CONTROL_REQUEST_MAX];
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct control_answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	char *text = NULL;

	if (answer->object)
		text = json_dumps(answer->object, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(answer->object);
	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	if (answer->allow)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool peer_is_allowed(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info && control_socket_peer_is_allowed(info->connect_fd);
}

static void answer_too_large(struct control_answer *answer)
{
	answer_error(answer, MHD_HTTP_CONTENT_TOO_LARGE, "no body here is longer than %zu bytes",
	             CONTROL_REQUEST_MAX);
}

static bool announces_too_much(struct MHD_Connection *connection)
{
	const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
	                                               MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t length;

	return text && parse_uint(text, CONTROL_REQUEST_MAX, &length) < 0;
}

/* The headers are there: refuse at once what can be refused without a body. */
static enum MHD_Result begin_request(struct MHD_Connection *connection, const char *method,
                                     const char *path, void **ret_request)
{
	struct control_answer answer;
	const struct control_route *route;
	struct request *request;

	if (!peer_is_allowed(connection)) {
		answer_error(&answer, MHD_HTTP_FORBIDDEN,
		             "only root and the user of this clone may");
		return send_answer(connection, &answer);
	}
	route = route_find(method, path, &answer);
	if (!route)
		return send_answer(connection, &answer);
	if (announces_too_much(connection)) {
		answer_too_large(&answer);
		return send_answer(connection, &answer);
	}
	request = calloc(1, sizeof(*request));
	if (!request)
		return MHD_NO;
	request->route = route;
	*ret_request = request;
	return MHD_YES;
}

static enum MHD_Result collect_body(struct request *request, const char *data, size_t *length)
{
	if (request->length < CONTROL_REQUEST_MAX) {
		size_t room = CONTROL_REQUEST_MAX - request->length;

		memcpy(request->body + request->length, data, *length < room ? *length : room);
	}
	request->length += *length;
	*length = 0;
	return request->length > DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* The whole request is there, or a call of it has ended. */
static enum MHD_Result answer_request(struct control_server *server,
                                      struct MHD_Connection *connection, struct request *request)
{
	struct control_answer answer;
	struct cf_error error = {0};
	int r;

	if (request->call) {
		r = call_result(request->call, &error);
		route_finish(request->route, &server->backend, r, &error, &answer);
		return send_answer(connection, &answer);
	}
	if (request->length > CONTROL_REQUEST_MAX) {
		answer_too_large(&answer);
		return send_answer(connection, &answer);
	}
	if (route_answer(request->route, &server->backend, request->body, request->length, &answer))
		return send_answer(connection, &answer);

	r = calls_begin(server->calls, connection, &request->call);
	if (r < 0) {
		route_finish(request->route, &server->backend, r, &error, &answer);
		return send_answer(connection, &answer);
	}
	route_begin(request->route, &server->backend, request->call);
	return MHD_YES;
}

static enum MHD_Result handle_request(void *user, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *data, size_t *length, void **request)
{
	(void)version;
	if (!*request)
		return begin_request(connection, method, path, request);
	if (*length)
		return collect_body(*request, data, length);
	return answer_request(user, connection, *request);
}

static void request_completed(void *user, struct MHD_Connection *connection, void **request,
                              enum MHD_RequestTerminationCode code)
{
	struct request *r = *request;

	(void)user;
	(void)connection;
	(void)code;
	if (!r)
		return;
	call_put(r->call);
	free(r);
	*request = NULL;
}

static void log_http(void *user, const char *format, va_list args)
        __attribute__((format(printf, 2, 0)));

static void log_http(void *user, const char *format, va_list args)
{
	char text[256];

	(void)user;
	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("control server: %s", text);
}

static int start_http(struct control_server *server)
{
	int fd = control_socket_take_fd(server->socket);

	server->http = MHD_start_daemon(
	        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
	        NULL, NULL, handle_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_http, NULL,
	        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL,
	        MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT,
	        CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_LIMIT,
	        MHD_OPTION_END);
	if (server->http)
		return 0;
	(void)close(fd);
	return -ENOMEM;
}

int control_server_start(const struct control_server_params *params,
                         struct control_server **ret_server, struct cf_error *err)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return cf_error_errno(err, -ENOMEM, "control server");
	server->backend = (struct control_backend){params->ops, params->user};
	r = control_socket_open(params->socket_path, &server->socket, err);
	if (r < 0)
		goto fail;
	r = calls_new(params->call_timeout_ms ? params->call_timeout_ms : CALL_TIMEOUT_MS,
	              WAITING_CALLS_MAX, &server->calls);
	if (r == 0)
		r = start_http(server);
	if (r < 0) {
		(void)cf_error_errno(err, r, "starting the control server");
		goto fail;
	}
	*ret_server = server;
	return 0;
fail:
	control_server_stop(server);
	return r;
}

void control_server_stop(struct control_server *server)
{
	if (!server)
		return;
	control_socket_close(server->socket);
	if (server->calls)
		calls_stop(server->calls, clock_monotonic_ns() + STOP_ANSWER_WAIT_NS);
	if (server->http)
		MHD_stop_daemon(server->http);
	calls_free(server->calls);
	free(server);
}
