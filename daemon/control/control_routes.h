/*
 * What can be asked of the control server: method and path to an answer, apart from HTTP's own
 * mechanics (control_server.c), which call these functions on the server's thread.
 */
#ifndef CLONEFS_DAEMON_CONTROL_ROUTES_H
#define CLONEFS_DAEMON_CONTROL_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"
#include "daemon/control/control_server.h"

struct control_answer {
	unsigned int status;   /* of HTTP */
	struct json_t *object; /* owned; NULL: no memory */
	const char *allow;     /* the method that would do, with 405 */
};

struct control_backend {
	const struct control_ops *ops;
	void *user;
};

struct control_route;

/* Finds the route; NULL: @ret_answer says 404 or 405. */
const struct control_route *route_find(const char *method, const char *path,
                                       struct control_answer *ret_answer);

/*
 * Answers at once from the body (@length bytes, JSON or nothing). False: it takes time, and goes
 * on with route_begin().
 */
bool route_answer(const struct control_route *route, const struct control_backend *backend,
                  const char *body, size_t length, struct control_answer *ret_answer);

/* Begins what takes time; control_call_end(@call) follows. */
void route_begin(const struct control_route *route, const struct control_backend *backend,
                 struct control_call *call);

/* The answer when it has ended with @result; @error is its sentence, if any. */
void route_finish(const struct control_route *route, const struct control_backend *backend,
                  int result, const struct cf_error *error, struct control_answer *ret_answer);

/* {"error": sentence} */
void answer_error(struct control_answer *answer, unsigned int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
