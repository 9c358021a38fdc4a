/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "period.h"

static int64_t
unit_seconds(const char *unit)
{
	if (unit[0] == '\0' || strcmp(unit, "s") == 0)
		return (1);
	if (strcmp(unit, "m") == 0)
		return (60);
	if (strcmp(unit, "h") == 0)
		return (3600);
	if (strcmp(unit, "d") == 0)
		return (86400);
	if (strcmp(unit, "w") == 0)
		return (7 * 86400);
	return (0);
}

bool
period_parse(const char *text, int64_t *seconds)
{
	int64_t n = 0, unit;

	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (*text - '0');
		if (n > PERIOD_MAX)
			return (false);
	}
	unit = unit_seconds(text);
	if (n == 0 || unit == 0 || n > PERIOD_MAX / unit)
		return (false);
	*seconds = n * unit;
	return (true);
}

bool
rate_parse(const char *text, int64_t *count, int64_t *seconds)
{
	const char *p;

	*count = 0;
	for (p = text; *p >= '0' && *p <= '9' && *count <= RATE_MAX; p++)
		*count = *count * 10 + (*p - '0');
	return (*count >= 1 && *count <= RATE_MAX && *p == '/' &&
	    period_parse(p + 1, seconds));
}
