/* A clone that only pretends: a real control server in a folder of its own, over a fake table. */
#ifndef CLONEFS_TEST_FAKE_CLONE_H
#define CLONEFS_TEST_FAKE_CLONE_H

#include <stdbool.h>

#include "core/base/mutex.h"
#include "daemon/control/control_server.h"

#define FAKE_CALLS_MAX 64

struct fake_clone {
	char folder[64]; /* made and removed by us; "": the socket is in somebody else's */
	char socket_path[256];
	struct control_server *server;

	struct cf_mutex lock; /* protects everything below */
	struct cf_cond changed;
	struct control_status status;
	struct settings settings;
	bool refuse_settings;
	bool end_at_once; /* calls end within pause and flush, with end_error */
	int end_error;
	const char *end_sentence;
	unsigned int nr_statuses, nr_pauses, nr_flushes, nr_resumes, nr_sets;
	struct control_call *calls[FAKE_CALLS_MAX]; /* not ended */
	unsigned int nr_calls;
};

void fake_clone_start(struct fake_clone *clone, uint64_t call_timeout_ms);
/* The same in FOLDER/NAME.sock. @name and @folder are borrowed. */
void fake_clone_start_in(struct fake_clone *clone, const char *folder, const char *name);
void fake_clone_stop_server(struct fake_clone *clone);
/* Stops the server if it runs, ends what is left, removes the folder. */
void fake_clone_end(struct fake_clone *clone);

/* From now on pause and flush end at once, like this. */
void fake_clone_end_at_once(struct fake_clone *clone, int error, const char *sentence);
void fake_clone_refuse_settings(struct fake_clone *clone);
void fake_clone_settings(struct fake_clone *clone, struct settings *ret_settings);
/* Sets a string of the status. @value is borrowed. */
void fake_clone_say(struct fake_clone *clone, const char **field, const char *value);
/* Reads one of the counters. */
unsigned int fake_clone_count(struct fake_clone *clone, const unsigned int *counter);

/* Waits until @nr calls have been begun and not been ended. */
void fake_clone_wait_calls(struct fake_clone *clone, unsigned int nr);
/* Waits until @nr more statuses than now have been asked for. */
void fake_clone_wait_statuses(struct fake_clone *clone, unsigned int nr);
void fake_clone_end_calls(struct fake_clone *clone, int error, const char *sentence);

#endif
