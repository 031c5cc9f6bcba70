#include "core/metadata/damage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void take_into_error(struct damage_sink *sink, const struct damage *damage)
{
	struct damage_error *to = (struct damage_error *)sink;

	cf_error_set(to->err, damage->code, "metadata block %" PRIu64 ": %s: expected %s, found %s",
	             damage->block, damage->what, damage->expected, damage->found);
}

struct damage_error damage_to_error(struct cf_error *err)
{
	return (struct damage_error){.sink = {.take = take_into_error}, .err = err};
}

int damage_text(struct damage_sink *sink, int code, uint64_t block, const char *what,
                const char *expected, const char *found)
{
	struct damage damage = {block, code, what, expected, found};

	sink->take(sink, &damage);
	return sink->thorough ? 0 : code;
}

int damage_number(struct damage_sink *sink, int code, uint64_t block, const char *what,
                  uint64_t expected, uint64_t found)
{
	char want[24], got[24];

	(void)snprintf(want, sizeof(want), "%" PRIu64, expected);
	(void)snprintf(got, sizeof(got), "%" PRIu64, found);
	return damage_text(sink, code, block, what, want, got);
}

int damage_hex(struct damage_sink *sink, int code, uint64_t block, const char *what,
               uint64_t expected, uint64_t found)
{
	char want[24], got[24];

	(void)snprintf(want, sizeof(want), "0x%08" PRIx64, expected);
	(void)snprintf(got, sizeof(got), "0x%08" PRIx64, found);
	return damage_text(sink, code, block, what, want, got);
}

int damage_range(struct damage_sink *sink, int code, uint64_t block, const char *what, uint64_t low,
                 uint64_t high, uint64_t found)
{
	char want[64], got[24];

	(void)snprintf(want, sizeof(want), "%" PRIu64 " to %" PRIu64, low, high);
	(void)snprintf(got, sizeof(got), "%" PRIu64, found);
	return damage_text(sink, code, block, what, want, got);
}

int damage_skip(const struct damage_sink *sink, int r)
{
	return sink->thorough && r != -ENOMEM ? 0 : r;
}
