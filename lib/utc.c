/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stddef.h>
#include <string.h>

#include "utc.h"

void
utc_text(time_t when, char buf[UTC_TEXT])
{
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(buf, UTC_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		buf[0] = '\0';
}

/* Digits where there have to be digits. */
static bool
has_form(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00Z";
	size_t		  i;

	for (i = 0; i < sizeof(form); i++)
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9'
				   : text[i] != form[i])
			return (false);
	return (true);
}

bool
utc_valid(const char *text)
{
	struct tm tm = { .tm_isdst = 0 };
	int	  day;

	if (!has_form(text) ||
	    strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL || tm.tm_sec > 60)
		return (false);
	/* A day that the month does not have becomes one of the next. */
	day = tm.tm_mday;
	tm.tm_sec = 0;
	timegm(&tm);
	return (tm.tm_mday == day);
}

bool
utc_passed(const char *text, time_t now)
{
	char now_text[UTC_TEXT];

	if (!utc_valid(text))
		return (false);
	utc_text(now, now_text);
	return (now_text[0] != '\0' && strcmp(text, now_text) <= 0);
}
