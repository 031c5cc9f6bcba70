#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "core/base/units.h"

#define BAR_WIDTH 30

char *progress_line(const struct control_status *s, char buf[PROGRESS_LINE_MAX])
{
	double percent = output_percent(s->regions_committed, s->regions_total);
	size_t filled = (size_t)(percent * BAR_WIDTH / 100);
	char bar[BAR_WIDTH + 1];
	char rate[32];
	char left[32];

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', filled);
	bar[BAR_WIDTH] = '\0';
	(void)format_size(s->rate_bytes_per_second, rate, sizeof(rate));
	if (s->eta_seconds == CONTROL_ETA_UNKNOWN)
		(void)snprintf(buf, PROGRESS_LINE_MAX, "[%s] %5.1f %%  %s/s  %.9s", bar, percent,
		               rate, s->hydration);
	else
		(void)snprintf(buf, PROGRESS_LINE_MAX, "[%s] %5.1f %%  %s/s  %s left", bar, percent,
		               rate, output_duration(s->eta_seconds, left, sizeof(left)));
	return buf;
}

const char *progress_obstacle(const struct control_status *s)
{
	if (control_status_is_complete(s) || strcmp(s->hydration, "running") == 0)
		return "";
	return s->reason[0] ? s->reason : s->hydration;
}
