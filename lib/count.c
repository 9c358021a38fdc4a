/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "count.h"

/* Reads digits, and returns what is behind them; NULL where there are none. */
static const char *
read_digits(const char *text, int64_t *n)
{
	const char *p = text;

	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		if ((*n = *n * 10 + (*p - '0')) > COUNT_MAX)
			return (NULL);
	return (p > text ? p : NULL);
}

bool
count_parse(const char *text, int64_t *n)
{
	const char *rest = read_digits(text, n);

	return (rest != NULL && *rest == '\0');
}

bool
size_parse(const char *text, int64_t *n)
{
	static const char units[] = "KMG";
	const char	 *rest = read_digits(text, n), *unit;

	if (rest == NULL)
		return (false);
	if (*rest == '\0')
		return (true);
	if ((unit = strchr(units, *rest)) == NULL || rest[1] != '\0')
		return (false);
	*n *= (int64_t)1 << 10 * (unit - units + 1);
	return (*n <= COUNT_MAX);
}
