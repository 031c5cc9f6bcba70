#include "daemon/control/control_routes.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <string.h>

#include "core/control/dmsetup_line.h"
#include "core/control/message.h"

struct control_route {
	const char *method;
	const char *path;
	const char *verb; /* for sentences */
	/* Answers at once; true: it did. NULL: only begin and finish. */
	bool (*answer)(const struct control_backend *backend, json_t *body,
	               struct control_answer *ret_answer);
	void (*begin)(const struct control_backend *backend, struct control_call *call);
	void (*finish)(const struct control_backend *backend, struct control_answer *ret_answer);
	/*
	 * The answer is right even if the operation failed: like dm-clone's status, dmsetup shows
	 * what a commit that fails has made of the clone.
	 */
	bool finish_failed;
};

void answer_error(struct control_answer *answer, unsigned int status, const char *format, ...)
{
	char sentence[CF_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	*answer = (struct control_answer){status, control_error_to_json(sentence), NULL};
}

static void answer_status(const struct control_backend *backend, struct control_answer *ret_answer)
{
	struct control_status status = {0};

	backend->ops->get_status(backend->user, &status);
	*ret_answer = (struct control_answer){MHD_HTTP_OK, control_status_to_json(&status), NULL};
}

static void answer_line(const struct control_backend *backend, struct control_answer *ret_answer)
{
	struct control_status status = {0};
	char line[DMSETUP_LINE_MAX];

	backend->ops->get_status(backend->user, &status);
	*ret_answer = (struct control_answer){
	        MHD_HTTP_OK, json_pack("{s:s}", "line", dmsetup_line(&status, line)), NULL};
}

static bool refuse_fields(json_t *body, struct control_answer *ret_answer)
{
	if (json_object_size(body) == 0)
		return false;
	answer_error(ret_answer, MHD_HTTP_BAD_REQUEST, "no fields are known here");
	return true;
}

static bool status_answer(const struct control_backend *backend, json_t *body,
                          struct control_answer *ret_answer)
{
	if (!refuse_fields(body, ret_answer))
		answer_status(backend, ret_answer);
	return true;
}

static bool resume_answer(const struct control_backend *backend, json_t *body,
                          struct control_answer *ret_answer)
{
	if (!refuse_fields(body, ret_answer)) {
		backend->ops->resume(backend->user);
		answer_status(backend, ret_answer);
	}
	return true;
}

static bool slow_answer(const struct control_backend *backend, json_t *body,
                        struct control_answer *ret_answer)
{
	(void)backend;
	return refuse_fields(body, ret_answer);
}

static bool settings_answer(const struct control_backend *backend, json_t *body,
                            struct control_answer *ret_answer)
{
	struct settings old = {0};
	struct settings_patch patch;
	struct settings settings;
	struct cf_error err = {0};

	if (control_patch_from_json(body, &patch, &err) < 0) {
		answer_error(ret_answer, MHD_HTTP_BAD_REQUEST, "%s", err.text);
		return true;
	}
	backend->ops->get_settings(backend->user, &old);
	settings = old;
	settings_patch_apply(&patch, &settings);
	if (backend->ops->set_settings(backend->user, &old, &settings, &err) < 0)
		answer_error(ret_answer, MHD_HTTP_CONFLICT, "%s", err.text);
	else
		*ret_answer = (struct control_answer){
		        MHD_HTTP_OK, control_change_to_json(&patch, &old, &settings), NULL};
	return true;
}

static bool dmsetup_answer(const struct control_backend *backend, json_t *body,
                           struct control_answer *ret_answer)
{
	struct cf_error err;
	bool noflush;

	if (control_dmsetup_from_json(body, &noflush, &err) < 0) {
		answer_error(ret_answer, MHD_HTTP_BAD_REQUEST, "%s", err.text);
		return true;
	}
	if (noflush)
		answer_line(backend, ret_answer);
	return noflush;
}

static void begin_pause(const struct control_backend *backend, struct control_call *call)
{
	backend->ops->pause(backend->user, call);
}

static void begin_flush(const struct control_backend *backend, struct control_call *call)
{
	backend->ops->flush(backend->user, call);
}

static const struct control_route routes[] = {
        {"GET", "/v1/status", "status", status_answer, NULL, NULL, false},
        {"POST", "/v1/pause", "pause", slow_answer, begin_pause, answer_status, false},
        {"POST", "/v1/resume", "resume", resume_answer, NULL, NULL, false},
        {"POST", "/v1/flush", "flush", slow_answer, begin_flush, answer_status, false},
        {"POST", "/v1/settings", "settings", settings_answer, NULL, NULL, false},
        {"POST", "/v1/dmsetup", "dmsetup", dmsetup_answer, begin_flush, answer_line, true},
};

const struct control_route *route_find(const char *method, const char *path,
                                       struct control_answer *ret_answer)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct control_route *route = &routes[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (strcmp(route->method, method) == 0)
			return route;
		answer_error(ret_answer, MHD_HTTP_METHOD_NOT_ALLOWED, "%s is a %s", route->path,
		             route->method);
		ret_answer->allow = route->method;
		return NULL;
	}
	answer_error(ret_answer, MHD_HTTP_NOT_FOUND, "there is no %.64s here", path);
	return NULL;
}

bool route_answer(const struct control_route *route, const struct control_backend *backend,
                  const char *body, size_t length, struct control_answer *ret_answer)
{
	struct cf_error err;
	json_t *object = NULL;
	bool answered;

	if (length == 0) {
		object = json_object();
	} else if (control_parse_object(body, length, &object, &err) < 0) {
		answer_error(ret_answer, MHD_HTTP_BAD_REQUEST, "%s", err.text);
		return true;
	}
	if (!object) {
		*ret_answer = (struct control_answer){MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL};
		return true;
	}
	answered = route->answer(backend, object, ret_answer);
	json_decref(object);
	return answered;
}

void route_begin(const struct control_route *route, const struct control_backend *backend,
                 struct control_call *call)
{
	route->begin(backend, call);
}

void route_finish(const struct control_route *route, const struct control_backend *backend,
                  int result, const struct cf_error *error, struct control_answer *ret_answer)
{
	char name[128];

	if (result == 0)
		route->finish(backend, ret_answer);
	else if (result == -ESHUTDOWN)
		answer_error(ret_answer, MHD_HTTP_SERVICE_UNAVAILABLE, "the clone is being closed");
	else if (result == -EAGAIN)
		answer_error(ret_answer, MHD_HTTP_SERVICE_UNAVAILABLE,
		             "too many commands wait already");
	else if (result == -ETIMEDOUT)
		answer_error(ret_answer, MHD_HTTP_GATEWAY_TIMEOUT,
		             "%s takes longer than a command waits; it goes on", route->verb);
	else if (route->finish_failed)
		route->finish(backend, ret_answer);
	else if (error->text[0])
		answer_error(ret_answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", error->text);
	else
		answer_error(ret_answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s failed: %s",
		             route->verb, strerror_r(-result, name, sizeof(name)));
}
