#include "fake_clone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fake_get_status(void *user, struct control_status *ret_status)
{
	struct fake_clone *clone = user;

	cf_lock(&clone->lock);
	*ret_status = clone->status;
	ret_status->settings = clone->settings;
	clone->nr_statuses++;
	cf_cond_broadcast(&clone->changed);
	cf_unlock(&clone->lock);
}

static void fake_get_settings(void *user, struct settings *ret_settings)
{
	struct fake_clone *clone = user;

	cf_lock(&clone->lock);
	*ret_settings = clone->settings;
	cf_unlock(&clone->lock);
}

static int fake_set_settings(void *user, const struct settings *old,
                             const struct settings *settings, struct cf_error *err)
{
	struct fake_clone *clone = user;
	int r = 0;

	(void)old;
	cf_lock(&clone->lock);
	clone->nr_sets++;
	if (clone->refuse_settings)
		r = cf_error_set(err, -EPERM, "not today");
	else
		clone->settings = *settings;
	cf_unlock(&clone->lock);
	return r;
}

static void begin(struct fake_clone *clone, unsigned int *counter, struct control_call *call)
{
	bool end;
	const char *sentence;
	int error;

	cf_lock(&clone->lock);
	(*counter)++;
	end = clone->end_at_once;
	error = clone->end_error;
	sentence = clone->end_sentence;
	if (!end)
		clone->calls[clone->nr_calls++] = call;
	cf_cond_broadcast(&clone->changed);
	cf_unlock(&clone->lock);
	if (end)
		control_call_end(call, error, sentence);
}

static void fake_pause(void *user, struct control_call *call)
{
	struct fake_clone *clone = user;

	begin(clone, &clone->nr_pauses, call);
}

static void fake_flush(void *user, struct control_call *call)
{
	struct fake_clone *clone = user;

	begin(clone, &clone->nr_flushes, call);
}

static void fake_resume(void *user)
{
	struct fake_clone *clone = user;

	cf_lock(&clone->lock);
	clone->nr_resumes++;
	cf_unlock(&clone->lock);
}

static const struct control_ops fake_ops = {
        .get_status = fake_get_status,
        .get_settings = fake_get_settings,
        .set_settings = fake_set_settings,
        .pause = fake_pause,
        .flush = fake_flush,
        .resume = fake_resume,
};

static void init(struct fake_clone *clone, const char *name)
{
	*clone = (struct fake_clone){.status = {
	                                     .name = name,
	                                     .source = "/source",
	                                     .mountpoint = "/mnt",
	                                     .image = "/mnt/source",
	                                     .state_dir = "/state",
	                                     .destination = "/state/disk.img",
	                                     .metadata = "/state/metadata",
	                                     .mode = "rw",
	                                     .hydration = "running",
	                                     .source_state = "ok",
	                                     .digest = "unverified",
	                                     .version = "0.1.0",
	                                     .size = 65536,
	                                     .region_size = 65536,
	                                     .regions_total = 1,
	                                     .eta_seconds = CONTROL_ETA_UNKNOWN,
	                                     .api_version = CONTROL_API_VERSION,
	                             }};
	settings_defaults(65536, &clone->settings);
	cf_mutex_init(&clone->lock);
	cf_cond_init(&clone->changed);
}

static void start_server(struct fake_clone *clone, uint64_t call_timeout_ms)
{
	struct control_server_params params = {.socket_path = clone->socket_path,
	                                       .ops = &fake_ops,
	                                       .user = clone,
	                                       .call_timeout_ms = call_timeout_ms};

	assert_int_equal(control_server_start(&params, &clone->server, NULL), 0);
}

void fake_clone_start(struct fake_clone *clone, uint64_t call_timeout_ms)
{
	init(clone, "fake");
	strcpy(clone->folder, "/tmp/clonefs-control-XXXXXX");
	assert_non_null(mkdtemp(clone->folder));
	(void)snprintf(clone->socket_path, sizeof(clone->socket_path), "%s/fake.sock",
	               clone->folder);
	start_server(clone, call_timeout_ms);
}

void fake_clone_start_in(struct fake_clone *clone, const char *folder, const char *name)
{
	init(clone, name);
	(void)snprintf(clone->socket_path, sizeof(clone->socket_path), "%s/%s.sock", folder, name);
	start_server(clone, 0);
}

void fake_clone_stop_server(struct fake_clone *clone)
{
	control_server_stop(clone->server);
	clone->server = NULL;
}

void fake_clone_end(struct fake_clone *clone)
{
	fake_clone_stop_server(clone);
	fake_clone_end_calls(clone, 0, NULL);
	if (clone->folder[0])
		(void)rmdir(clone->folder);
	cf_cond_fini(&clone->changed);
	cf_mutex_fini(&clone->lock);
}

void fake_clone_end_at_once(struct fake_clone *clone, int error, const char *sentence)
{
	cf_lock(&clone->lock);
	clone->end_at_once = true;
	clone->end_error = error;
	clone->end_sentence = sentence;
	cf_unlock(&clone->lock);
}

void fake_clone_refuse_settings(struct fake_clone *clone)
{
	cf_lock(&clone->lock);
	clone->refuse_settings = true;
	cf_unlock(&clone->lock);
}

void fake_clone_settings(struct fake_clone *clone, struct settings *ret_settings)
{
	fake_get_settings(clone, ret_settings);
}

void fake_clone_say(struct fake_clone *clone, const char **field, const char *value)
{
	cf_lock(&clone->lock);
	*field = value;
	cf_unlock(&clone->lock);
}

unsigned int fake_clone_count(struct fake_clone *clone, const unsigned int *counter)
{
	unsigned int value;

	cf_lock(&clone->lock);
	value = *counter;
	cf_unlock(&clone->lock);
	return value;
}

void fake_clone_wait_calls(struct fake_clone *clone, unsigned int nr)
{
	cf_lock(&clone->lock);
	while (clone->nr_calls < nr)
		cf_cond_wait(&clone->changed, &clone->lock);
	cf_unlock(&clone->lock);
}

void fake_clone_wait_statuses(struct fake_clone *clone, unsigned int nr)
{
	cf_lock(&clone->lock);
	nr += clone->nr_statuses;
	while (clone->nr_statuses < nr)
		cf_cond_wait(&clone->changed, &clone->lock);
	cf_unlock(&clone->lock);
}

void fake_clone_end_calls(struct fake_clone *clone, int error, const char *sentence)
{
	struct control_call *calls[FAKE_CALLS_MAX];
	unsigned int nr;

	cf_lock(&clone->lock);
	nr = clone->nr_calls;
	memcpy(calls, clone->calls, sizeof(calls));
	clone->nr_calls = 0;
	cf_unlock(&clone->lock);
	for (unsigned int i = 0; i < nr; i++)
		control_call_end(calls[i], error, sentence);
}
