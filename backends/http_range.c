#include "backends/http_range.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S 86400

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at *@text, which is moved behind them. */
static int take_number(const char **text, uint64_t *ret)
{
	const char *s = *text;
	uint64_t value = 0;

	if (!is_digit(*s))
		return -EINVAL;
	for (; is_digit(*s); s++) {
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value) ||
		    value > INT64_MAX)
			return -EINVAL;
	}
	*text = s;
	*ret = value;
	return 0;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

static int take_total(const char *s, struct http_content_range *range)
{
	if (*s == '*') {
		s++;
	} else {
		if (take_number(&s, &range->total) < 0)
			return -EINVAL;
		range->has_total = true;
	}
	return *skip_blanks(s) ? -EINVAL : 0;
}

int http_range_parse(const char *text, struct http_content_range *ret)
{
	struct http_content_range range = {0};
	const char *s = skip_blanks(text);

	if (strncasecmp(s, "bytes", 5) != 0 || (s[5] != ' ' && s[5] != '\t'))
		return -EINVAL;
	s = skip_blanks(s + 5);
	if (*s == '*') {
		s++;
	} else {
		if (take_number(&s, &range.first) < 0 || *s++ != '-' ||
		    take_number(&s, &range.last) < 0 || range.first > range.last)
			return -EINVAL;
		range.satisfied = true;
	}
	if (*s++ != '/' || take_total(s, &range) < 0)
		return -EINVAL;
	if (range.satisfied ? range.has_total && range.last >= range.total : !range.has_total)
		return -EINVAL;
	*ret = range;
	return 0;
}

int http_range_parse_length(const char *text, uint64_t *ret)
{
	uint64_t value;

	if (take_number(&text, &value) < 0 || *text)
		return -EINVAL;
	*ret = value;
	return 0;
}

static const char *opaque_part(const char *etag)
{
	return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

enum http_etag_kind http_range_etag_kind(const char *etag)
{
	const char *opaque = opaque_part(etag);
	size_t length = strlen(opaque);

	if (!*etag)
		return HTTP_ETAG_NONE;
	if (length < 2 || opaque[0] != '"' || opaque[length - 1] != '"')
		return HTTP_ETAG_INVALID;
	for (size_t i = 1; i < length - 1; i++) {
		unsigned char c = (unsigned char)opaque[i];

		if (c <= 0x20 || c == '"' || c == 0x7f)
			return HTTP_ETAG_INVALID;
	}
	return opaque == etag ? HTTP_ETAG_STRONG : HTTP_ETAG_WEAK;
}

bool http_range_etags_match(const char *a, const char *b)
{
	return strcmp(opaque_part(a), opaque_part(b)) == 0;
}

static int month_of(const char *s)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int month = 0; month < 12; month++)
		if (strncmp(s, names + (ptrdiff_t)3 * month, 3) == 0)
			return month;
	return -1;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; @month from 0. */
static int64_t days_since_epoch(int64_t year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t past = year - 1;

	return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month] +
	       (leap && month > 1 ? 1 : 0) + day - 1;
}

struct date {
	int64_t year;
	int month, day;
	int64_t hour, minute, second;
};

static int date_seconds(const struct date *d, int64_t *ret)
{
	/* 60: a leap second. */
	if (d->month < 0 || d->day < 1 || d->day > 31 || d->hour > 23 || d->minute > 59 ||
	    d->second > 60 || d->year < 1)
		return -EINVAL;
	*ret = days_since_epoch(d->year, d->month, d->day) * 86400 + d->hour * 3600 +
	       d->minute * 60 + d->second;
	return 0;
}

/*
 * Reads @text by @pattern: '9' is a digit, '_' a digit or a blank, 'A' a letter, anything else
 * itself. Digits are collected as numbers, one for each run in the pattern.
 */
static bool matches(const char *text, const char *pattern, int *numbers)
{
	int value = 0;

	for (; *pattern; pattern++, text++) {
		bool digit = is_digit(*text);

		if (*pattern == '9' || *pattern == '_') {
			if (!digit && !(*pattern == '_' && *text == ' '))
				return false;
			value = value * 10 + (digit ? *text - '0' : 0);
			if (pattern[1] != '9') {
				*numbers++ = value;
				value = 0;
			}
		} else if (*pattern == 'A') {
			if (!((*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z')))
				return false;
		} else if (*text != *pattern) {
			return false;
		}
	}
	return !*text;
}

int http_range_parse_date(const char *text, int64_t *ret)
{
	const char *comma = strchr(text, ',');
	int n[6];

	if (matches(text, "AAA, 99 AAA 9999 99:99:99 GMT", n))
		return date_seconds(
		        &(struct date){n[1], month_of(text + 8), n[0], n[2], n[3], n[4]}, ret);
	if (matches(text, "AAA AAA _9 99:99:99 9999", n))
		return date_seconds(
		        &(struct date){n[4], month_of(text + 4), n[0], n[1], n[2], n[3]}, ret);
	/* The weekday is spelled out and the year has two digits. */
	if (comma && comma - text >= 6 && comma - text <= 9 &&
	    matches(comma, ", 99-AAA-99 99:99:99 GMT", n))
		return date_seconds(&(struct date){n[1] + (n[1] < 70 ? 2000 : 1900),
		                                   month_of(comma + 5), n[0], n[2], n[3], n[4]},
		                    ret);
	return -EINVAL;
}

int http_range_parse_retry_after(const char *text, int64_t now, uint64_t *ret_ms)
{
	uint64_t seconds = 0;
	int64_t date;

	if (is_digit(*text)) {
		if (text[strspn(text, "0123456789")])
			return -EINVAL;
		/* A number that does not fit is still a number: very long. */
		if (http_range_parse_length(text, &seconds) < 0)
			seconds = RETRY_AFTER_MAX_S;
	} else {
		if (http_range_parse_date(text, &date) < 0)
			return -EINVAL;
		seconds = date > now ? (uint64_t)(date - now) : 0;
	}
	if (seconds > RETRY_AFTER_MAX_S)
		seconds = RETRY_AFTER_MAX_S;
	*ret_ms = seconds * 1000;
	return 0;
}
