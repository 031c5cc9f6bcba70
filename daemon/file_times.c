#include "daemon/file_times.h"

#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/state/state.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

bool file_times_parse_http_date(const char *text, int64_t *ret_seconds)
{
	struct tm tm = {.tm_sec = 0};
	/* The daemon never calls setlocale(): names of days and months are the English ones. */
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (!end || *end)
		return false;
	*ret_seconds = timegm(&tm);
	return true;
}

int64_t file_times_of_clone(const struct clone_config *config)
{
	int64_t seconds;

	if (file_times_parse_http_date(config->source.last_modified, &seconds))
		return seconds * NS_PER_S;
	if (config->source.mtime_ns)
		return config->source.mtime_ns;
	return config->created * NS_PER_S;
}

void file_times_init(struct file_times *times, struct state *state)
{
	int64_t mtime_ns = state_modified_mtime_ns(state);

	times->state = state;
	atomic_init(&times->mtime_ns,
	            mtime_ns ? mtime_ns : file_times_of_clone(state_config(state)));
	atomic_init(&times->moved, false);
}

void file_times_touch(struct file_times *times)
{
	atomic_store(&times->mtime_ns, clock_wall_ms() * NS_PER_MS);
	/* After the time: who clears the mark then reads this time or a later one. */
	if (!atomic_load(&times->moved))
		atomic_store(&times->moved, true);
}

int64_t file_times_mtime_ns(struct file_times *times)
{
	return atomic_load(&times->mtime_ns);
}

void file_times_keep(struct file_times *times)
{
	int r;

	if (!atomic_exchange(&times->moved, false))
		return;
	r = state_set_modified_mtime_ns(times->state, atomic_load(&times->mtime_ns));
	if (r < 0)
		log_debug("cannot keep the modification time error=%d", -r);
}
