/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "count.h"
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
	const char *rest;
	int64_t	    n, unit;

	if ((rest = digits_parse(text, PERIOD_MAX, &n)) == NULL)
		return (false);
	unit = unit_seconds(rest);
	if (n == 0 || unit == 0 || n > PERIOD_MAX / unit)
		return (false);
	*seconds = n * unit;
	return (true);
}

bool
rate_parse(const char *text, int64_t *count, int64_t *seconds)
{
	const char *rest;
	int64_t	    n;

	rest = digits_parse(text, RATE_MAX, &n);
	if (rest == NULL || n == 0 || *rest != '/' ||
	    !period_parse(rest + 1, seconds))
		return (false);
	*count = n;
	return (true);
}
