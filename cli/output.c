#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/units.h"

#define BAR_WIDTH 24

void output_error(const char *format, ...)
{
	char sentence[CF_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	cf_error_clean_text(sentence);
	(void)fflush(stdout);
	(void)fprintf(stderr, "clonectl: %s\n", sentence);
}

void output_json(const struct json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2));

	if (text)
		(void)printf("%s\n", text);
	else
		output_error("no memory for the answer");
	free(text);
}

double output_percent(uint64_t regions, uint64_t total)
{
	if (regions >= total)
		return 100;
	return (double)(uint64_t)((long double)regions * 1000 / (long double)total) / 10;
}

char *output_duration(uint64_t seconds, char *buf, size_t buf_size)
{
	uint64_t minutes = seconds / 60;
	uint64_t hours = minutes / 60;

	if (seconds < 60)
		(void)snprintf(buf, buf_size, "%" PRIu64 " s", seconds);
	else if (hours == 0)
		(void)snprintf(buf, buf_size, "%" PRIu64 " min %02" PRIu64 " s", minutes,
		               seconds % 60);
	else if (hours < 48)
		(void)snprintf(buf, buf_size, "%" PRIu64 " h %02" PRIu64 " min", hours,
		               minutes % 60);
	else
		(void)snprintf(buf, buf_size, "%" PRIu64 " days %" PRIu64 " h", hours / 24,
		               hours % 24);
	return buf;
}

/* Prints "  LABEL        TEXT". */
static void print_line(FILE *out, const char *label, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void print_line(FILE *out, const char *label, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	cf_error_clean_text(text);
	(void)fprintf(out, "  %-12s %s\n", label, text);
	free(text);
}

static const char *draw_bar(uint64_t done, uint64_t total, char bar[BAR_WIDTH + 1])
{
	size_t filled = (size_t)(output_percent(done, total) * BAR_WIDTH / 100);

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', filled);
	bar[BAR_WIDTH] = '\0';
	return bar;
}

static void print_hydration(FILE *out, const struct control_status *s)
{
	char bar[BAR_WIDTH + 1];
	char region_size[32];

	if (s->reason[0])
		print_line(out, "hydration", "%s: %s", s->hydration, s->reason);
	else
		print_line(out, "hydration", "%s", s->hydration);
	print_line(out, "", "[%s] %.1f %% committed",
	           draw_bar(s->regions_committed, s->regions_total, bar),
	           output_percent(s->regions_committed, s->regions_total));
	print_line(out, "regions",
	           "%" PRIu64 " of %" PRIu64 " of %s (%" PRIu64 " on disk, %" PRIu64 " under way)",
	           s->regions_hydrated, s->regions_total,
	           format_size(s->region_size, region_size, sizeof(region_size)),
	           s->regions_committed, s->regions_hydrating);
}

static void print_transfer(FILE *out, const struct control_status *s)
{
	char bytes[32];
	char rate[32];
	char left[64];

	print_line(out, "fetched", "%s in %" PRIu64 " requests since the mount",
	           format_size(s->bytes_from_source, bytes, sizeof(bytes)), s->requests);
	(void)format_size(s->rate_bytes_per_second, rate, sizeof(rate));
	if (s->eta_seconds == CONTROL_ETA_UNKNOWN)
		print_line(out, "speed", "%s/s", rate);
	else
		print_line(out, "speed", "%s/s, %s left", rate,
		           output_duration(s->eta_seconds, left, sizeof(left)));
}

static void print_settings(FILE *out, const struct control_status *s)
{
	char text[SETTING_TEXT_MAX];

	for (int i = 0; i < NR_SETTINGS; i++)
		(void)fprintf(out, "  %-12s %s=%s\n", i ? "" : "settings",
		              setting_name((enum setting)i),
		              setting_format(&s->settings, (enum setting)i, text));
}

void output_status(FILE *out, const struct control_status *s)
{
	char size[32];
	char uptime[64];

	(void)fprintf(out, "%s\n", s->name);
	print_line(out, "image", "%s, %s (%" PRIu64 " bytes)%s", s->image,
	           format_size(s->size, size, sizeof(size)), s->size,
	           s->modified ? ", written to" : "");
	print_line(out, "source", "%s (%s)", s->source, s->source_state);
	/* Hydration that waits for the source has it in its own reason. */
	if (s->source_reason[0] && !strstr(s->reason, s->source_reason))
		print_line(out, "", "%s", s->source_reason);
	print_line(out, "mode", "%s%s", s->mode, s->read_only ? ", mounted read-only" : "");
	print_hydration(out, s);
	print_transfer(out, s);
	if (strcmp(s->digest, "unverified") != 0)
		print_line(out, "digest", "%s", s->digest);
	print_line(out, "mountpoint", "%s", s->mountpoint);
	print_line(out, "state", "%s", s->state_dir);
	print_line(out, "destination", "%s", s->destination);
	print_line(out, "metadata", "%s, %" PRIu64 " of %" PRIu64 " blocks used", s->metadata,
	           s->metadata_blocks_used, s->metadata_blocks_total);
	print_line(out, "daemon", "version %s, process %" PRIu64 ", up %s", s->version, s->pid,
	           output_duration(s->uptime_seconds, uptime, sizeof(uptime)));
	print_settings(out, s);
}

static void print_clean(FILE *out, int width, const char *text)
{
	char *clean = strdup(text);

	if (!clean)
		return;
	cf_error_clean_text(clean);
	(void)fprintf(out, "%-*s", width, clean);
	free(clean);
}

void output_list(FILE *out, const struct control_status *const *statuses, size_t nr)
{
	size_t name_width = strlen("NAME");
	size_t place_width = strlen("MOUNTPOINT");

	for (size_t i = 0; i < nr; i++) {
		if (strlen(statuses[i]->name) > name_width)
			name_width = strlen(statuses[i]->name);
		if (strlen(statuses[i]->mountpoint) > place_width)
			place_width = strlen(statuses[i]->mountpoint);
	}
	if (place_width > 40)
		place_width = 40;
	(void)fprintf(out, "%-*s  %-4s  %-9s  %7s  %10s  %-*s  %s\n", (int)name_width, "NAME",
	              "MODE", "HYDRATION", "DONE", "SIZE", (int)place_width, "MOUNTPOINT",
	              "SOURCE");
	for (size_t i = 0; i < nr; i++) {
		const struct control_status *s = statuses[i];
		char size[32];

		print_clean(out, (int)name_width, s->name);
		(void)fputs("  ", out);
		print_clean(out, 4, s->mode);
		(void)fputs("  ", out);
		print_clean(out, 9, s->hydration);
		(void)fprintf(out, "  %5.1f %%  %10s  ",
		              output_percent(s->regions_committed, s->regions_total),
		              format_size(s->size, size, sizeof(size)));
		print_clean(out, (int)place_width, s->mountpoint);
		(void)fputs("  ", out);
		print_clean(out, 0, s->source);
		(void)fputc('\n', out);
	}
}

bool output_close(void)
{
	bool failed = ferror(stdout) != 0;

	if (fclose(stdout) != 0)
		failed = true;
	if (failed)
		(void)fprintf(stderr, "clonectl: writing the answer failed: %s\n", strerror(errno));
	return !failed;
}
