#include "core/base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Reads the digits at *@text in @base and moves *@text behind them. */
static int parse_digits(const char **text, unsigned int base, uint64_t *ret_value)
{
	const char *s = *text;
	uint64_t value = 0;

	if (*s < '0' || *s >= (char)('0' + base))
		return -EINVAL;
	for (; *s >= '0' && *s < (char)('0' + base); s++)
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return -ERANGE;
	*text = s;
	*ret_value = value;
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMGT";
	uint64_t value;
	int r = parse_digits(&text, 10, &value);

	if (r < 0)
		return r;
	if (*text) {
		const char *suffix = strchr(suffixes, *text);

		if (!suffix || text[1])
			return -EINVAL;
		if (__builtin_mul_overflow(value, UINT64_C(1) << (10 * (suffix - suffixes + 1)),
		                           &value))
			return -ERANGE;
	}
	*ret_bytes = value;
	return 0;
}

int parse_time_ms(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} suffixes[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t value;
	int r = parse_digits(&text, 10, &value);

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(text, suffixes[i].suffix) != 0)
			continue;
		/* Deadlines are added to a clock in nanoseconds: leave room for that. */
		if (__builtin_mul_overflow(value, suffixes[i].ms, &value) ||
		    value > UINT64_MAX / 1000000 / 4)
			return -ERANGE;
		*ret_ms = value;
		return 0;
	}
	return -EINVAL;
}

int parse_uint(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;
	int r = parse_digits(&text, 10, &value);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_octal(const char *text, uint32_t max, uint32_t *ret_value)
{
	uint64_t value;
	int r = parse_digits(&text, 8, &value);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*ret_value = (uint32_t)value;
	return 0;
}

char *format_size(uint64_t bytes, char *buf, size_t buf_size)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int unit = 0;
	double value = (double)bytes;

	while (value >= 1024 && unit < 6) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(buf, buf_size, unit && value < 100 ? "%.1f %s" : "%.0f %s", value,
	               names[unit]);
	return buf;
}
