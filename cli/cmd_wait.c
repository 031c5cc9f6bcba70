/*
 * wait: until a clone is complete, or with --exit until nobody holds its lock. It asks the clone
 * four times a second, which costs it nothing: status never waits for a disk or the source.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/call.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "core/base/cleanup.h"
#include "core/base/clock.h"
#include "core/state/holder.h"
#include "core/state/paths.h"

#define ASK_EVERY_MS 250

struct waiter {
	const char *socket_path;
	uint64_t deadline_ns;
	bool terminal;                     /* stderr is one: draw the bar */
	bool drawn;                        /* the cursor is behind a bar */
	char obstacle[CONTROL_REASON_MAX]; /* what was last said to be in the way */
	double percent;                    /* when last asked */
	char name[128];
};

static uint64_t deadline_of(const struct arguments *args)
{
	return args->has_timeout ? clock_monotonic_ns() + args->timeout_ms * CF_NS_PER_MS
	                         : UINT64_MAX;
}

static void draw(struct waiter *w, const struct control_status *status)
{
	char line[PROGRESS_LINE_MAX];

	if (!w->terminal)
		return;
	(void)progress_line(status, line);
	cf_error_clean_text(line);
	(void)fprintf(stderr, "\r%s\033[K", line);
	w->drawn = true;
}

static void end_bar(struct waiter *w)
{
	if (w->drawn)
		(void)fputc('\n', stderr);
	w->drawn = false;
}

/* Says once what is in the way, and again when it is something else. */
static void tell_obstacle(struct waiter *w, const struct control_status *status)
{
	const char *obstacle = progress_obstacle(status);

	if (strcmp(w->obstacle, obstacle) == 0)
		return;
	(void)snprintf(w->obstacle, sizeof(w->obstacle), "%s", obstacle);
	if (!obstacle[0])
		return;
	end_bar(w);
	if (strcmp(status->hydration, "paused") == 0)
		output_error(
		        "clone '%s' is paused (%s): still waiting, clonectl resume lets it go on",
		        w->name, obstacle);
	else
		output_error("clone '%s' is %s (%s): still waiting", w->name, status->hydration,
		             obstacle);
}

/* The image is still being read for its digest. */
static bool is_digest_due(const struct control_status *status)
{
	return status->digest_expected && strcmp(status->digest, "unverified") == 0;
}

/* True: it is decided, *ret_status and (unless done) a sentence say how. */
static bool decide(struct waiter *w, const struct control_status *status,
                   enum exit_status *ret_status)
{
	const char *sentence = NULL;

	if (strcmp(status->mode, "fail") == 0)
		sentence = "has failed";
	else if (control_status_is_complete(status) && is_digest_due(status))
		return false;
	else if (control_status_is_complete(status))
		sentence = strcmp(status->digest, "mismatch") == 0
		                   ? "is complete, but its digest is not the expected one"
		                   : "";
	else if (strcmp(status->mode, "ro") == 0)
		sentence = "has become read-only after a failure";
	else if (strcmp(status->source_state, "changed") == 0)
		sentence = "does not go on: its source has changed";
	if (!sentence)
		return false;
	*ret_status = sentence[0] ? EXIT_STATUS_FAILED : EXIT_STATUS_DONE;
	end_bar(w);
	if (sentence[0] && status->reason[0])
		output_error("clone '%s' %s: %s", w->name, sentence, status->reason);
	else if (sentence[0])
		output_error("clone '%s' %s", w->name, sentence);
	return true;
}

static enum exit_status fail_wait(struct waiter *w, int code, const struct cf_error *err)
{
	end_bar(w);
	if (code == -ECONNREFUSED && w->name[0])
		output_error("clone '%s' has ended at %.1f %%", w->name, w->percent);
	else if (code == -ETIMEDOUT && w->name[0])
		output_error("clone '%s' is not complete in time: %.1f %%", w->name, w->percent);
	else
		output_error("%s", err->text);
	return EXIT_STATUS_FAILED;
}

/* Sleeps until it is time to ask again. False: the time is up. */
static bool sleep_until_next(const struct waiter *w)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t pause = ASK_EVERY_MS * CF_NS_PER_MS;
	struct timespec ts;

	if (now >= w->deadline_ns)
		return false;
	if (pause > w->deadline_ns - now)
		pause = w->deadline_ns - now;
	ts = (struct timespec){.tv_nsec = (long)pause};
	(void)nanosleep(&ts, NULL);
	return true;
}

static void note(struct waiter *w, const struct control_status *status)
{
	(void)snprintf(w->name, sizeof(w->name), "%s", status->name);
	w->percent = output_percent(status->regions_committed, status->regions_total);
}

/* With @json the last status goes to stdout. */
static enum exit_status wait_complete(struct waiter *w, bool json)
{
	struct control_status status;
	enum exit_status result;
	struct cf_error err;
	bool decided;

	for (;;) {
		int r = client_status(w->socket_path, &status, &err);

		if (r < 0 && r != -ETIMEDOUT)
			return fail_wait(w, r, &err);
		if (r == 0) {
			note(w, &status);
			draw(w, &status);
			decided = decide(w, &status, &result);
			if (decided && json)
				output_json(status.document);
			if (!decided)
				tell_obstacle(w, &status);
			control_status_fini(&status);
			if (decided)
				return result;
		}
		if (!sleep_until_next(w))
			return fail_wait(w, -ETIMEDOUT, &err);
	}
}

/* Waits for all closing clones below the state root: one of them may be the one meant. */
static int wait_all_closing(uint64_t deadline_ns, struct cf_error *err)
{
	CF_AUTO_FREE char *root = NULL;
	struct dirent *entry;
	DIR *dir;
	int r = path_state_root(&root, err);

	if (r < 0)
		return r;
	dir = opendir(root);
	if (!dir)
		return errno == ENOENT ? 0 : cf_error_errno(err, -errno, "folder '%s'", root);
	while (r == 0 && (entry = readdir(dir))) {
		struct lock_holder holder;
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", root, entry->d_name) < 0) {
			r = cf_error_set(err, -ENOMEM, "no memory");
			break;
		}
		r = holder_wait_closing(path, deadline_ns, &holder, err);
		if (r == 0 && holder.pid && holder.closing)
			r = cf_error_set(err, -ETIMEDOUT, "a clone is still being closed");
		free(path);
	}
	(void)closedir(dir);
	return r;
}

static enum exit_status wait_exit(const char *text, uint64_t deadline_ns)
{
	struct control_status status = {0};
	struct target target;
	struct cf_error err;
	int r = target_resolve_ended(text, &target, &err);
	enum exit_status result = exit_status_of(r);

	if (r == 0 && !target.state_dir && target.socket_path) {
		r = client_status(target.socket_path, &status, &err);
		if (r == 0)
			target.state_dir = strdup(status.state_dir);
		else if (r == -ECONNREFUSED)
			r = 0;
		control_status_fini(&status);
	}
	if (r == 0 && target.state_dir)
		r = holder_wait_free(target.state_dir, deadline_ns, &err);
	else if (r == 0 && target.is_path)
		r = wait_all_closing(deadline_ns, &err);
	if (r < 0) {
		output_error("%s", err.text);
		result = result == EXIT_STATUS_DONE ? EXIT_STATUS_FAILED : result;
	}
	target_fini(&target);
	return result;
}

static enum exit_status run_wait(const struct arguments *args)
{
	struct waiter w = {.deadline_ns = deadline_of(args), .terminal = isatty(STDERR_FILENO)};
	struct target target;
	struct cf_error err;
	enum exit_status status;
	int r;

	if (args->exit)
		return wait_exit(target_word(args), w.deadline_ns);
	r = target_resolve(target_word(args), &target, &err);
	if (r < 0) {
		output_error("%s", err.text);
		status = exit_status_of(r);
	} else {
		w.socket_path = target.socket_path;
		status = wait_complete(&w, args->json);
	}
	target_fini(&target);
	return status;
}

const struct command command_wait = {
        .name = "wait",
        .usage = "[TARGET] [--timeout TIME] [--exit] [--json]",
        .summary = "Wait until a clone is complete, or has ended",
        .help = "Exit status 0: all of the image is in the destination and recorded there, "
                "and if\nsha256= was given, its digest was looked at. "
                "1: it will\nnot be (failed, read-only after a failure, source changed, ended), "
                "it is\nnot the expected one (digest), "
                "or the time is up.\nA paused clone is waited for.\n"
                "  --timeout TIME  give up after TIME\n"
                "  --exit          wait until no process holds the clone's lock\n",
        .options = OPTION_JSON | OPTION_TIMEOUT | OPTION_EXIT,
        .max_words = 1,
        .run = run_wait,
};
