/* A clone that only pretends: a real control server in a folder of its own, over a fake table. */
#ifndef CLONEFS_TEST_FAKE_CLONE_H
#define CLONEFS_TEST_FAKE_CLONE_H

#include <stdbool.h>

#include "core/base/mutex.h"
#include "daemon/control/control_server.h"

#define FAKE_CALLS_MAX 64

struct fake_clone {
	char folder[64];
	char socket_path[128];
	struct control_server *server;

	struct cf_mutex lock; /* protects everything below */
	struct cf_cond changed;
	struct control_status status;
	struct settings settings;
	bool refuse_settings;
	bool end_at_once; /* calls end within pause and flush, with end_error */
	int end_error;
	const char *end_sentence;
	unsigned int nr_pauses, nr_flushes, nr_resumes, nr_sets;
	struct control_call *calls[FAKE_CALLS_MAX]; /* not ended */
	unsigned int nr_calls;
};

void fake_clone_start(struct fake_clone *clone, uint64_t call_timeout_ms);
void fake_clone_stop_server(struct fake_clone *clone);
/* Stops the server if it runs, ends what is left, removes the folder. */
void fake_clone_end(struct fake_clone *clone);

/* Waits until @nr calls have been begun and not been ended. */
void fake_clone_wait_calls(struct fake_clone *clone, unsigned int nr);
void fake_clone_end_calls(struct fake_clone *clone, int error, const char *sentence);

#endif
